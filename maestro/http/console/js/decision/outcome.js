// What a run changed: a summary, the biggest changes, and unit by unit each value before and after its replay.

import * as api from "../api.js";
import { phase } from "../documents.js";
import { fill, h } from "../dom.js";
import { change, gist, percent, short, words } from "../format.js";
import { t } from "../i18n.js";
import { labelsOf } from "../labels.js";
import { failed, loading, more, section } from "../parts.js";
import { pager, table } from "../table.js";
import { Status } from "../statuses.js";

/** Units of a page, and milliseconds between two looks while something is still to come. */
const SIZE = 15;
const AGAIN = 1500;

/** Whether there may be an outcome: something was replayed. */
export const ran = (doc) =>
  !["pending", "approved"].includes(phase(doc)) && doc.status !== Status.SKIPPED && (doc.progress?.replayed ?? 0) > 0;

/**
 * Return the section. `place` keeps the page shown, which units are open, and what was told last, over updates; `called`
 * returns what a unit is called, or nothing.
 */
export function outcome({ id, systemId, shown }, place, called, signal) {
  if (!shown) return null;
  place.open ??= new Set();
  const content = h("div", {}, place.told ? told(place.told, context(place.labels)) : loading());
  load();
  return section(t("outcome.title"), { id: "outcome", aside: download(id, signal) }, content);

  function context(labels) {
    return { place, called, labels, turn };
  }

  function turn(page) {
    place.unitPage = page;
    load();
  }

  async function load() {
    const asked = (place.asked = {});
    try {
      const [page, labels] = await Promise.all([
        api.outcome(id, (place.unitPage ?? 0) * SIZE, SIZE, signal),
        labelsOf(systemId),
      ]);
      if (place.asked !== asked) return;
      Object.assign(place, { told: page, labels });
      fill(content, told(page, context(labels)));
      if (page.summary.pending > 0) setTimeout(() => place.asked === asked && !signal.aborted && load(), AGAIN);
    } catch (problem) {
      if (!signal.aborted && place.asked === asked) fill(content, failed(problem, load));
    }
  }
}

