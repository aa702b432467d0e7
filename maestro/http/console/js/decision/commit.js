// What would be committed: the rows that the held instance's commit writes, by entity and change.

import * as api from "../api.js";
import { phase } from "../documents.js";
import { h } from "../dom.js";
import { t, known } from "../i18n.js";
import { empty, json, loaded, more, section } from "../parts.js";
import { table } from "../table.js";
import { Status } from "../statuses.js";

export function commit(doc, signal) {
  const content = loaded(
    () => rows(doc.id, signal),
    (page) => shown(page, doc),
    signal,
  );
  const title = doc.heldCommitted
    ? "commit.title.done"
    : doc.status === Status.SKIPPED
      ? "commit.title.skipped"
      : "commit.title";
  return section(t(title), { id: "commit" }, content);
}

async function rows(id, signal) {
  try {
    return await api.entities(id, 0, signal);
  } catch (problem) {
    if (problem.missing) return null;
    throw problem;
  }
}

function shown(page, doc) {
  const event = more(t("commit.event"), json(doc.pendingEvent));
  if (page === null) return [empty(t("commit.unknown")), event];
  if (!page.entities.length) return [empty(t(phase(doc) === "pending" ? "commit.empty" : "commit.gone")), event];
  const groups = Map.groupBy(
    page.entities,
    (row) => `${row._metadata?.type ?? "?"}\n${row._metadata?.changeTrack ?? "?"}`,
  );
  return [
    [...groups].map(([key, members]) => group(...key.split("\n"), members)),
    page.next !== null && h("p", { class: "muted" }, t("commit.more", { n: page.entities.length, total: page.total })),
    event,
  ];
}

function group(entity, change, members) {
  const title = h(
    "h3",
    {},
    h("span", { class: "mono" }, entity),
    " ",
    h("span", { class: "badge neutral" }, known(`change.${change}`, change)),
    ` ${members.length}`,
  );
  const names = [...new Set(members.flatMap((row) => Object.keys(row)))].filter(
    (name) => !name.startsWith("_") && name !== "before",
  );
  const columns = names.slice(0, 8).map((name) => ({ title: name, show: (row) => value(row, name) }));
  return h("div", { class: "group" }, title, table(entity, columns, members));
}

/** Show a value, and the one it replaces where the domain told it. */
function value(row, name) {
  const now = text(row[name]);
  const before = row.before ?? row._metadata?.before;
  if (!before || text(before[name]) === now) return now;
  return h("span", { class: "diff" }, h("del", {}, text(before[name])), " ", h("ins", {}, now));
}

function text(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
