// The decision report: made by the gateway, opened as a page of its own or saved as a file.

import * as api from "../api.js";
import { show } from "../dialog.js";
import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { failed } from "../parts.js";

/** Return the button that makes a document's report, in the language in use. */
export function report(id, signal) {
  const make = async ({ target }) => {
    target.disabled = true;
    try {
      offer(id, await api.report(id, language(), signal));
    } catch (problem) {
      if (!signal.aborted) target.after(failed(problem));
    }
    target.disabled = false;
  };
  return h("button", { type: "button", class: "quiet", "data-key": "report", onclick: make }, t("report.make"));
}

/** The page came with the credential of this one, so that it is not at an address that could simply be opened. */
function offer(id, { page, digest }) {
  const href = URL.createObjectURL(page);
  const dialog = show(
    t("report.title"),
    h("p", {}, t("report.means")),
    h("p", {}, h("small", {}, t("report.digest")), " ", h("span", { class: "mono" }, digest)),
    h(
      "p",
      { class: "links" },
      h("a", { href, target: "_blank", rel: "noopener" }, t("report.open")),
      h("a", { href, download: `report-${id}.html` }, t("report.save")),
    ),
  );
  dialog.addEventListener("close", () => URL.revokeObjectURL(href));
}