function download(id, signal) {
  const save = async ({ target }) => {
    target.disabled = true;
    try {
      const link = h("a", { href: URL.createObjectURL(await api.outcomeCsv(id, signal)), download: `outcome-${id}.csv` });
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (problem) {
      if (!signal.aborted) target.after(failed(problem));
    }
    target.disabled = false;
  };
  return h("button", { type: "button", class: "quiet", "data-key": "outcome-csv", onclick: save }, t("outcome.csv"));
}

function told(page, { place, called, labels, turn }) {
  const { summary, biggest, units, total } = page;
  const count = Math.ceil(total / SIZE);
  return [
    h("p", { class: "summary" }, h("strong", {}, sentence(summary))),
    remarks(summary).map((text) => h("p", { class: "muted" }, text)),
    biggest.length > 0 && [
      h("h3", {}, t("outcome.biggest")),
      table(t("outcome.biggest"), [unitColumn(called), ...columns(labels)], biggest),
    ],
    h("h3", {}, t("outcome.units")),
    h("div", { class: "outcomes" }, units.map((unit) => one(unit, place, called, labels))),
    count > 1 && pager(place.unitPage ?? 0, count, total, turn),
  ];
}

/** Say what all replays changed in one sentence. */
function sentence({ changed, added, destroyed, unread, largest }) {
  const parts = [
    (changed > 0 || !(added + destroyed + unread)) && t("outcome.changed", { n: changed }),
    typeof largest?.percent === "number" && t("outcome.largest", { percent: percent(largest.percent) }),
    added > 0 && t("outcome.added", { n: added }),
    destroyed > 0 && t("outcome.destroyed", { n: destroyed }),
    unread > 0 && t("outcome.unread", { n: unread }),
  ];
  return parts.filter(Boolean).join(", ");
}

function remarks({ unchanged, failed: lacking, pending, looked, units, problem }) {
  return [
    unchanged > 0 && t("outcome.unchanged", { n: unchanged }),
    lacking > 0 && `${t("outcome.failed", { n: lacking })} ${problem}`,
    pending > 0 && t("outcome.pending", { n: pending }),
    looked < units && t("outcome.looked", { n: looked, units }),
  ].filter(Boolean);
}

function one(unit, place, called, labels) {
  const key = `${unit.instanceId} ${unit.branch}`;
  const counts = sentence({ ...unit, largest: unit.values[0] });
  const nothing = !unit.changed && !unit.added && !unit.destroyed && !unit.unread;
  const said = unit.problem ? why(unit) : nothing ? t("outcome.same") : counts;
  const title = [
    h("strong", { title: unit.instanceId }, name(unit.instanceId, unit.branch, called)),
    h("span", { class: unit.problem && unit.computation ? "bad" : null }, said),
    unit.added > 0 && addedBadge(),
  ];
  if (!unit.values.length) return h("p", { class: "one" }, title);
  const left = unit.values.length < shownOf(unit);
  const details = more(
    title,
    table(t("outcome.of", { unit: unit.instanceId }), columns(labels), unit.values),
    left && h("p", { class: "muted" }, t("outcome.rest", { n: unit.values.length })),
  );
  details.open = place.open.has(key);
  details.addEventListener("toggle", () => (details.open ? place.open.add(key) : place.open.delete(key)));
  return details;
}

/** Whether there is more than what is listed: rows added or destroyed have at least a value each. */
const shownOf = ({ changed, added, destroyed, unread }) => changed + added + destroyed + unread;

function why({ computation, state, problem }) {
  if (computation) return `${t("evidence.problem")} ${problem}`;
  if (state === "left_out") return t("outcome.none.left_out");
  return t(state === "done" ? "outcome.none.done" : "outcome.none.waiting");
}

const addedBadge = () => h("span", { class: "badge attention", title: t("outcome.added.means") }, t("outcome.change.added"));

function unitColumn(called) {
  return {
    title: t("word.instance"),
    show: (row) => h("span", { title: row.instanceId }, name(row.instanceId, row.unitBranch, called)),
  };
}

/** Return what a unit is called: its process and what it is about, where the page has read it; else its id. */
function name(instanceId, branch, called) {
  const unit = called(instanceId, branch);
  const said = unit ? [words(unit.name), gist(unit.payload)].filter(Boolean).join(" · ") : short(instanceId);
  return branch === "master" ? said : `${said} (${branch})`;
}

function columns(labels) {
  const value = (row, one, other) => whole(labels.value(row.type, row.field, one, [other]));
  const known = (row) => row.change === "changed" || row.change === "destroyed";
  return [
    {
      title: t("outcome.row"),
      show: (row) => [h("span", { title: row.id }, row.about || short(row.id)), h("small", {}, labels.type(row.type))],
    },
    {
      title: t("outcome.field"),
      show: (row) => [h("span", { title: row.field }, labels.field(row.type, row.field)), unit(row, labels), mark(row)],
    },
    { title: t("outcome.before"), number: true, show: (row) => (known(row) ? value(row, row.before, row.after) : "–") },
    {
      title: t("outcome.after"),
      number: true,
      show: (row) => (row.change === "destroyed" ? "–" : value(row, row.after, row.before)),
    },
    { title: t("outcome.difference"), number: true, show: (row) => (typeof row.difference === "number" ? whole(change(row.difference)) : "–") },
    { title: t("outcome.percent"), number: true, show: (row) => (typeof row.percent === "number" ? whole(percent(row.percent)) : "–") },
  ];
}

/** Say the unit once, beside the field: in each value it would leave no room for the rest. */
function unit({ type, field, before, after }, labels) {
  const said = [before, after].some((value) => typeof value === "number") && labels.unit(type, field);
  return said && h("small", {}, said);
}

/** Keep a number and its sign on one line. */
const whole = (text) => h("span", { class: "whole" }, text);

function mark(row) {
  if (row.change === "changed") return null;
  if (row.change === "added") return addedBadge();
  return h("span", { class: "badge neutral" }, t(`outcome.change.${row.change}`));
}
