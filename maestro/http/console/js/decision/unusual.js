// What is unusual about a held correction: its new numbers against the old ones and against their past values.

import * as api from "../api.js";
import { phase } from "../documents.js";
import { fill, h } from "../dom.js";
import { amount, percent, short } from "../format.js";
import { t } from "../i18n.js";
import { labelsOf } from "../labels.js";
import { failed, loading, more, section } from "../parts.js";
import { table } from "../table.js";

/** Milliseconds between two looks while something is still to come, and how often. */
const AGAIN = 2000;
const LOOKS = 60;

/** Return what the section depends on: it is made anew only when that changes. */
export const unusualOf = (doc) => ({ id: doc.id, systemId: doc.systemId, shown: phase(doc) === "pending" && !doc.late });

/** Return the section of a pending decision; nothing of another, or of one that commits nothing. */
export function unusual({ id, systemId, shown }, signal) {
  if (!shown) return null;
  const content = h("div", {}, loading());
  load(LOOKS);
  return section(t("unusual.title"), { id: "unusual" }, content);

  async function load(looks) {
    try {
      const [page, labels] = await Promise.all([api.unusual(id, signal), labelsOf(systemId)]);
      fill(content, told(page, labels));
      if (page.pending && looks > 0) setTimeout(() => !signal.aborted && load(looks - 1), AGAIN);
    } catch (problem) {
      if (!signal.aborted) fill(content, failed(problem, () => load(LOOKS)));
    }
  }
}

function told(page, labels) {
  const { values, problem, pending, enough, limit } = page;
  return [
    h("p", { class: "summary" }, h("strong", {}, sentence(page))),
    problem && h("p", { class: "muted" }, `${t("unusual.problem")} ${problem}`),
    pending && h("p", { class: "muted" }, t("unusual.pending")),
    values.length > 0 && table(t("unusual.title"), columns(page, labels), values),
    values.length > 0 && more(t("unusual.how"), h("p", {}, t("unusual.measure", { enough, limit }))),
  ];
}

function sentence({ unusual: standing, values, problem, pending }) {
  if (!values.length) return t(problem || pending ? "unusual.unknown" : "unusual.nothing");
  if (standing) return t("unusual.some", { n: standing, of: values.length });
  const compared = values.filter(({ verdict }) => !["too_few", "pending"].includes(verdict)).length;
  if (compared === values.length) return t("unusual.none", { n: compared });
  if (compared) return t("unusual.none.compared", { n: compared, of: values.length });
  return t(pending ? "unusual.unknown" : "unusual.few");
}

function columns({ enough }, labels) {
  const value = (row, one, other) => h("span", { class: "whole" }, labels.measured(row.type, row.field, one, [other]));
  return [
    {
      title: t("outcome.row"),
      show: (row) => [h("span", { title: row.id }, row.about || short(row.id)), h("small", {}, labels.type(row.type))],
    },
    { title: t("outcome.field"), show: (row) => h("span", { title: row.field }, labels.field(row.type, row.field)) },
    { title: t("unusual.old"), number: true, show: (row) => value(row, row.before, row.after) },
    { title: t("unusual.new"), number: true, show: (row) => value(row, row.after, row.before) },
    {
      title: t("outcome.percent"),
      number: true,
      show: (row) => (typeof row.percent === "number" ? h("span", { class: "whole" }, percent(row.percent)) : "–"),
    },
    { title: t("unusual.past"), show: (row) => [marks(row), h("small", {}, because(row, enough, labels))] },
  ];
}

/** Mark what stands out. */
function marks({ slipped, verdict }) {
  const mark = (text, title = null) => h("span", { class: "badge attention", title }, text);
  const times = 10 ** Math.abs(slipped);
  return [
    slipped !== 0 && mark(t(slipped > 0 ? "unusual.slip.up" : "unusual.slip.down", { times }), t("unusual.slip.means")),
    ["unusual", "constant"].includes(verdict) && mark(t(`unusual.verdict.${verdict}`)),
  ];
}

function because({ type, field, verdict, past }, enough, labels) {
  const shown = (value) => labels.value(type, field, value);
  const values = { n: past.count, median: shown(past.median), low: shown(past.low), high: shown(past.high), enough };
  const score = past.score === null ? "" : t("unusual.score", { score: amount(Math.round(past.score * 10) / 10) });
  return [t(`unusual.because.${verdict}`, values), score, verdict === "too_few" && past.ends].filter(Boolean).join(" ");
}
