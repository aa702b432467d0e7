// What needs a person beside decisions, and what can be done about it at once: a system that waits for a sibling, a
// commit that nobody knows the end of, events that failed.

import * as api from "./api.js";
import { ask, say } from "./dialog.js";
import { h } from "./dom.js";
import { whoAndWhy } from "./fields.js";
import { t } from "./i18n.js";
import { href } from "./router.js";

/** Return what can be done about an item of the list; `changed()` is called once it is done. */
export function doing(item, changed) {
  switch (item.kind) {
    case "stalled":
      return h(
        "div",
        { class: "do" },
        h("p", { class: "muted small" }, t("needs.stalled.hint")),
        button("aside", () =>
          sure("aside", "danger", (body) => api.setAside(item.system, body), changed, { system: item.system }),
        ),
      );
    case "doubt":
      return uncertain(item, changed);
    default:
      return h("div", { class: "do" }, link(item.system, t("inbox.look")));
  }
}

function uncertain({ system, key, instanceId, reprocessing }, changed) {
  const values = { system, instance: instanceId };
  const resolve = (verdict) => (body) => api.resolve(system, key, { ...body, verdict });
  return h(
    "div",
    { class: "do" },
    reprocessing &&
      h("p", {}, h("a", { href: href(`/reprocessing/${encodeURIComponent(reprocessing)}`) }, t("needs.held"))),
    h(
      "div",
      { class: "buttons" },
      button("made", () => sure("made", "primary", resolve("made"), changed, values)),
      button("again", () => sure("again", "danger", resolve("make_again"), changed, values)),
    ),
  );
}

const link = (system, text) =>
  h("a", { href: href(`/systems/${encodeURIComponent(system)}`), "data-key": `needs-${system}` }, text);
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
