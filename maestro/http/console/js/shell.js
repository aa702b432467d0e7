// The frame around every page: where one can go, and the switches.

import * as api from "./api.js";
import { fill, h } from "./dom.js";
import { LANGUAGES, language, t } from "./i18n.js";
import { icon } from "./parts.js";
import { href } from "./router.js";
import * as session from "./session.js";

const PLACES = [
  ["/", "nav.inbox"],
  ["/systems", "nav.systems"],
  ["/stale", "nav.stale"],
  ["/history", "nav.history"],
  ["/skipped", "nav.skipped"],
];
/** Where one can go as well where there is a cluster; whether there is one is asked until it is known. */
const OF_CLUSTER = [["/nodes", "nav.nodes"]];
let clustered = null;
const LOOK = 15_000;
const INSIDE = { "/reprocessing/:id": "/", "/together": "/", "/systems/:id": "/systems" };

/** Return the frame, and the element that the page goes into. */
export function shell({ path, redraw }) {
  document.documentElement.lang = language();
  const main = h("main", { id: "main", tabindex: "-1" });
  const current = INSIDE[path] ?? path;
  const skip = h("button", { type: "button", class: "skip-link", onclick: () => main.focus() }, t("nav.skip"));
  const element = h(
    "div",
    {},
    skip,
    h(
      "header",
      { class: "top" },
      h("div", { class: "top-inner" }, brand(), places(current), h("div", { class: "switches" }, switches(redraw))),
    ),
    main,
  );
  return { element, main };
}

function brand() {
  const picture = h("img", { src: "/console/icon.svg", alt: "", width: 24, height: 24 });
  return h("a", { class: "brand", href: href("/"), "aria-label": t("nav.home") }, picture, h("span", {}, "Maestro"));
}

function places(current) {
  const link = ([path, key]) =>
    h(
      "a",
      { href: href(path), "aria-current": path === current ? "page" : null },
      t(key),
      path === "/" && h("span", { class: "count", id: "needs-count" }),
    );
  const element = h("nav", { class: "places", "aria-label": t("nav.label") }, PLACES.map(link));
  const more = () => clustered && element.append(...OF_CLUSTER.map(link));
  if (clustered === null) {
    api.config().then(
      ({ cluster }) => [(clustered = cluster), more()],
      () => {},
    );
  } else more();
  return element;
}

function switches(redraw) {
  const languages = Object.entries(LANGUAGES).map(([code, { name }]) => [code, name]);
  const themes = [
    ["", t("theme.auto")],
    ["light", t("theme.light")],
    ["dark", t("theme.dark")],
  ];
  const signOut = () => {
    session.setToken("");
    api.forget();
    location.hash = "#/signin";
  };
  return [
    choice(t("nav.language"), languages, language(), (value) => {
      session.setLanguage(value);
      redraw();
    }),
    choice(t("nav.theme"), themes, session.theme(), session.setTheme),
    session.token() &&
      h("button", { type: "button", class: "quiet", onclick: signOut }, icon("cross"), t("nav.signout")),
  ];
}

function choice(label, options, current, choose) {
  const select = h(
    "select",
    { "aria-label": label, title: label, class: "compact", onchange: () => choose(select.value) },
    options.map(([value, text]) => h("option", { value, selected: value === current }, text)),
  );
  return select;
}

let waits = 0;
let place = "";

/** Say in the navigation and in the tab's title how much waits for a person. */
export function needed(n) {
  waits = n;
  const badge = document.getElementById("needs-count");
  if (badge) fill(badge, n ? h("span", { "aria-label": t("nav.needs", { n }) }, String(n)) : null);
  document.title = `${n ? `(${n}) ` : ""}${place} · Maestro`;
}

/** Name the page in the tab's title, behind how much waits. */
export function titled(text) {
  place = text;
  needed(waits);
}

/** Keep the count true while a page is shown that does not look itself. */
export async function keepCounting(signal) {
  while (!signal.aborted) {
    if (!document.hidden && !location.hash.startsWith("#/signin")) {
      await api.todo({ limit: 1 }, signal).then(
        ({ total }) => needed(total),
        () => {},
      );
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, LOOK);
      signal.addEventListener("abort", () => [clearTimeout(timer), resolve()], { once: true });
    });
  }
}
