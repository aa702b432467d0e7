// One system: its state, the events that wait, and those that failed.

import * as api from "../api.js";
import { h, region } from "../dom.js";
import { errorQueue } from "../queues/errors.js";
import { waitQueue } from "../queues/waiting.js";
import { ago, id } from "../format.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { badge, facts, failed, icon, loading, section } from "../parts.js";
import { href } from "../router.js";
import { todoList } from "../todo.js";

/** Failed reprocessings that are named. */
const NAMED = 5;

export function systemPage({ params, signal }) {
  const state = region(({ problem, ...shown }) =>
    problem ? failed(new api.Failure(problem[0], problem[1])) : overview(shown),
  );
  const needs = region((shown) => (shown.page.total ? section(t("inbox.title"), {}, todoList(shown, look, () => {})) : null));
  const waiting = waitQueue(params.id, signal);
  const errors = errorQueue(params.id, signal);
  const lists = h(
    "div",
    {},
    section(t("waiting.title"), { id: "waiting" }, h("p", { class: "muted" }, t("waiting.text")), waiting.element),
    section(t("errors.title"), { id: "errors" }, h("p", { class: "muted" }, t("errors.text")), errors.element),
  );
  let loaded = false;
  state.element.append(loading());
  watch(look, { signal, systemId: params.id });
  return h(
    "div",
    {},
    h("p", { class: "crumbs" }, h("a", { href: href("/systems") }, t("nav.systems")), " / ", params.id),
    h("h1", { tabindex: "-1" }, params.id),
    needs.element,
    state.element,
    lists,
  );

  async function look() {
    try {
      const system = await api.system(params.id, signal);
      const page = await api.todo({ system: params.id, limit: 200 }, signal);
      const gone = page.items.filter(({ kind }) => kind === "failed").map(({ reprocessing }) => reprocessing);
      state.update({ system, gone, failures: page.counts.failed ?? 0 });
      needs.update({ page: { ...page, counts: {}, next: null }, minute: Math.floor(Date.now() / 60_000) });
      waiting.update(system.waiting);
      errors.update(system.queues?.[`persist.${params.id}.queue.error`] ?? null);
      loaded = true;
    } catch (problem) {
      if (!signal.aborted) state.update({ problem: [problem.status ?? 0, problem.message] });
    }
    // Of a system that does not answer nothing is being loaded: what was read of it before stays.
    lists.hidden = !loaded;
  }
}

function overview({ system, gone, failures }) {
  const { counters = {}, queues } = system;
  const busy = [...system.pending, ...system.approved, ...(system.running ? [system.running.id] : [])];
  const more = failures - Math.min(gone.length, NAMED);
  return section(
    t("system.now"),
    { aside: badge(system.state, "state") },
    facts([
      [
        t("word.lock"),
        system.lock
          ? h("span", {}, icon("lock"), t("systems.locked"), " ", ago(system.lock.since))
          : t("systems.unlocked"),
      ],
      [t("system.decisions"), busy.length ? busy.map(decision) : t("system.none")],
      [t("word.waiting"), String(system.waiting)],
      [
        t("system.failed"),
        failures > 0 && [
          gone.slice(0, NAMED).map(decision),
          more > 0 && h("a", { href: href("/history", { system: system.id }) }, t("leave.more", { n: more })),
        ],
      ],
      [t("system.node"), system.node && h("a", { href: href("/nodes") }, system.node)],
      [t("system.broker"), queues ? "" : t("systems.nobroker")],
    ]),
    h(
      "ul",
      { class: "counters" },
      Object.entries(counters).map(([name, n]) => h("li", {}, h("strong", {}, String(n)), t(`counter.${name}`))),
    ),
  );
}

function decision(one) {
  return h("a", { href: href(`/reprocessing/${encodeURIComponent(one)}`), "data-key": one }, id(one), " ");
}
