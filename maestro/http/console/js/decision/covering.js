// Whether the decision is meant for its whole tag: offered when events of the tag wait on other branches.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { t } from "../i18n.js";

export function covering(doc) {
  const box = h("input", { type: "checkbox", name: "covers", "data-key": "covers" });
  const element = h("div", { class: "covers" });
  let known = null;
  return { element, update, body: () => (box.isConnected && box.checked ? { covers: "tag" } : {}) };

  /** So many events wait now: look which of them are of this tag. */
  async function update(waiting) {
    if (waiting === known || !doc.tag) return;
    known = waiting;
    const page = waiting ? await api.waiting(doc.systemId, 0).catch(() => null) : null;
    const others = (page?.events ?? []).filter((event) => event.tag === doc.tag && event.branch !== doc.branch);
    const branches = [...new Set(others.map((event) => event.branch))].sort();
    if (known !== waiting) return;
    if (!branches.length) fill(element);
    else if (!box.isConnected || element.dataset.branches !== branches.join())
      fill(element, h("label", { class: "check" }, box, " ", t("decide.covers", { branches: branches.join(", ") })));
    element.dataset.branches = branches.join();
  }
}
