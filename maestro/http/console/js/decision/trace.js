// Who did what, when and why.

import { tone } from "../documents.js";
import { h } from "../dom.js";
import { time } from "../format.js";
import { t } from "../i18n.js";
import { badge, section } from "../parts.js";
import { report } from "./report.js";

const BUDGET = /^budget of ([\d.]+) (replays|minutes) used$/;

export function trace({ id, history }, signal) {
  const entry = ({ status, timestamp, user, reason, cause }) =>
    h(
      "li",
      {},
      badge(status),
      h("span", {}, t("trace.by", { user }), " · ", time(timestamp)),
      reason && h("blockquote", {}, reason),
      cause && h("p", { class: `cause ${tone(status)}` }, said(cause)),
    );
  const options = { id: "trace", aside: report(id, signal) };
  return section(t("trace.title"), options, h("ol", { class: "trace" }, history.map(entry)));
}

/** Return a cause in the reader's language where it is one of Maestro's own making. */
function said(cause) {
  const [, n, unit] = BUDGET.exec(cause) ?? [];
  return unit ? t(`cause.${unit}`, { n: Number(n) }) : cause;
}
