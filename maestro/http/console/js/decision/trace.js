// Who did what, when and why.

import { tone } from "../documents.js";
import { h } from "../dom.js";
import { time } from "../format.js";
import { t } from "../i18n.js";
import { badge, section } from "../parts.js";
import { recorded } from "./demand.js";
import { report } from "./report.js";

const BY_POLICY = /^approved by policy (.+)$/;
const NOW = /^by the policies as they are now: (a person is asked|two people must approve)(; it may not be skipped)?(?:, by (.+))?$/;
const DEMANDS = { "a person is asked": "ask", "two people must approve": "two_approvers" };
const BUDGET = /^budget of ([\d.]+) (replays|minutes) used$/;

export function trace({ id, history, policies }, signal) {
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
  return section(
    t("trace.title"),
    options,
    h("ol", { class: "trace" }, history.map(entry)),
    recorded(policies),
  );
}

/** Return a cause in the reader's language where it is one of Maestro's own making. */
function said(cause) {
  const [, n, unit] = BUDGET.exec(cause) ?? [];
  if (unit) return t(`cause.${unit}`, { n: Number(n) });
  const [, approved] = BY_POLICY.exec(cause) ?? [];
  if (approved) return t("cause.policy", { by: approved });
  const [, demand, skip, by] = NOW.exec(cause) ?? [];
  if (!demand) return cause;
  const says = [t(`policy.approval.${DEMANDS[demand]}`), skip && t("policy.skip"), by].filter(Boolean).join(" ");
  return t("cause.policies", { says });
}
