// What would be committed: the rows that the held instance's commit writes, page by page, by entity and change.

import { phase } from "../documents.js";
import { fill, h } from "../dom.js";
import { t, known } from "../i18n.js";
import { labelsOf } from "../labels.js";
import { empty, json, loaded, more, section } from "../parts.js";
import { table } from "../table.js";
import { firstRows, rowsBehind } from "./rows.js";
import { Status } from "../statuses.js";

/** Fields of a row that have a column; the others are in its last one. */
const COLUMNS = 7;

/** Return the section; nothing for what holds no commit. */
export function commit(doc, signal) {
  if (doc.late) return null;
  const content = h("div", {});
  // Where the pages before the shown one begin: the gateway names only the next one.
  const before = [];
  open(0);
  const title = doc.heldCommitted
    ? "commit.title.done"
    : doc.status === Status.SKIPPED
      ? "commit.title.skipped"
      : "commit.title";
  return section(t(title), { id: "commit" }, content);

  function open(after) {
    fill(
      content,
      loaded(
        () => Promise.all([rows(doc, after, signal), labelsOf(doc.systemId)]),
        ([page, labels]) => shown(page, labels, doc, after, { before, open }),
        signal,
      ),
    );
  }
}

async function rows(doc, after, signal) {
  try {
    return await (after ? rowsBehind(doc, after, signal) : firstRows(doc, signal));
  } catch (problem) {
    if (problem.missing) return null;
    throw problem;
  }
}

function shown(page, labels, doc, after, pages) {
  const event = more(t("commit.event"), json(doc.pendingEvent));
  if (page === null) return [empty(t("commit.unknown")), event];
  if (!page.entities.length && !after)
    return [empty(t(phase(doc) === "pending" ? "commit.empty" : "commit.gone")), event];
  const groups = Map.groupBy(
    page.entities,
    (row) => `${row._metadata?.type ?? "?"}\n${row._metadata?.changeTrack ?? "?"}`,
  );
  const whole = !after && page.next === null;
  return [
    !whole && h("p", {}, t("commit.total", { n: page.total })),
    [...groups].map(([key, members]) => group(...key.split("\n"), members, labels, whole)),
    !whole && turner(page, after, pages),
    event,
  ];
}

function turner(page, after, { before, open }) {
  const button = (key, off, act) =>
    h("button", { type: "button", class: "quiet", disabled: off, "data-key": `commit-${key}`, onclick: act }, t(key));
  return h(
    "nav",
    { class: "pager", "aria-label": t("commit.pages") },
    button("pager.previous", !before.length, () => open(before.pop())),
    h("span", {}, t("commit.place", { from: after + 1, to: after + page.entities.length, total: page.total })),
    button("pager.next", page.next === null, () => {
      before.push(after);
      open(page.next);
    }),
  );
}

function group(entity, change, members, labels, whole) {
  const n = members.length;
  const called = labels.type(entity);
  const title = h(
    "h3",
    {},
    h("span", { class: called === entity ? "mono" : null, title: entity }, called),
    " ",
    h("span", { class: "badge neutral" }, known(`change.${change}`, change)),
    " ",
    t(whole ? "commit.rows" : "commit.rows.page", { n }),
  );
  const names = [...new Set(members.flatMap((row) => Object.keys(row)))].filter(
    (name) => !name.startsWith("_") && name !== "before",
  );
  const rest = names.slice(COLUMNS);
  const columns = names.slice(0, COLUMNS).map((name) => ({ title: heading(name), show: (row) => value(row, name, labels, entity) }));
  if (rest.length) columns.push({ title: t("commit.fields", { n: rest.length }), show: others });
  return h("div", { class: "group" }, title, table(called, columns, members));

  function heading(name) {
    const unit = labels.unit(entity, name);
    return labels.field(entity, name) + (unit && ` (${unit})`);
  }

  function others(row) {
    const named = (name) => h("li", {}, h("small", {}, heading(name)), " ", value(row, name, labels, entity));
    return more(t("action.show"), h("ul", {}, rest.map(named)));
  }
}

/** Show a value, and the one it replaces where that is known: what the row before does not have is no change. */
function value(row, name, labels, entity) {
  const before = row.before ?? row._metadata?.before;
  const shown = (one, other) => (typeof one === "number" ? labels.value(entity, name, one, [other]) : text(one));
  const now = shown(row[name], before?.[name]);
  if (!before || !(name in before) || text(before[name]) === text(row[name])) return now;
  return h("span", { class: "diff" }, h("del", {}, shown(before[name], row[name])), " ", h("ins", {}, now));
}

function text(value) {
  if (value === null || value === undefined) return "–";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
