// What the commit would change: which finished instances have to be computed again, as a table or as a graph.

import { say } from "../dialog.js";
import { impact, phase, replay, replays } from "../documents.js";
import { fill, h } from "../dom.js";
import { duration, gist, id, time, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, explained, failed, loading, section } from "../parts.js";
import { pager, table } from "../table.js";
import { evidenceOf, namedBy, why } from "./evidence.js";
import { graph } from "./graph.js";
import { leaveOut } from "./leaving.js";
import { findUnits, searchFields } from "./search.js";
import { Sets, Status } from "../statuses.js";

const SIZE = 15;

/** Return the section; `place` keeps the view and the page chosen over updates, and says which block of units is read. */
export function impacted(doc, place, context) {
  const rows = replays(doc);
  const content = h("div", {});
  const choose = (view) => {
    place.view = view;
    for (const button of toggles.children) button.setAttribute("aria-pressed", String(button.value === view));
    if (view === "table") fill(content, pages(doc, rows, place, context));
    else if (has(0, doc)) fill(content, graph(doc, rows));
    else read(0);
  };
  const read = (first) => {
    place.block = first - (first % place.size);
    fill(content, loading());
    context.changed();
  };
  context.read = read;
  const toggle = (view) =>
    h("button", { type: "button", value: view, "data-key": view, onclick: () => choose(view) }, t(`impact.${view}`));
  const toggles = h(
    "div",
    { class: "toggle", role: "group", "aria-label": t("impact.view") },
    toggle("table"),
    toggle("graph"),
  );
  const title = titleOf(doc);
  if (!impact(doc).n) return section(t(title), { id: "impact" }, empty(t("impact.empty")));
  choose(place.view ?? "table");
  return section(t(title), { id: "impact", aside: toggles }, h("p", {}, summary(doc)), content, stale(doc));
}

/** Whether the unit at a position is among those that were read. */
const has = (position, { page, units }) => position >= (page?.after ?? 0) && position < (page?.after ?? 0) + units.length;

/** Show units page by page: all of them, or those that are searched for. */
function pages(doc, rows, place, context) {
  if (impact(doc).n <= SIZE) return every(doc, rows, place, context);
  place.search ??= searchFields();
  const content = h("div", {});
  const { search } = place;
  search.changed = () =>
    fill(content, Object.keys(search.wanted).length ? fitting(doc, place, context) : every(doc, rows, place, context));
  search.opened = () => count(doc, search, context);
  search.changed();
  if (search.element.open && !Object.keys(search.wanted).length) search.opened();
  return [search.element, content];
}

/** Have the choices counted; they are of use only to whoever opens them. */
async function count(doc, search, context) {
  try {
    search.show((await findUnits(doc, search.wanted, 0, 1, context.signal)).groups);
  } catch (problem) {
    if (!context.signal.aborted) say(explained(problem));
  }
}

/** Show the page chosen of all units, with the way to the others; those that were not read yet are asked for. */
function every(doc, rows, place, context) {
  const element = h("div", {});
  const total = impact(doc).n;
  const count = Math.ceil(total / SIZE);
  const turn = (page) => {
    place.page = Math.min(Math.max(0, page), count - 1);
    const first = place.page * SIZE;
    if (!has(first, doc)) return context.read(first);
    const shown = rows.slice(first - rows[0].index, first - rows[0].index + SIZE);
    showPage(element, doc, shown, count > 1 && (() => pager(place.page, count, total, turn)), place, context);
    return undefined;
  };
  turn(place.page ?? 0);
  return element;
}

/** Show the page chosen of the units that are searched for. */
function fitting(doc, place, context) {
  const element = h("div", { role: "status" }, loading());
  const { search } = place;
  const asked = JSON.stringify(search.wanted);
  const turn = async (page) => {
    search.page = page;
    try {
      const found = await findUnits(doc, search.wanted, page * SIZE, SIZE, context.signal);
      if (asked !== JSON.stringify(search.wanted) || page !== search.page) return;
      search.show(found.groups);
      const rows = found.units.map(({ position, name, timestamp, about, ...unit }) =>
        replay(doc, unit, position, { name, timestamp, payload: about }),
      );
      const pagesOf = Math.ceil(found.matched / SIZE);
      const ways = () => [
        h("p", { class: "muted" }, t("units.matched", { n: found.matched, total: found.total })),
        pagesOf > 1 && pager(page, pagesOf, found.matched, turn),
      ];
      if (rows.length) showPage(element, doc, rows, ways, place, context);
      else fill(element, empty(t("units.none")));
    } catch (problem) {
      if (!context.signal.aborted) fill(element, failed(problem, () => turn(page)));
    }
  };
  turn(search.page);
  return element;
}

