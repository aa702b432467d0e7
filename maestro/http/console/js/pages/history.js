// Every reprocessing there was: filtered, page by page, and to be taken along as JSON or CSV.

import * as api from "../api.js";
import { STATUSES } from "../documents.js";
import { fill, h } from "../dom.js";
import { csv, flat, saved } from "../records.js";
import { time } from "../format.js";
import { field } from "../fields.js";
import { known, t } from "../i18n.js";
import { badge, empty, failed, loading, notice, section } from "../parts.js";
import { href, setQuery } from "../router.js";
import { table } from "../table.js";

const SIZE = 25;
/** Records that an export reads at once, and milliseconds without a key after which a filter is taken. */
const EXPORTED = 500;
const TYPING = 250;
const FILTERS = ["system", "status", "user", "text", "from", "to"];

export function historyPage({ query, signal }) {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const list = h("div", { "aria-live": "polite" }, loading());
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault(), oninput: changed });
  // The cursors that the pages before the shown one begin behind.
  let before = [];
  let asked = 0;
  let typing;
  begin();
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("history.title")),
    h("p", { class: "lead" }, t("history.lead")),
    section(t("history.found"), { aside: exports() }, form, list),
  );

  async function begin() {
    try {
      fill(
        form,
        inputs(
          filter,
          (await api.systems(signal)).map((system) => system.id),
        ),
      );
      await open("");
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, begin));
    }
  }

  function changed({ target }) {
    filter[target.name] = target.value;
    setQuery("/history", filter);
    before = [];
    clearTimeout(typing);
    typing = setTimeout(() => open(""), TYPING);
  }

  /** Show the page behind a cursor; an answer that a later question has overtaken is dropped. */
  async function open(cursor) {
    const turn = ++asked;
    try {
      const page = await api.history({ ...wanted(filter), before: cursor, limit: SIZE }, signal);
      if (turn === asked) draw(page, cursor);
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, () => open(cursor)));
    }
  }

  function draw({ records, next, unanswered }, cursor) {
    const filtered = FILTERS.some((name) => filter[name]);
    const nothing = filtered ? empty(t("history.nothing"), t("history.nothing.hint")) : empty(t("history.empty"));
    const button = (key, off, act) =>
      h("button", { type: "button", class: "quiet", disabled: off, onclick: act }, t(key));
    fill(
      list,
      unanswered.length > 0 && notice("attention", t("history.unanswered", { systems: unanswered.join(", ") })),
      records.length ? shown(records) : nothing,
      (cursor || next) &&
        h(
          "nav",
          { class: "pager", "aria-label": t("pager.label") },
          button("pager.previous", !cursor, () => open(before.pop() ?? "")),
          button("pager.next", !next, () => {
            before.push(cursor);
            open(next);
          }),
        ),
    );
  }

  /** Read all that fits, page by page. */
  async function all() {
    const found = [];
    let cursor = "";
    while (cursor !== null) {
      const page = await api.history({ ...wanted(filter), before: cursor, limit: EXPORTED }, signal);
      found.push(...page.records.map(flat));
      cursor = page.next;
    }
    return found;
  }

  function exports() {
    const save = async (name, make) => {
      try {
        saved(name, make(await all()));
      } catch (problem) {
        fill(list, failed(problem));
      }
    };
    const button = (key, name, make) =>
      h("button", { type: "button", class: "quiet", onclick: () => save(name, make) }, t(key));
    return h(
      "div",
      { class: "buttons" },
      button("history.json", "maestro-history.json", (rows) => JSON.stringify(rows, null, 2)),
      button("history.csv", "maestro-history.csv", csv),
    );
  }
}

/** Turn the filter into a question: its days are the reader's own, from midnight to midnight. */
function wanted({ from, to, ...rest }) {
  const midnight = (day, plus) => {
    const [year, month, date] = day.split("-").map(Number);
    return new Date(year, month - 1, date + plus).toISOString();
  };
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value));
  return {
    ...given,
    ...(from ? { since: midnight(from, 0) } : {}),
    ...(to ? { until: midnight(to, 1) } : {}),
  };
}

function inputs(filter, systems) {
  const option =
    (chosen) =>
    ([value, text]) =>
      h("option", { value, selected: value === chosen }, text);
  const select = (name, values) => h("select", { name }, [["", t("history.all")], ...values].map(option(filter[name])));
  const input = (name, type) => h("input", { name, type, value: filter[name] });
  return [
    field(
      t("word.system"),
      select(
        "system",
        systems.map((id) => [id, id]),
      ),
    ),
    field(
      t("word.status"),
      select(
        "status",
        STATUSES.map((status) => [status, known(`status.${status}`, status)]),
      ),
    ),
    field(t("history.user"), input("user", "search")),
    field(t("history.text"), input("text", "search")),
    field(t("history.from"), input("from", "date")),
    field(t("history.to"), input("to", "date")),
  ];
}

function shown(rows) {
  const columns = [
    { title: t("history.since"), show: (row) => time(row.since) },
    { title: t("word.system"), show: (row) => row.system },
    {
      title: t("word.event"),
      show: (row) =>
        h(
          "a",
          { href: href(`/reprocessing/${encodeURIComponent(row.id)}`) },
          h("strong", {}, row.late ? t("late.decision.title") : row.event),
          h("small", {}, row.late ? "" : row.about),
        ),
    },
    { title: t("word.branch"), show: (row) => row.branch },
    { title: t("word.status"), show: (row) => badge(row.status) },
    { title: t("history.by"), show: decided },
    { title: t("history.replays"), number: true, show: (row) => `${row.replayed} / ${row.units}` },
  ];
  return table(t("history.title"), columns, rows);
}

function decided({ decision, cause }) {
  if (!decision) return cause ? h("small", {}, cause) : "–";
  return [decision.user, decision.reason && h("small", {}, decision.reason)];
}
