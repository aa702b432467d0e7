// What needs a person, in all systems, the most urgent first; and the systems at a glance.

import * as api from "../api.js";
import { h, region } from "../dom.js";
import { clock } from "../format.js";
import { Failures, glance } from "../glance.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { loading, section } from "../parts.js";
import { needed } from "../shell.js";
import { todoList } from "../todo.js";

const SIZE = 50;

export function inboxPage({ signal }) {
  const failures = new Failures();
  const place = { limit: SIZE };
  const list = region((shown) => todoList(shown, look, more));
  const systems = region(({ all, asOf }) => [
    asOf && h("p", { class: "muted" }, t("inbox.asof", { time: asOf })),
    h("div", { class: asOf ? "aged" : null }, glance(all)),
  ]);
  const lead = region(({ total }) =>
    total === null ? null : h("p", { class: "lead" }, t(total ? "inbox.lead" : "inbox.lead.none", { n: total })),
  );
  // What was read last of the systems, and when: it stays, marked as old, while Maestro does not answer.
  let last = null;
  list.element.append(loading());
  watch(look, { signal });
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("inbox.title")),
    lead.element,
    list.element,
    section(t("inbox.systems"), {}, systems.element),
  );

  async function look() {
    try {
      const page = await api.todo({ limit: place.limit }, signal);
      lead.update({ total: page.total });
      // The quarter of a minute is part of what is shown: ages are told anew as time passes.
      list.update({ page, moment: Math.floor(Date.now() / 15_000) });
      needed(page.total);
      last = { all: await failures.of(await api.systems(signal), page, signal), at: new Date() };
      systems.update({ all: last.all, asOf: null });
    } catch (problem) {
      if (signal.aborted) return;
      lead.update({ total: null });
      list.update({ problem: { status: problem.status, message: problem.message } });
      if (last) systems.update({ all: last.all, asOf: clock(last.at) });
    }
  }

  function more() {
    place.limit = Math.min(place.limit + SIZE, 1000);
    look();
  }
}
