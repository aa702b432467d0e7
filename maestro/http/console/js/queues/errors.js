// The events that failed for good: why, their headers and body, and the way back for chosen ones.

import * as api from "../api.js";
import { ask, say, show } from "../dialog.js";
import { fill, h } from "../dom.js";
import { who } from "../fields.js";
import { id, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, failed, json, loading } from "../parts.js";
import { table } from "../table.js";

/** Return the list; `update` loads it anew when the queue's depth has changed. */
export function errorQueue(systemId, signal) {
  const element = h("div", {}, loading());
  const chosen = new Set();
  let shown;
  return {
    element,
    update(depth) {
      if (depth !== shown) load();
      shown = depth;
    },
  };

  async function load() {
    try {
      const found = await api.errors(systemId, signal);
      fill(element, found.errors.length ? list(found) : empty(t("errors.empty")));
    } catch (problem) {
      if (signal.aborted) return;
      fill(
        element,
        problem.missing ? empty(t("errors.depth", { n: shown ?? 0 }), t("errors.unsupported")) : failed(problem, load),
      );
    }
  }

  function list({ total, errors }) {
    for (const gone of chosen) if (!errors.some((message) => message.id === gone)) chosen.delete(gone);
    const back = h("button", {
      type: "button",
      class: "primary",
      disabled: true,
      onclick: () => redrive({ ids: [...chosen] }, chosen.size),
    });
    const count = () => {
      back.disabled = !chosen.size;
      fill(back, chosen.size ? t("errors.redrive", { n: chosen.size }) : t("errors.redrive.none"));
    };
    count();
    const box = (message) => check(message, chosen, count);
    return [
      h("p", {}, t("errors.count", { n: total })),
      total > errors.length && h("p", { class: "muted" }, t("errors.oldest", { n: errors.length })),
      table(t("errors.title"), columns(box), errors),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", onclick: () => redrive({ all: true }, total) }, t("errors.redrive.all")),
        back,
      ),
    ];
  }

  function redrive(what, n) {
    const decider = who();
    ask({
      title: t("errors.redrive", { n }),
      text: t("errors.redrive.text"),
      fields: decider.elements,
      button: t("errors.redrive", { n }),
      async act() {
        const done = await api.redrive(systemId, { ...what, ...decider.body() });
        say(
          t("errors.redriven", { n: done.redriven }) +
            (done.missing.length ? ` ${t("errors.missing", { n: done.missing.length })}` : ""),
        );
        load();
      },
    });
  }
}

function columns(box) {
  return [
    { title: t("errors.choose"), show: box },
    { title: t("errors.reason"), show: (message) => h("span", { class: "bad" }, message.reason || "–") },
    { title: t("word.event"), show: (message) => words(event(message).name) },
    { title: t("word.instance"), show: (message) => id(event(message).instanceId) },
    { title: t("action.look"), show: peek },
  ];
}

function check({ id }, chosen, changed) {
  const choose = ({ target }) => {
    if (target.checked) chosen.add(id);
    else chosen.delete(id);
    changed();
  };
  const input = h("input", { type: "checkbox", "aria-label": `${t("errors.choose")} ${id}`, onchange: choose });
  input.checked = chosen.has(id);
  return input;
}

function peek(message) {
  const open = () =>
    show(
      t("errors.message"),
      h("h3", {}, t("errors.reason")),
      h("p", { class: "bad" }, message.reason || "–"),
      h("h3", {}, t("errors.headers")),
      json(message.headers),
      h("h3", {}, t("errors.body"), message.truncated && ` (${t("errors.truncated", { n: message.size })})`),
      json(message.body),
    );
  return h(
    "button",
    { type: "button", class: "quiet", "aria-label": `${t("action.show")} ${message.id}`, onclick: open },
    t("action.show"),
  );
}

/** Return the event in a message; an empty one where it has none. */
const event = (message) => message.body?.args?.[0] ?? {};
