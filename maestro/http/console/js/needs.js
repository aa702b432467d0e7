// What needs a person beside decisions: systems that wait for a sibling, and commits that nobody knows the end of.

import * as api from "./api.js";
import { ask, say } from "./dialog.js";
import { h } from "./dom.js";
import { whoAndWhy } from "./fields.js";
import { ago, id } from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./parts.js";
import { href } from "./router.js";

/** Return what needs a person in these systems, as `list` shows it; of a gateway that does not tell, nothing. */
export async function needsOf(systems, signal) {
  const stalls = systems.filter((system) => system.stalled).map((system) => ({ system: system.id, ...system.stalled }));
  const uncertain = systems.filter((system) => system.doubts);
  const pages = await Promise.all(
    uncertain.map(async ({ id: system }) => {
      const page = await api.doubts(system, signal).catch(() => ({ doubts: [] }));
      return page.doubts.filter((one) => one.state === "open").map((doubt) => ({ system, doubt }));
    }),
  );
  return [...stalls, ...pages.flat()];
}

/** Show them; `changed()` is called when something was done about one. Nothing is shown when there is none. */
export function needsList(needs, changed) {
  if (!needs.length) return null;
  return h(
    "section",
    { class: "needs", "aria-label": t("needs.title") },
    h("h2", {}, icon("alert"), t("needs.title")),
    h(
      "ul",
      {},
      needs.map((one) => h("li", {}, one.doubt ? uncertain(one, changed) : stalled(one, changed))),
    ),
  );
}

function stalled({ system, sibling, cause, since }, changed) {
  return [
    h("p", {}, link(system), " ", t("needs.stalled", { sibling }), " ", ago(since)),
    h("p", { class: "cause" }, cause),
    h("p", { class: "muted small" }, t("needs.stalled.hint")),
    button("aside", () => sure("aside", "danger", (body) => api.setAside(system, body), changed, { system })),
  ];
}

function uncertain({ system, doubt }, changed) {
  const values = { system, instance: doubt.instanceId };
  const resolve = (verdict) => (body) => api.resolve(system, doubt.key, { ...body, verdict });
  return [
    h("p", {}, link(system), " ", t("needs.doubt"), " ", id(doubt.instanceId), " ", ago(doubt.since)),
    h("p", { class: "cause" }, doubt.cause),
    doubt.reprocessing &&
      h("p", {}, h("a", { href: href(`/reprocessing/${encodeURIComponent(doubt.reprocessing)}`) }, t("needs.held"))),
    h(
      "div",
      { class: "buttons" },
      button("made", () => sure("made", "primary", resolve("made"), changed, values)),
      button("again", () => sure("again", "danger", resolve("make_again"), changed, values)),
    ),
  ];
}

const link = (system) =>
  h("a", { href: href(`/systems/${encodeURIComponent(system)}`), "data-key": `needs-${system}` }, system);
const button = (what, act) => h("button", { type: "button", class: "quiet", onclick: act }, t(`needs.${what}`));

/** Neither answer is taken without a reason, nor by a slip of the hand. */
function sure(what, tone, act, changed, values) {
  const who = whoAndWhy();
  ask({
    title: t(`needs.${what}`),
    text: t(`needs.${what}.text`, values),
    fields: who.elements,
    button: t(`needs.${what}`),
    tone,
    act: async () => {
      await act(who.body());
      say(t(`needs.${what}.done`));
      changed();
    },
  });
}
