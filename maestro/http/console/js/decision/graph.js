// Which replay brought which: the held commit at the left, each replay right of what brought it.

import { impact, origin } from "../documents.js";
import { h, s } from "../dom.js";
import { gist, words } from "../format.js";
import { t } from "../i18n.js";

const BOX = { width: 190, height: 44 };
const STEP = { x: 236, y: 56 };
const MOST = 150;
const LONGEST = 25;

/** Draw the first replays; the table has them all, and is what screen readers are told to read. */
export function graph(doc, rows) {
  const shown = rows.slice(0, MOST);
  const { places, width, height } = laidOut(shown);
  const root = {
    name: doc.late ? t("late.decision.title") : origin(doc).name,
    payload: origin(doc).payload,
    state: doc.heldCommitted ? "done" : "root",
    branch: doc.branch,
  };
  const total = impact(doc).n;
  const label = t("graph.label", { n: total });
  const picture = s(
    "svg",
    { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    shown.map((row) => edge(places.get(row.cause) ?? places.get(-1), places.get(row.index), row)),
    node(root, places.get(-1), doc.late ? "" : t("graph.root")),
    shown.map((row) => node(row, places.get(row.index), `${row.index + 1}`)),
  );
  const cut = total > shown.length && h("p", { class: "muted" }, t("graph.cut", { n: shown.length, total }));
  return h(
    "div",
    {},
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("impact.graph") }, picture),
    legend(),
    cut,
  );
}

/** Place each box: its column is how far it is from the commit; a parent stands at the height of its first child. */
function laidOut(rows) {
  const children = Map.groupBy(rows, (row) => (row.cause < row.index ? row.cause : -1));
  const places = new Map();
  let line = 0;
  let columns = 0;
  const put = (index, column) => {
    columns = Math.max(columns, column);
    places.set(index, { x: column * STEP.x + 1, y: line * STEP.y + 1 });
    for (const [position, child] of (children.get(index) ?? []).entries()) {
      if (position) line += 1;
      put(child.index, column + 1);
    }
  };
  put(-1, 0);
  return { places, width: columns * STEP.x + BOX.width + 2, height: line * STEP.y + BOX.height + 2 };
}

function edge(from, to, row) {
  const start = { x: from.x + BOX.width, y: from.y + BOX.height / 2 };
  const end = { x: to.x, y: to.y + BOX.height / 2 };
  const middle = end.x - (STEP.x - BOX.width) / 2;
  const path = `M${start.x} ${start.y} H${middle} V${end.y} H${end.x}`;
  return s("path", { class: `edge ${row.cause < 0 ? "" : "cascade"}`, d: path });
}

function node(row, place, number) {
  const title = [words(row.name), gist(row.payload), row.branch].filter(Boolean).join(" · ");
  return s(
    "g",
    { class: `node ${row.state}`, transform: `translate(${place.x} ${place.y})` },
    s("title", {}, title),
    s("rect", { width: BOX.width, height: BOX.height, rx: 8 }),
    s("text", { x: 12, y: 18, class: "name" }, cut(`${number} ${words(row.name)}`.trim())),
    s("text", { x: 12, y: 34, class: "sub" }, cut([gist(row.payload), row.branch].filter(Boolean).join(" · "))),
  );
}

function legend() {
  const item = (state) => h("span", { class: `dot ${state}` }, t(`unit.${state}`));
  return h(
    "p",
    { class: "legend" },
    ["todo", "active", "done", "undone"].map(item),
    h("span", { class: "line cascade" }, t("graph.cascade")),
  );
}

const cut = (text) => (text.length > LONGEST ? `${text.slice(0, LONGEST - 1)}…` : text);
