// The events that failed for good: by why they failed, each with headers and body, and the way back: for a group as it
// is shown, or for chosen ones.

import * as api from "../api.js";
import { ask, say, show } from "../dialog.js";
import { fill, h } from "../dom.js";
import { who } from "../fields.js";
import { amount, id, time, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, failed, json, loading } from "../parts.js";
import { pager, table } from "../table.js";

const SIZE = 50;
/** Groups that are read at once. */
const GROUPS = 100;

/** Return the list; `update` loads it anew when the queue's depth has changed. */
export function errorQueue(systemId, signal) {
  const element = h("div", {}, loading());
  const chosen = new Set();
  let shown;
  let place = { group: null, page: 0, groups: GROUPS };
  return {
    element,
    update(depth) {
      if (depth !== shown) load();
      shown = depth;
    },
  };

  async function load() {
    try {
      const found = await api.errorGroups(systemId, place.groups, signal);
      if (place.group) place.group = found.groups.find(({ key }) => key === place.group.key) ?? null;
      const events = h("div", { tabindex: "-1" }, loading());
      fill(element, found.groups.length ? [groups(found, events), events] : empty(t("errors.empty")));
      if (found.groups.length) await messages(found, events);
    } catch (problem) {
      if (signal.aborted) return;
      fill(
        element,
        problem.missing ? empty(t("errors.depth", { n: shown ?? 0 }), t("errors.unsupported")) : failed(problem, load),
      );
    }
  }

  function groups(found, events) {
    const { total, lookedAt, count } = found;
    const open = (group) => {
      place = { ...place, group, page: 0 };
      messages(found, events).then(() => events.focus());
    };
    const back = found.groups.filter(({ doubt }) => !doubt);
    const more = () => {
      place.groups += GROUPS;
      load();
    };
    return [
      h("p", {}, t("errors.count", { n: total }), " ", t("errors.groups.count", { n: count })),
      total > lookedAt && h("p", { class: "notice attention" }, t("errors.looked", { n: lookedAt, total })),
      table(t("errors.groups"), groupColumns(open, (group) => redriveGroups([group])), found.groups),
      h(
        "div",
        { class: "buttons" },
        count > found.groups.length &&
          h("button", { type: "button", class: "quiet", onclick: more }, t("errors.groups.more")),
        back.length > 1 &&
          h("button", { type: "button", onclick: () => redriveGroups(back) }, t("errors.redrive.all")),
      ),
    ];
  }

  /** Show a page of the messages: of the group chosen, or of all. */
  async function messages(found, events) {
    try {
      const page = await api.errors(systemId, place.group?.key ?? "", place.page * SIZE, SIZE, signal);
      fill(events, list(page, found, events));
    } catch (problem) {
      if (!signal.aborted) fill(events, failed(problem, () => messages(found, events)));
    }
  }

  function list({ total, errors }, found, events) {
    const back = h("button", {
      type: "button",
      class: "primary",
      disabled: true,
      onclick: () => redrive(t("errors.redrive.text"), [], { ids: [...chosen] }, chosen.size),
    });
    const count = () => {
      back.disabled = !chosen.size;
      fill(back, chosen.size ? t("errors.redrive", { n: chosen.size }) : t("errors.redrive.none"));
    };
    count();
    const box = (message) => check(message, chosen, count);
    const turn = (page) => {
      place.page = page;
      messages(found, events);
    };
    const every = () => {
      place = { ...place, group: null, page: 0 };
      messages(found, events);
    };
    return [
      h("h3", {}, place.group ? t("errors.of", { reason: place.group.reason || "–" }) : t("errors.every")),
      place.group && h("button", { type: "button", class: "quiet", onclick: every }, t("errors.show.every")),
      table(t("errors.title"), columns(box), errors),
      total > SIZE && pager(place.page, Math.ceil(total / SIZE), total, turn),
      h("div", { class: "buttons" }, back),
    ];
  }

  function redriveGroups(some) {
    const n = some.reduce((sum, { count }) => sum + count, 0);
    const told = some.map((group) => h("li", {}, `${t("errors.n", { n: group.count })} `, between(group), ` ${group.reason}`));
    const groups = some.map(({ key, count, digest }) => ({ key, count, digest }));
    const list = h("ul", { class: "told", tabindex: "0", "aria-label": t("errors.groups") }, told);
    redrive(t("errors.redrive.groups"), list, { groups }, n);
  }

  function redrive(text, told, what, n) {
    const decider = who();
    ask({
      title: t("errors.redrive", { n }),
      text,
      fields: [told, ...decider.elements],
      button: t("errors.redrive", { n }),
      async act() {
        try {
          const done = await api.redrive(systemId, { ...what, ...decider.body() });
          say(
            t("errors.redriven", { n: done.redriven }) +
              (done.missing.length ? ` ${t("errors.missing", { n: done.missing.length })}` : ""),
          );
          chosen.clear();
        } finally {
          load();
        }
      },
    });
  }
}

function groupColumns(open, back) {
  return [
    { title: t("errors.reason"), show: (group) => h("span", { class: "bad" }, group.reason || "–") },
    { title: t("errors.title"), number: true, show: (group) => amount(group.count) },
    { title: t("errors.when"), show: between },
    { title: t("word.event"), show: (group) => group.events.map(words).join(", ") || "–" },
    { title: t("action.look"), show: (group) => acts(group, open, back) },
  ];
}

/** When the first and the last of a group failed. */
const between = ({ first, last, count }) =>
  first ? [time(first), count > 1 && [" – ", time(last)]] : t("errors.when.unknown");

function acts(group, open, back) {
  const button = (text, act, tone) =>
    h("button", { type: "button", class: tone, "aria-label": `${text}: ${group.reason}`, onclick: () => act(group) }, text);
  return [
    button(t("errors.show", { n: group.count }), open, "quiet"),
    group.doubt
      ? h("small", {}, t("errors.doubt"))
      : button(t("errors.redrive.group", { n: group.count }), back, "quiet"),
  ];
}

function columns(box) {
  return [
    { title: t("errors.choose"), show: box },
    { title: t("errors.reason"), show: (message) => h("span", { class: "bad" }, message.reason || "–") },
    { title: t("errors.when"), show: (message) => (message.failedAt ? time(message.failedAt) : "–") },
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
