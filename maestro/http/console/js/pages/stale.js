// Results that are not known to be fresh: why, since when, and which commits they missed.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { field } from "../fields.js";
import { amount, change, id, percent, short, time } from "../format.js";
import { known, t } from "../i18n.js";
import { empty, failed, loaded, loading, section } from "../parts.js";
import { href, setQuery } from "../router.js";
import { table } from "../table.js";

const STATES = ["stale", "overwrite", "unverified", "not_remembered", "accepted", "left_out", "not_finished"];
const NAMED = 3;
/** Characters of a reason that the history is searched for. */
const SEARCHED = 100;

export function stalePage({ query, signal }) {
  const filter = { system: query.get("system") ?? "", state: query.get("state") ?? "" };
  const list = h("div", { "aria-live": "polite" }, loading());
  const form = h("form", { class: "filters", onsubmit: (event) => event.preventDefault(), oninput: changed });
  begin();
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("stale.title")),
    h("p", { class: "lead" }, t("stale.lead")),
    section(t("stale.list"), {}, form, list),
  );

  async function begin() {
    try {
      const systems = (await api.systems(signal)).map((system) => system.id);
      filter.system ||= systems[0] ?? "";
      fill(form, inputs(filter, systems));
      await load(0);
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, begin));
    }
  }

  function changed({ target }) {
    filter[target.name] = target.value;
    setQuery("/stale", filter);
    load(0);
  }

  async function load(after) {
    if (!filter.system) return fill(list, empty(t("systems.empty"), t("systems.empty.hint")));
    try {
      const page = await api.stale(filter.system, filter.state, after, signal);
      fill(list, page.stale.length ? shown(page) : empty(t("stale.empty")));
    } catch (problem) {
      if (!signal.aborted) fill(list, failed(problem, () => load(after)));
    }
    return undefined;
  }

  function shown({ total, left, stale, next }) {
    return [
      h("p", {}, t("stale.count", { n: total }), left > 0 && ` ${t("stale.left", { n: left })}`),
      table(t("stale.title"), columns(filter.system, signal), stale),
      next !== null &&
        h(
          "nav",
          { class: "pager", "aria-label": t("pager.label") },
          h("button", { type: "button", class: "quiet", onclick: () => load(0) }, t("pager.first")),
          h("button", { type: "button", class: "quiet", onclick: () => load(next) }, t("pager.next")),
        ),
    ];
  }
}

function inputs(filter, systems) {
  const option = (chosen) => (value) => h("option", { value, selected: value === chosen }, value);
  const state = (value) =>
    h("option", { value, selected: value === filter.state }, value ? t(`stale.state.${value}`) : t("history.all"));
  return [
    field(t("word.system"), h("select", { name: "system" }, systems.map(option(filter.system)))),
    field(t("word.state"), h("select", { name: "state" }, ["", ...STATES].map(state))),
  ];
}

function columns(system, signal) {
  return [
    { title: t("word.instance"), show: (row) => linked(row, system) },
    { title: t("word.branch"), show: (row) => row.branch },
    {
      title: t("word.state"),
      show: (row) => [
        h("span", { class: "badge attention" }, known(`stale.state.${row.state}`, row.state)),
        h("small", {}, known(`stale.means.${row.state}`, "")),
      ],
    },
    { title: t("stale.since"), show: (row) => time(row.timestamp) },
    { title: t("stale.missed"), show: missed },
    { title: t("stale.why"), show: (row) => [why(row), row.state === "overwrite" && values(row, system, signal)] },
  ];
}

/** Lead from a unit to the reprocessing that is to replay it; where a person decided about it, to the history that says so. */
function linked({ instanceId, reprocessing, user, reason }, system) {
  const [text] = (reason ?? "").split("\n");
  const decided = user && href("/history", { system, user, text: text.slice(0, SEARCHED) });
  const to = reprocessing ? href(`/reprocessing/${encodeURIComponent(reprocessing)}`) : decided;
  return to ? h("a", { href: to, title: t(reprocessing ? "stale.replays" : "stale.decided") }, id(instanceId)) : id(instanceId);
}

/** Show, when asked, what was replaced unseen and what stands now: Process Memory is asked for both. */
function values({ number, instanceId }, system, signal) {
  const element = h("div", {});
  const open = () => fill(element, loaded(() => api.overwrite(system, number, signal), both, signal));
  const label = `${t("overwrite.show")} ${instanceId}`;
  return fill(element, h("button", { type: "button", class: "quiet", "aria-label": label, onclick: open }, t("overwrite.show")));
}

function both(told) {
  if (!told) return h("small", {}, t("overwrite.gone"));
  return [
    h("ul", { class: "overwritten" }, told.values.map((value) => h("li", {}, replaced(value)))),
    told.more > 0 && h("small", {}, t("evidence.more", { n: told.more })),
    told.same > 0 && h("small", {}, t("overwrite.same", { n: told.same })),
    told.problem && h("small", { class: "bad" }, t("evidence.problem"), " ", told.problem),
  ];
}

function replaced(value) {
  const by = [typeof value.difference === "number" && change(value.difference), typeof value.percent === "number" && percent(value.percent)];
  return [
    h("span", { title: value.id }, `${value.about || short(value.id)} `),
    h("span", { class: "mono" }, value.field),
    " ",
    h("span", { class: "diff" }, h("del", { title: t("overwrite.by", { by: value.by }) }, amount(value.before)), " ", h("ins", {}, value.change === "destroyed" ? t("outcome.change.destroyed") : amount(value.after))),
    by.some(Boolean) && h("small", {}, by.filter(Boolean).join(" · ")),
  ];
}

function missed({ missed: by }) {
  if (!by.length) return "–";
  return h(
    "ul",
    {},
    by.slice(0, NAMED).map((one) => h("li", {}, id(one))),
    by.length > NAMED && h("li", {}, t("stale.more", { n: by.length - NAMED })),
  );
}

function why({ user, reason, cause, reprocessing }) {
  return [
    user ? h("span", {}, t("trace.by", { user }), reason && `: ${reason}`) : cause,
    reprocessing && h("a", { href: href(`/reprocessing/${encodeURIComponent(reprocessing)}`) }, t("stale.replays")),
  ];
}
