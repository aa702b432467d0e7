// Why a unit is in a reprocessing, in plain words: who named it, and which rows it read that are changed.

import * as api from "../api.js";
import { h } from "../dom.js";
import { short } from "../format.js";
import { t } from "../i18n.js";
import { names } from "./rows.js";

/** Rows of one unit that are told. */
const TOLD = 3;

/** Return the evidence of a page of units, by position; each page is asked for once, for as long as the units are these. */
export async function evidenceOf(doc, positions, place, signal) {
  const about = `${doc.digest} ${doc.status} ${positions}`;
  place.evidence ??= new Map();
  if (!place.evidence.has(about)) {
    const [page, called] = await Promise.all([api.evidenceAt(doc.id, positions, signal), names(doc, signal)]);
    const named = (row) => ({ ...row, called: called.get(row.id) ?? short(row.id) });
    const told = page.units.map((unit, index) => [positions[index], { ...unit, read: unit.read.map(named) }]);
    place.evidence.set(about, new Map(told));
  }
  return place.evidence.get(about);
}

/** Say who named a unit, without asking anybody. */
export const namedBy = (unit) => t(`evidence.named.${unit.named ?? "discovery"}`);

/** Say why a unit is there. */
export function why(unit, late) {
  const rows = unit.read.slice(0, TOLD).map((row) => h("li", {}, told(row, unit, late)));
  const more = unit.rows - rows.length;
  return [
    h("small", { class: "named" }, namedBy(unit)),
    rows.length > 0 && h("ul", { class: "evidence" }, rows, more > 0 && h("li", {}, t("evidence.more", { n: more }))),
    !rows.length && !unit.problem && h("small", {}, t("evidence.none")),
    unit.addsRows > 0 && h("small", {}, t("evidence.adds", { n: unit.addsRows })),
    unit.problem && h("small", { class: "bad" }, t("evidence.problem"), " ", unit.problem),
  ];
}

function told(row, unit, late) {
  const values = { type: row.type, id: row.called };
  const said = late ? t("evidence.missed", { ...values, by: unit.missed.map(short).join(", ") }) : t("evidence.read", values);
  return [h("span", { title: row.id }, said), row.wrote && ` ${t("evidence.wrote")}`];
}
