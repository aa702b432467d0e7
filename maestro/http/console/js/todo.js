// What needs a person, as Maestro lists it: the inbox shows all of it, a system's page its own.

import * as api from "./api.js";
import { h } from "./dom.js";
import { ago, words } from "./format.js";
import { t } from "./i18n.js";
import { doing } from "./needs.js";
import { empty, failed, icon } from "./parts.js";
import { href } from "./router.js";

/** Kinds that are about a reprocessing, and lead to its page. */
const DECIDED_THERE = ["pending", "late", "paused", "unreplayable", "failed", "cancelled"];

/** Show what needs a person; `changed()` is called when something was done about it. */
export function todoList({ page, problem }, changed, more) {
  if (problem) return failed(new api.Failure(problem.status ?? 0, problem.message));
  if (!page.items.length) return empty(t("inbox.empty"), t("inbox.empty.hint"));
  return [
    counts(page.counts),
    together(page.counts),
    h(
      "ul",
      { class: "inbox" },
      page.items.map((item) => h("li", { class: item.kind }, entry(item, changed))),
    ),
    page.next !== null &&
      h(
        "nav",
        { class: "pager", "aria-label": t("pager.label") },
        h("span", {}, t("inbox.shown", { shown: page.items.length, total: page.total })),
        h("button", { type: "button", class: "quiet", "data-key": "more", onclick: more }, t("pager.more")),
      ),
  ];
}

function counts(found) {
  if (!Object.keys(found).length) return null;
  const one = ([kind, n]) => h("li", { class: kind }, h("strong", {}, String(n)), " ", t(`todo.kind.${kind}`));
  return h("ul", { class: "counters", "aria-label": t("inbox.counts") }, Object.entries(found).map(one));
}

/** Lead to the page where several pending ones are decided together. */
function together({ pending = 0, late = 0 }) {
  if (pending + late < 2) return null;
  return h("p", { class: "together-link" }, h("a", { href: href("/together"), "data-key": "together" }, t("together.go")));
}

function entry(item, changed) {
  const inside = [size(item), what(item)];
  if (!DECIDED_THERE.includes(item.kind)) return h("div", { class: "decision-link" }, inside, doing(item, changed));
  return h(
    "a",
    {
      class: "decision-link",
      href: href(`/reprocessing/${encodeURIComponent(item.reprocessing)}`),
      "data-key": item.reprocessing,
    },
    inside,
    h("span", { class: "go" }, t(item.kind === "pending" ? "inbox.decide" : "inbox.look"), icon("arrow")),
  );
}

function size({ kind, left, units, count }) {
  const n = { errors: count, failed: left, cancelled: left, paused: left }[kind] ?? units;
  if (!n) return h("div", { class: "size" }, icon("alert"));
  const key = kind === "errors" ? "inbox.size.errors" : "inbox.size";
  return h("div", { class: "size" }, h("strong", {}, String(n)), h("span", {}, t(key, { n })));
}

function what(item) {
  const named = item.kind === "pending" ? t("inbox.item", { event: item.event }) : called(item) || title(item);
  return h(
    "div",
    { class: "what" },
    h(
      "h2",
      {},
      item.kind === "late" ? t("inbox.late") : named,
      item.about && item.kind !== "late" && h("span", { class: "gist" }, item.about),
      item.kind !== "pending" && h("span", { class: "badge attention" }, t(`todo.kind.${item.kind}`)),
    ),
    h("p", {}, said(item)),
    item.cause && item.kind !== "pending" && h("p", { class: "cause" }, item.cause),
    h(
      "p",
      { class: "meta" },
      h("span", {}, t("word.system"), " ", item.system),
      item.branch && h("span", {}, t("word.branch"), " ", item.branch),
      item.since && h("span", {}, icon("clock"), t(item.kind === "pending" ? "inbox.held" : "inbox.since"), " ", ago(item.since)),
      item.locked && h("span", { class: "bad" }, icon("lock"), t("inbox.locked")),
      (item.waiting > 0 || item.kind === "pending") && h("span", {}, t("inbox.behind", { n: item.waiting })),
      item.setAside > 0 && h("span", {}, t("inbox.setaside", { n: item.setAside })),
    ),
  );
}

/** Return what a reprocessing is called: a late one holds no event, and has but a stub of that name. */
export const called = ({ event, system }) => (event === words(`${system}.late.request`) ? t("late.decision.title") : event);

const title = ({ kind }) => t(`todo.title.${kind}`);

/** Say what is wanted, in the reader's language. */
function said(item) {
  const { kind, units, left, count, sibling, instanceId, approvedBy } = item;
  const n = { errors: count, unreplayable: item.setAside, pending: units, late: units }[kind] ?? left;
  const values = { n, sibling, instance: instanceId, user: approvedBy };
  return [t(`todo.says.${kind}`, values), approvedBy && ` ${t("todo.second", values)}`];
}
