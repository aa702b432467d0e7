// Systems at a glance: state, lock, what waits, what went wrong.

import * as api from "./api.js";
import { h } from "./dom.js";
import { ago } from "./format.js";
import { t } from "./i18n.js";
import { badge, empty, icon } from "./parts.js";
import { href } from "./router.js";
import { table } from "./table.js";

/** Messages that are looked at for the latest reason. */
const NEWEST = 50;
const FRESH = 30_000;

export function glance(systems) {
  if (!systems.length) return empty(t("systems.empty"), t("systems.empty.hint"));
  const columns = [
    { title: t("word.system"), show: link },
    { title: t("word.state"), show: (system) => [badge(system.state, "state"), detail(system)] },
    { title: t("word.lock"), show: lock },
    { title: t("word.waiting"), number: true, show: (system) => (silent(system) ? unknown() : count(system.waiting)) },
    { title: t("word.errors"), number: true, show: errors },
    { title: t("systems.error"), show: (system) => h("small", { class: "bad" }, system.failures.reason || "") },
  ];
  return table(t("inbox.systems"), columns, systems);
}

/** Most of what waits that one look for what was given up reads. */
const MOST = 1000;

/**
 * What failed and still stands so: events on the error queues, which are looked into now and then, for the list of
 * systems does not measure queues; and reprocessings that were given up with work left. (Their own error queue keeps
 * each one that ever failed, also when it was retried and finished since.)
 */
export class Failures {
  #known = new Map();

  /** Return the systems with `failures`: how many there are, and why the latest failed; `page` is of what waits for a person. */
  async of(systems, page, signal) {
    const gone = await givenUp(page, signal);
    const all = systems.map(async (system) => ({ ...system, failures: joined(await this.#look(system, signal), gone.get(system.id)) }));
    return Promise.all(all);
  }

  async #look(system, signal) {
    if (silent(system)) return { count: undefined, reason: "" };
    const { id, counters } = system;
    const seen = counters?.error ?? 0;
    if (!seen) return { count: 0, reason: "" };
    const known = this.#known.get(id);
    if (known?.seen === seen && Date.now() - known.at < FRESH) return known;
    const [measured, found] = await Promise.all([
      api.system(id, signal),
      api.errors(id, "", 0, NEWEST, signal).catch(() => ({ errors: [] })),
    ]);
    const depth = measured.queues?.[`persist.${id}.queue.error`] ?? 0;
    const count = measured.queues ? Math.max(0, depth) : null;
    const looked = { seen, at: Date.now(), count, reason: found.errors.at(-1)?.reason ?? "" };
    this.#known.set(id, looked);
    return looked;
  }
}

/** Return the failed reprocessings by system. */
async function givenUp(page, signal) {
  const whole = page.counts?.failed && page.next !== null ? await api.todo({ limit: MOST }, signal) : page;
  return Map.groupBy(whole.items.filter(({ kind }) => kind === "failed"), ({ system }) => system);
}

function joined({ count, reason }, gone = []) {
  return { count: typeof count === "number" ? count + gone.length : count, reason: reason || (gone.at(-1)?.cause ?? "") };
}

function link(system) {
  const path = `/systems/${encodeURIComponent(system.id)}`;
  return h("a", { href: href(path), "data-key": `system-${system.id}` }, system.id);
}

function detail(system) {
  const { running, message, broker } = system;
  if (message) return h("small", {}, message);
  if (broker) return h("small", { class: "bad" }, t("systems.broker", { broker }));
  if (!running) return null;
  const { replayed, outstanding } = running.progress;
  const text = t("systems.progress", { replayed, total: replayed + outstanding });
  return h("a", { class: "small", href: href(`/reprocessing/${encodeURIComponent(running.id)}`) }, text);
}

/** A system that does not answer: what it has is not known, and not nothing. */
const silent = (system) => system.state === "unavailable";

const unknown = () => h("span", { class: "muted", title: t("systems.unknown") }, "–");

function lock(system) {
  if (silent(system)) return unknown();
  if (!system.lock) return h("span", { class: "muted" }, t("systems.unlocked"));
  return h("span", {}, icon("lock"), t("systems.locked"), " ", ago(system.lock.since));
}

function errors({ id, failures }) {
  if (failures.count === undefined) return unknown();
  if (failures.count === null) return h("span", { class: "muted", title: t("systems.nobroker") }, "?");
  if (!failures.count) return count(0);
  return h("a", { class: "bad", href: href(`/systems/${encodeURIComponent(id)}`) }, String(failures.count));
}

const count = (n) => h("span", { class: n ? "" : "muted" }, String(n));
