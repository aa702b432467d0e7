// Commits that somebody decided not to make: what they held, who skipped them and why, and the way back.

import * as api from "../api.js";
import { asked } from "../decision/run.js";
import { show } from "../dialog.js";
import { fill, h } from "../dom.js";
import { gist, id, time, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, failed, json, loading, section } from "../parts.js";
import { href } from "../router.js";
import { paged, table } from "../table.js";

const SIZE = 25;
const MOST_PAGES = 20;

export function skippedPage({ signal }) {
  const list = h("div", {}, loading());
  const context = { changed: load };
  load();
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("skipped.title")),
    h("p", { class: "lead" }, t("skipped.lead")),
    section(t("skipped.list"), {}, list),
  );

  async function load() {
    try {
      const systems = await api.systems(signal);
      const found = (await Promise.all(systems.map((system) => ledger(system.id, signal)))).flat();
      found.sort((one, other) => (one.skipped.timestamp < other.skipped.timestamp ? 1 : -1));
      fill(list, found.length ? paged(found, (rows) => shown(rows, context), {}, SIZE) : empty(t("skipped.empty")));
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, load));
    }
  }
}

/** Return a system's skipped commits. */
async function ledger(systemId, signal) {
  const found = [];
  let after = 0;
  for (let page = 0; page < MOST_PAGES && after !== null; page += 1) {
    const { skipped, next } = await api.skipped(systemId, after, signal);
    found.push(...skipped.map((entry) => ({ ...entry, systemId })));
    after = next;
  }
  return found;
}

function shown(rows, context) {
  const columns = [
    { title: t("skipped.when"), show: (row) => time(row.skipped.timestamp) },
    { title: t("word.system"), show: (row) => row.systemId },
    { title: t("word.event"), show: (row) => link(row) },
    { title: t("word.branch"), show: (row) => row.branch },
    {
      title: t("history.by"),
      show: (row) => [row.skipped.user, row.skipped.reason && h("small", {}, row.skipped.reason)],
    },
    { title: t("skipped.units"), number: true, show: (row) => String(row.units) },
    { title: t("action.look"), show: (row) => actions(row, context) },
  ];
  return table(t("skipped.title"), columns, rows);
}

function link(row) {
  const { processId, name, payload } = row.pendingEvent;
  const text = [h("strong", {}, words(processId ?? name)), h("small", {}, gist(payload) || id(row.instanceId))];
  return h("a", { href: href(`/reprocessing/${encodeURIComponent(row.id)}`) }, text);
}

function actions(row, context) {
  const again = row.reconsidered
    ? h("span", { class: "muted" }, t("skipped.reconsidered", { n: row.reconsidered }))
    : h(
        "button",
        { type: "button", class: "quiet", onclick: () => asked("reconsider", row, context) },
        t("run.reconsider"),
      );
  return [
    h(
      "button",
      { type: "button", class: "quiet", onclick: () => show(t("skipped.payload"), json(row.pendingEvent)) },
      t("skipped.payload"),
    ),
    again,
  ];
}
