// What policies demand of a decision: which of them, and why, as the document records it.

import { h } from "../dom.js";
import { known, t } from "../i18n.js";
import { notice } from "../parts.js";

/** Show what the policies demand of a pending decision; nothing where they demand nothing. */
export function demanded(doc) {
  if (!doc.policies?.by.length) return null;
  return notice("attention", h("strong", {}, inWords(doc.policies)), list(doc.policies.by));
}

/** Show what the policies demanded of what is decided. */
export function recorded(policies) {
  if (!policies?.by.length) return null;
  const title = h("h3", {}, t("policy.title"));
  return h("div", { class: "policies" }, title, h("p", {}, inWords(policies)), list(policies.by));
}

/** Whether a policy refuses a skip. */
export const skipRefused = (doc) => Boolean(doc.policies?.skipRefused);

function inWords({ approval, skipRefused: refused }) {
  const asked = known(`policy.approval.${approval}`, approval);
  return refused ? `${asked} ${t("policy.skip")}` : asked;
}

function list(by) {
  return h(
    "ul",
    { class: "units" },
    by.map((one) =>
      h(
        "li",
        {},
        h("span", { class: "mono", title: one.digest }, one.name),
        ": ",
        one.effects.map((effect) => known(`policy.effect.${effect}`, effect)).join(", "),
        h("small", {}, one.conditions.length ? one.conditions.map(said).join("; ") : t("policy.always")),
      ),
    ),
  );
}

/** Say what a condition found, in the reader's language; of a setting that is not known here, in Maestro's words. */
function said({ setting, wanted, found, says }) {
  if (found === null) {
    const what = known(`policy.unknown.${setting.split("_")[0]}`, t("policy.unknown"));
    return `${what} (${setting} = ${wanted})`;
  }
  const key = `policy.found.${setting}`;
  const text = t(key, { found, wanted });
  return text === key ? says : text;
}
