// The question before several are decided together, and what became of each.

import * as api from "./api.js";
import { ask } from "./dialog.js";
import { h } from "./dom.js";
import { field } from "./fields.js";
import { amount, id } from "./format.js";
import { known, t } from "./i18n.js";
import { section } from "./parts.js";
import { href } from "./router.js";
import { table } from "./table.js";
import { called } from "./todo.js";

const TONES = { decided: "ok", noted: "info", refused: "danger", unknown: "attention" };

/** Ask whether all of `items` are to be decided, each named with its digest; `done(answer)` is called once they are. */
export function confirm({ action, tone, items, body, above, done }) {
  const replays = items.reduce((sum, { units }) => sum + units, 0);
  const typed = replays > above ? typedNumber(replays) : null;
  const list = h(
    "ul",
    { class: "told", tabindex: "0", "aria-label": t("together.list") },
    items.map((item) => h("li", {}, line(item), " ", h("span", { class: "mono" }, item.digest))),
  );
  ask({
    title: t(`together.${action}`, { n: items.length }),
    text: consequences(action, items),
    fields: [list, typed, h("p", { class: "muted small" }, t("together.sure")), h("blockquote", {}, body.reason)],
    button: t(`together.${action}`, { n: items.length }),
    tone,
    act: async () => {
      const digests = items.map(({ reprocessing, digest }) => ({ id: reprocessing, digest }));
      done(await api.decideMany({ ...body, action, items: digests }));
    },
  });
}

/** Say what the decision does: to those whose commits are held, and to the late ones, which hold none. */
function consequences(action, items) {
  const replays = (late) => items.filter((item) => (item.kind === "late") === late).map(({ units }) => units);
  const sentence = (key, found) => found.length && t(key, { n: found.reduce((sum, one) => sum + one, 0) });
  const said = [sentence(`together.${action}.text`, replays(false)), sentence(`together.${action}.late`, replays(true))];
  return said.filter(Boolean).join(" ");
}

/** Show what became of each, in the order in which they were chosen. */
export function became(items, answer) {
  const by = new Map(items.map((item) => [item.reprocessing, item]));
  const counts = Object.keys(TONES).filter((outcome) => answer[outcome]);
  return section(
    t("together.became"),
    { id: "became" },
    h(
      "ul",
      { class: "counters outcomes" },
      counts.map((outcome) => h("li", {}, h("strong", {}, amount(answer[outcome])), " ", t(`together.is.${outcome}`))),
    ),
    table(t("together.became"), columns(by), answer.items),
  );
}

function columns(by) {
  return [
    {
      title: t("word.event"),
      show: (one) => h("a", { href: href(`/reprocessing/${encodeURIComponent(one.id)}`) }, by.has(one.id) ? named(by.get(one.id)) : id(one.id)),
    },
    { title: t("word.system"), show: (one) => one.system || by.get(one.id)?.system },
    {
      title: t("together.outcome"),
      show: (one) => h("span", { class: `badge ${TONES[one.outcome]}` }, known(`together.is.${one.outcome}`, one.outcome)),
    },
    { title: t("impact.why"), show: (one) => one.message || "–" },
  ];
}

/** Ask for the number of replays to be typed: so many should not be a slip of the hand. */
function typedNumber(replays) {
  const input = h("input", { name: "typed", autocomplete: "off", inputmode: "numeric", required: true });
  const check = () => input.setCustomValidity(input.value.trim() === String(replays) ? "" : t("together.typed.wrong"));
  input.addEventListener("input", check);
  check();
  return field(t("together.typed", { n: String(replays) }), input, t("decide.typed.hint"));
}

/** What a pending one is called: its event, and what that is about. */
export const named = (item) => [called(item), item.about].filter(Boolean).join(" · ");
const line = (item) => `${item.system}: ${named(item)}, ${t("together.n", { n: item.units })}`;
