// Every reprocessing there was: filtered, page by page, and to be taken along as JSON or CSV.

import * as api from "../api.js";
import { STATUSES } from "../documents.js";
import { fill, h } from "../dom.js";
import { csv, fits, record, saved } from "../records.js";
import { gist, time, words } from "../format.js";
import { field } from "../fields.js";
import { known, t } from "../i18n.js";
import { badge, empty, failed, loading, section } from "../parts.js";
import { href, setQuery } from "../router.js";
import { paged, table } from "../table.js";

const SIZE = 25;
const FILTERS = ["system", "status", "user", "text", "from", "to"];

export function historyPage({ query, signal }) {
  const filter = Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ""]));
  const list = h("div", { "aria-live": "polite" }, loading());
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault(), oninput: changed });
  let records = [];
  load();
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("history.title")),
    h("p", { class: "lead" }, t("history.lead")),
    section(t("history.found"), { aside: exports() }, form, list),
  );

  async function load() {
    try {
      const systems = (await api.systems(signal)).map((system) => system.id);
      fill(form, inputs(filter, systems));
      const documents = await Promise.all(systems.map((id) => api.documents(id, signal).catch(() => [])));
      records = documents
        .flat()
        .map(record)
        .sort((one, other) => (one.since < other.since ? 1 : -1));
      draw();
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, load));
    }
  }

  function changed({ target }) {
    filter[target.name] = target.value;
    setQuery("/history", filter);
    draw();
  }

  function draw() {
    const rows = found();
    const nothing = records.length ? empty(t("history.nothing"), t("history.nothing.hint")) : empty(t("history.empty"));
    fill(
      list,
      h("p", { class: "muted" }, t("history.count", { n: rows.length })),
      rows.length ? paged(rows, shown, {}, SIZE) : nothing,
    );
  }

  function found() {
    return records.filter((one) => fits(one, filter));
  }

  function exports() {
    const button = (key, name, make) =>
      h("button", { type: "button", class: "quiet", onclick: () => saved(name, make(found())) }, t(key));
    return h(
      "div",
      { class: "buttons" },
      button("history.json", "maestro-history.json", (rows) => JSON.stringify(rows, null, 2)),
      button("history.csv", "maestro-history.csv", csv),
    );
  }
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
          h("strong", {}, words(row.event)),
          h("small", {}, gist(row.payload)),
        ),
    },
    { title: t("word.branch"), show: (row) => row.branch },
    { title: t("word.status"), show: (row) => badge(row.status) },
    { title: t("history.by"), show: (row) => [row.user, row.reason && h("small", {}, row.reason)] },
    { title: t("history.replays"), number: true, show: (row) => `${row.replayed} / ${row.units}` },
  ];
  return table(t("history.title"), columns, rows);
}
