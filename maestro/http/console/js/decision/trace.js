// Who did what, when and why.

import { isNote, tone } from "../documents.js";
import { h } from "../dom.js";
import { time } from "../format.js";
import { t } from "../i18n.js";
import { badge, section } from "../parts.js";
import { recorded } from "./demand.js";
import { report } from "./report.js";

export function trace({ id, history, policies }, signal) {
  const entry = ({ status, timestamp, user, reason, cause }, ...at) =>
    h(
      "li",
      {},
      isNote({ status }, ...at) ? h("span", { class: "badge neutral" }, t("trace.note")) : badge(status),
      h("span", {}, t("trace.by", { user }), " · ", time(timestamp)),
      reason && h("blockquote", {}, reason),
      cause && h("p", { class: `cause ${tone(status)}` }, cause),
    );
  const options = { id: "trace", aside: report(id, signal) };
  return section(
    t("trace.title"),
    options,
    h("ol", { class: "trace" }, history.map(entry)),
    recorded(policies),
  );
}
