// Finds units among thousands: by process, branch, period, state and text. The server searches, and counts what each
// choice would show.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { field } from "../fields.js";
import { amount, words } from "../format.js";
import { t } from "../i18n.js";

const GROUPS = ["process", "branch", "period", "state"];
/** Milliseconds after the last key before it is searched. */
const PAUSE = 300;

/** Return the fields; they are made once for a page, so that nothing typed is lost to an update. */
export function searchFields() {
  const wanted = {};
  const text = h("input", { type: "search", maxlength: 200, "data-key": "units-text", oninput: typed });
  const selects = Object.fromEntries(
    GROUPS.map((group) => [group, h("select", { "data-key": `units-${group}`, onchange: () => choose(group) })]),
  );
  const all = h("button", { type: "button", class: "quiet", "data-key": "units-all", onclick: clear }, t("units.all"));
  const element = h(
    "details",
    { class: "search", ontoggle: () => element.open && it.opened() },
    h("summary", {}, t("units.search")),
    h(
      "form",
      { role: "search", class: "filters", onsubmit: (event) => event.preventDefault() },
      field(t("units.text"), text),
      GROUPS.map((group) => field(t(`units.${group}`), selects[group])),
      all,
    ),
  );
  let timer;
  const it = { element, wanted, opened: () => {}, changed: () => {}, show, page: 0 };
  return it;

  function typed() {
    clearTimeout(timer);
    timer = setTimeout(() => set("text", text.value.trim()), PAUSE);
  }

  function choose(group) {
    set(group, selects[group].value);
  }

  function set(name, value) {
    if (value) wanted[name] = value;
    else delete wanted[name];
    it.page = 0;
    it.changed();
  }

  function clear() {
    clearTimeout(timer);
    text.value = "";
    for (const name of Object.keys(wanted)) delete wanted[name];
    it.page = 0;
    it.changed();
  }

  /** Offer what there is, each with how many units it would show. */
  function show(groups) {
    for (const group of GROUPS) {
      const { values, others } = groups[group];
      const chosen = wanted[group];
      const missing = chosen && !values.some(({ value }) => value === chosen) ? [{ value: chosen, count: 0 }] : [];
      fill(
        selects[group],
        h("option", { value: "" }, t("units.any")),
        [...missing, ...values]
          .filter(({ value }) => value)
          .map(({ value, count }) => h("option", { value }, `${called(group, value)} (${amount(count)})`)),
        others > 0 && h("option", { value: "", disabled: true }, t("units.others", { n: others })),
      );
      selects[group].value = chosen ?? "";
    }
  }
}

/** Return a page of the units that fit what is wanted; without a wish, of all. */
export const findUnits = (doc, wanted, after, limit, signal) => api.units(doc.id, { ...wanted, after, limit }, signal);

function called(group, value) {
  if (group === "process") return words(value);
  if (group !== "state") return value;
  if (value === "outstanding") return t("unit.todo");
  return value === "done" ? t("unit.done") : t(`unit.step.${value}`);
}
