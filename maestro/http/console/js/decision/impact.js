// What the commit would change: which finished instances have to be computed again, as a table or as a graph.

import { impact, phase, replays } from "../documents.js";
import { fill, h } from "../dom.js";
import { duration, gist, id, time, words } from "../format.js";
import { t } from "../i18n.js";
import { empty, section } from "../parts.js";
import { paged, table } from "../table.js";
import { graph } from "./graph.js";
import { Status } from "../statuses.js";

const SIZE = 15;

/** Return the section; `place` keeps the view and the page chosen over updates. */
export function impacted(doc, place) {
  const rows = replays(doc);
  const content = h("div", {});
  const choose = (view) => {
    place.view = view;
    for (const button of toggles.children) button.setAttribute("aria-pressed", String(button.value === view));
    fill(content, view === "graph" ? graph(doc, rows) : paged(rows, (page) => list(doc, page), place, SIZE));
  };
  const toggle = (view) =>
    h("button", { type: "button", value: view, "data-key": view, onclick: () => choose(view) }, t(`impact.${view}`));
  const toggles = h(
    "div",
    { class: "toggle", role: "group", "aria-label": t("impact.view") },
    toggle("table"),
    toggle("graph"),
  );
  const title = titleOf(doc);
  if (!rows.length) return section(t(title), { id: "impact" }, empty(t("impact.empty")));
  choose(place.view ?? "table");
  return section(t(title), { id: "impact", aside: toggles }, h("p", {}, summary(doc)), content, stale(doc));
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

function list(doc, rows) {
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
    ...(decided ? outcome(doc) : []),
  ];
  return table(t("impact.title"), columns, rows, { rowClass: (row) => (row.state === "active" ? "active" : null) });
}

function outcome(doc) {
  return [
    {
      title: t("impact.by"),
      show: (row) => (row.cause < 0 ? t("impact.by.commit") : t("impact.by.replay", { n: row.cause + 1 })),
    },
    { title: t("word.state"), show: (row) => state(row, doc) },
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

const small = (text) => text && h("small", {}, text);
