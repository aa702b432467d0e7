// Leaving units out of a reprocessing: those that cannot be replayed, or that somebody chooses not to replay.

import * as api from "../api.js";
import { ask, say } from "../dialog.js";
import { h } from "../dom.js";
import { whoAndWhy } from "../fields.js";
import { id, time } from "../format.js";
import { t } from "../i18n.js";

const NAMED = 10;

/** Ask who leaves these units out and why, then do it. */
export function leaveOut(doc, units, { changed }) {
  const who = whoAndWhy();
  ask({
    title: t("leave.title", { n: units.length }),
    text: t("leave.text"),
    fields: [list(units), ...who.elements],
    button: t("leave.go", { n: units.length }),
    tone: "danger",
    async act() {
      const named = units.map(({ instanceId, branch }) => ({ instanceId, branch }));
      await api.leaveOut(doc.id, { ...who.body(), units: named });
      say(t("leave.done", { n: units.length }));
      changed();
    },
  });
}

/** Show what cannot be replayed, with the way to leave it out where that is possible now; and what was left out. */
export function leftBehind(doc, possible, context) {
  const aside = doc.setAside ?? [];
  const out = doc.leftOut ?? [];
  const go = () => leaveOut(doc, aside, context);
  return [
    aside.length > 0 &&
      h(
        "div",
        { class: "notice attention aside" },
        h("strong", {}, t("leave.aside", { n: aside.length })),
        list(aside),
        possible &&
          h("button", { type: "button", "data-key": "leave", onclick: go }, t("leave.go", { n: aside.length })),
      ),
    out.length > 0 &&
      h(
        "div",
        { class: "left" },
        h("h3", {}, t("leave.out", { n: out.length })),
        h(
          "ul",
          {},
          out.slice(0, NAMED).map((one) =>
            h("li", {}, id(one.instanceId), " ", t("trace.by", { user: one.user }), " · ", time(one.timestamp), ": ", one.reason),
          ),
          rest(out),
        ),
      ),
  ];
}

function list(units) {
  const one = ({ instanceId, branch, problem }) =>
    h("li", {}, id(instanceId), " ", branch, problem && h("small", {}, problem));
  return h("ul", { class: "units" }, units.slice(0, NAMED).map(one), rest(units));
}

const rest = (units) => units.length > NAMED && h("li", {}, t("leave.more", { n: units.length - NAMED }));
