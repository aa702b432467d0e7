// Starts the console: the frame around the pages, and the page that the URL names.

import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { decisionPage } from "./pages/decision.js";
import { historyPage } from "./pages/history.js";
import { inboxPage } from "./pages/inbox.js";
import { nodesPage } from "./pages/nodes.js";
import { signInPage } from "./pages/signin.js";
import { skippedPage } from "./pages/skipped.js";
import { stalePage } from "./pages/stale.js";
import { systemPage } from "./pages/system.js";
import { systemsPage } from "./pages/systems.js";
import { togetherPage } from "./pages/together.js";
import { empty } from "./parts.js";
import { match } from "./router.js";
import { keepCounting, shell, titled } from "./shell.js";

const ROUTES = [
  ["/", inboxPage],
  ["/reprocessing/:id", decisionPage],
  ["/together", togetherPage],
  ["/systems", systemsPage],
  ["/systems/:id", systemPage],
  ["/nodes", nodesPage],
  ["/history", historyPage],
  ["/skipped", skippedPage],
  ["/stale", stalePage],
  ["/signin", signInPage],
];

let leaving = new AbortController();

/** Show the page that the URL names; the one before it is told to stop. */
function show({ focus = true } = {}) {
  leaving.abort();
  leaving = new AbortController();
  const found = match(ROUTES, location.hash);
  const { element, main } = shell({ path: found?.pattern, redraw: () => show({ focus: false }) });
  fill(document.getElementById("app"), element);
  const page = found ? found.page({ ...found, signal: leaving.signal }) : missing();
  fill(main, page);
  const title = page.querySelector("h1");
  titled(title?.textContent ?? "");
  keepCounting(leaving.signal);
  if (focus) title?.focus({ preventScroll: true });
  if (focus) scrollTo(0, 0);
}

function missing() {
  return h("div", {}, h("h1", { tabindex: "-1" }, t("missing.title")), empty(t("missing.text")));
}

function signIn() {
  if (!location.hash.startsWith("#/signin")) location.hash = `#/signin?to=${encodeURIComponent(location.hash || "#/")}`;
}

addEventListener("hashchange", () => show());
addEventListener("maestro:signin", signIn);
show({ focus: false });
