// The events that wait behind a decision, oldest first, each with its body on demand.

import * as api from "../api.js";
import { show } from "../dialog.js";
import { fill, h } from "../dom.js";
import { ago, id, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, failed, json, loaded, loading } from "../parts.js";
import { table } from "../table.js";

/** Return the list; `update` loads it anew when the number of waiting events has changed. */
export function waitQueue(systemId, signal) {
  const element = h("div", {}, loading());
  let shown = null;
  return {
    element,
    update(count) {
      if (count !== shown) load(0);
      shown = count;
    },
  };

  async function load(after) {
    try {
      const page = await api.waiting(systemId, after, signal);
      fill(element, page.events.length ? list(page) : empty(t("waiting.empty")));
    } catch (problem) {
      if (!signal.aborted)
        fill(
          element,
          failed(problem, () => load(after)),
        );
    }
  }

  function list({ total, events, next }) {
    const columns = [
      { title: "#", number: true, show: (event) => String(event.number) },
      { title: t("word.event"), show: subject },
      { title: t("word.instance"), show: (event) => id(event.instanceId) },
      { title: t("word.branch"), show: (event) => event.branch },
      { title: t("waiting.since"), show: (event) => ago(event.since) },
      { title: t("action.look"), show: peek },
    ];
    return [
      h("p", {}, t("waiting.count", { n: total })),
      table(t("waiting.title"), columns, events),
      h(
        "div",
        { class: "pager" },
        h("button", { type: "button", class: "quiet", onclick: () => load(0) }, t("pager.first")),
        next !== null && h("button", { type: "button", class: "quiet", onclick: () => load(next) }, t("pager.next")),
      ),
    ];
  }

  /** Persist events are all of one name: the process and what it is about tell them apart. */
  function subject({ name, process, about }) {
    return [h("strong", { title: name }, words(process || name)), about && h("small", {}, about)];
  }

  function peek(event) {
    const open = () =>
      show(
        t("waiting.event", { n: event.number }),
        loaded(() => api.waitingEvent(systemId, event.number, signal), json, signal),
      );
    return h(
      "button",
      { type: "button", class: "quiet", "aria-label": `${t("action.show")} ${event.number}`, onclick: open },
      t("action.show"),
    );
  }
}
