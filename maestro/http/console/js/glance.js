// Systems at a glance: state, lock, what waits, what went wrong.

import { h } from "./dom.js";
import { ago } from "./format.js";
import { t } from "./i18n.js";
import { badge, empty, icon } from "./parts.js";
import { href } from "./router.js";
import { table } from "./table.js";

export function glance(systems) {
  if (!systems.length) return empty(t("systems.empty"), t("systems.empty.hint"));
  const columns = [
    { title: t("word.system"), show: link },
    { title: t("word.state"), show: (system) => [badge(system.state, "state"), detail(system)] },
    { title: t("word.lock"), show: lock },
    { title: t("word.waiting"), number: true, show: (system) => count(system.waiting) },
    { title: t("word.errors"), number: true, show: (system) => errors(system) },
  ];
  return table(t("inbox.systems"), columns, systems);
}

/** Return how many messages are on a system's error queues; null when the broker is out of reach. */
export function failures(system) {
  if (!system.queues) return null;
  const queues = Object.entries(system.queues).filter(([name]) => name.includes("error"));
  return queues.reduce((sum, [, depth]) => sum + Math.max(0, depth), 0);
}

function link(system) {
  const path = `/systems/${encodeURIComponent(system.id)}`;
  return h("a", { href: href(path), "data-key": `system-${system.id}` }, system.id);
}

function detail(system) {
  const { running, message } = system;
  if (message) return h("small", {}, message);
  if (!running) return null;
  const { replayed, outstanding } = running.progress;
  const text = t("systems.progress", { replayed, total: replayed + outstanding });
  return h("a", { class: "small", href: href(`/reprocessing/${encodeURIComponent(running.id)}`) }, text);
}

function lock(system) {
  if (!system.lock) return h("span", { class: "muted" }, t("systems.unlocked"));
  return h("span", {}, icon("lock"), t("systems.locked"), " ", ago(system.lock.since));
}

function errors(system) {
  const depth = failures(system);
  const reason = system.lastError;
  if (depth === null || depth === undefined) return h("span", { class: "muted", title: t("systems.nobroker") }, "?");
  if (!depth) return count(0);
  return [
    h("a", { class: "bad", href: href(`/systems/${encodeURIComponent(system.id)}`) }, String(depth)),
    reason && h("small", {}, reason.reason ?? String(reason)),
  ];
}

const count = (n) => h("span", { class: n ? "" : "muted" }, n === undefined ? "–" : String(n));
