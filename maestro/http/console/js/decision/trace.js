// Who did what, when and why.

import { h } from "../dom.js";
import { time } from "../format.js";
import { t } from "../i18n.js";
import { badge, section } from "../parts.js";

export function trace(doc) {
  const entry = ({ status, timestamp, user, reason, cause }) =>
    h(
      "li",
      {},
      badge(status),
      h("span", {}, t("trace.by", { user }), " · ", time(timestamp)),
      reason && h("blockquote", {}, reason),
      cause && h("p", { class: "cause" }, cause),
    );
  return section(t("trace.title"), { id: "trace" }, h("ol", { class: "trace" }, doc.history.map(entry)));
}