/** Show a page of units, with why each is there. */
function showPage(element, doc, shown, ways, place, context) {
  const known = new Map();
  const positions = shown.map(({ index }) => index);
  const draw = () => fill(element, list(doc, shown, known, context), ways && ways(), asking());
  const explain = async () => {
    try {
      for (const [index, unit] of await evidenceOf(doc, positions, place, context.signal)) known.set(index, unit);
      draw();
    } catch (problem) {
      if (!context.signal.aborted) fill(element.lastElementChild, failed(problem, explain));
    }
  };
  const asking = () =>
    h(
      "div",
      { class: "asking" },
      !place.explained &&
        !known.size &&
        h("button", { type: "button", class: "quiet", "data-key": "why", onclick: askWhy }, t("evidence.ask")),
    );
  const askWhy = () => {
    place.explained = true;
    explain();
  };
  // Whoever decides sees it at once; each look costs a call for each unit.
  if (phase(doc) === "pending") place.explained = true;
  draw();
  if (place.explained) explain();
}

function titleOf(doc) {
  if (phase(doc) === "pending" || doc.status === Status.SKIPPED) return "impact.title";
  return phase(doc) === "ended" ? "impact.title.after" : "impact.title.now";
}

function summary(doc) {
  const { n, processes, branches } = impact(doc);
  return [
    t(phase(doc) === "ended" ? "impact.instances.after" : "impact.instances", { n }),
    " ",
    t("impact.processes", { n: processes }),
    " ",
    t("impact.branches", { n: branches }),
    phase(doc) === "ended" ? "." : `; ${t("impact.cascade")}`,
  ];
}

/** Impacted again after the last allowed round: their results may be old. */
function stale(doc) {
  return doc.reimpacted?.length
    ? h("p", { class: "notice attention" }, t("impact.stale", { n: doc.reimpacted.length }))
    : null;
}

function list(doc, rows, known, context) {
  const decided = phase(doc) !== "pending" && doc.status !== Status.SKIPPED;
  const columns = [
    { title: "#", number: true, show: (row) => String(row.index + 1) },
    {
      title: t("word.event"),
      show: (row) => [h("strong", { title: row.name }, words(row.name)), small(gist(row.payload))],
    },
    { title: t("word.instance"), show: (row) => id(row.instanceId) },
    {
      title: t("word.branch"),
      show: (row) => [row.branch, row.forking && h("span", { class: "tag" }, t("word.forking"))],
    },
    { title: t("impact.time"), show: (row) => time(row.timestamp) },
    { title: t("impact.why"), show: (row) => reason(row, doc, known.get(row.index)) },
    ...(decided ? outcome(doc, context) : []),
  ];
  return table(t("impact.title"), columns, rows, { rowClass: (row) => (row.state === "active" ? "active" : null) });
}

function reason(row, doc, unit) {
  if (unit) return why(unit, doc.late);
  return h("small", { class: "named" }, namedBy(row), row.missed?.length > 0 && ` · ${t("evidence.late", { n: row.missed.length })}`);
}

function outcome(doc, context) {
  return [
    {
      title: t("impact.by"),
      show: (row) => (row.cause < 0 ? (doc.late ? "–" : t("impact.by.commit")) : t("impact.by.replay", { n: row.cause + 1 })),
    },
    { title: t("word.state"), show: (row) => [state(row), leaving(row, doc, context)] },
    {
      title: t("word.duration"),
      number: true,
      show: (row) => (typeof row.duration === "number" ? duration(row.duration) : "–"),
    },
    { title: t("impact.result"), show: (row) => (row.replayInstanceId ? id(row.replayInstanceId) : "–") },
  ];
}

function state(row) {
  return [
    h("span", { class: `dot ${row.state}` }, t(`unit.${row.state}`)),
    (row.state === "active" || ["left_out", "set_aside"].includes(row.step)) && small(t(`unit.step.${row.step}`)),
    row.round > 1 && small(t("unit.round", { n: row.round })),
    row.error && h("small", { class: "bad" }, row.error),
  ];
}

/** What is at rest, or was given up, may be left out unit by unit. */
function leaving(row, doc, context) {
  const rests = phase(doc) === "paused" || Sets.givenUp.includes(doc.status);
  if (!rests || doc.cancelling || ["done", "left_out"].includes(row.step)) return null;
  const open = () => leaveOut(doc, [row], context);
  const label = `${t("leave.one")} ${row.instanceId}`;
  return h("button", { type: "button", class: "quiet", "aria-label": label, onclick: open }, t("leave.one"));
}

const small = (text) => text && h("small", {}, text);
