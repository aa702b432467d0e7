// Many pending reprocessings decided together: chosen from a list with their digests, for one reason, with a question in
// between, and what became of each. A choice holds the digest that was shown: what changes meanwhile is chosen no more.

import * as api from "../api.js";
import { fill, h, region } from "../dom.js";
import { field, whoAndWhy } from "../fields.js";
import { ago, amount } from "../format.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { empty, failed, loading, notice, section } from "../parts.js";
import { href } from "../router.js";
import { paged, table } from "../table.js";
import { became, confirm, named } from "../together.js";

const SIZE = 25;
/** Things that need a person are read so many at once; and so many are decided by one request at most. */
const BLOCK = 500;
const TOGETHER = 200;
const DEFAULTS = { typeSystemAbove: 50 };

export function togetherPage({ signal }) {
  const chosen = new Map();
  const changed = new Set();
  const place = {};
  let pending = [];
  const who = whoAndWhy();
  const act = (action, tone) =>
    h("button", { type: "button", class: tone, disabled: true, "data-key": action, onclick: () => sure(action, tone) });
  const [approve, skip] = [act("approve", "primary"), act("skip", "danger")];
  const status = h("p", { role: "status", class: "chosen" });
  const wanted = h("input", { name: "filter", type: "search", autocomplete: "off", oninput: () => [(place.page = 0), draw()] });
  const list = region(show);
  list.element.append(loading());
  const form = h(
    "form",
    { class: "together", onsubmit: (event) => event.preventDefault() },
    status,
    who.elements,
    h("p", { class: "muted small" }, t("together.binds")),
    h("div", { class: "buttons" }, approve, skip),
  );
  const results = h("div", { tabindex: "-1", class: "results" });
  const config = api.config(signal).catch(() => DEFAULTS);
  const looking = watch(look, { signal });
  count();
  return h(
    "div",
    {},
    h("p", { class: "crumbs" }, h("a", { href: href("/") }, t("nav.inbox"))),
    h("h1", { tabindex: "-1" }, t("together.title")),
    h("p", { class: "lead" }, t("together.lead")),
    results,
    section(t("together.list"), { id: "pending" }, field(t("together.filter"), wanted), list.element),
    section(t("decide.title"), { id: "decide" }, form),
  );

  async function look() {
    try {
      pending = await waiting(signal);
      keepWhatIsShown();
      draw();
    } catch (problem) {
      if (!signal.aborted) list.update({ problem: { status: problem.status ?? 0, message: problem.message } });
    }
  }

  function draw() {
    const moment = Math.floor(Date.now() / 15_000);
    const text = wanted.value.trim().toLowerCase();
    const found = pending.filter((one) => [one.system, one.branch, named(one)].join(" ").toLowerCase().includes(text));
    list.update({ found, filtered: text !== "", chosen: [...chosen.keys()], changed: [...changed], moment });
    count();
  }

  /** Take back each choice of what is not pending any more, or not what it was when it was chosen. */
  function keepWhatIsShown() {
    const now = new Map(pending.map((one) => [one.reprocessing, one.digest]));
    for (const [id, { digest }] of chosen) {
      if (now.get(id) === digest) continue;
      chosen.delete(id);
      if (now.has(id)) changed.add(id);
    }
  }

  function show(shown) {
    if (shown.problem) return failed(new api.Failure(shown.problem.status, shown.problem.message));
    if (!shown.found.length && shown.filtered) return empty(t("together.fits.none"));
    if (!shown.found.length) return empty(t("together.empty"), t("inbox.empty.hint"));
    const all = () => choose(shown.found.slice(0, TOGETHER));
    const none = () => choose([]);
    return [
      shown.changed.length > 0 && notice("attention", t("together.changed", { n: shown.changed.length })),
      paged(shown.found, (rows) => table(t("together.list"), columns(), rows), place, SIZE),
      h(
        "div",
        { class: "buttons" },
        h(
          "button",
          { type: "button", class: "quiet", "data-key": "all", onclick: all },
          t("together.all", { n: Math.min(shown.found.length, TOGETHER) }),
        ),
        h("button", { type: "button", class: "quiet", "data-key": "none", onclick: none }, t("together.none")),
      ),
    ];
  }

  function columns() {
    return [
      { title: t("errors.choose"), show: box },
      { title: t("word.event"), show: event },
      { title: t("word.system"), show: ({ system, branch }) => [system, h("small", {}, branch)] },
      { title: t("together.replays"), number: true, show: ({ units }) => amount(units) },
      { title: t("history.since"), show: ({ since }) => ago(since) },
      { title: t("together.digest"), show: ({ digest }) => h("span", { class: "mono" }, digest) },
    ];
  }

  function box(item) {
    const input = h("input", {
      type: "checkbox",
      "data-key": item.reprocessing,
      "aria-label": `${t("errors.choose")} ${named(item)} ${item.system}`,
      onchange: () => {
        changed.delete(item.reprocessing);
        if (input.checked) chosen.set(item.reprocessing, item);
        else chosen.delete(item.reprocessing);
        count();
      },
    });
    input.checked = chosen.get(item.reprocessing)?.digest === item.digest;
    return input;
  }

  function event(item) {
    return [
      h("a", { href: href(`/reprocessing/${encodeURIComponent(item.reprocessing)}`) }, named(item)),
      item.kind === "late" && h("span", { class: "badge attention" }, t("late.badge")),
      changed.has(item.reprocessing) && h("span", { class: "badge attention" }, t("together.changed.one")),
      item.approvedBy && h("small", {}, t("todo.second", { user: item.approvedBy })),
    ];
  }

  function choose(items) {
    chosen.clear();
    changed.clear();
    for (const item of items) chosen.set(item.reprocessing, item);
    draw();
  }

  function count() {
    const n = chosen.size;
    const replays = [...chosen.values()].reduce((sum, { units }) => sum + units, 0);
    for (const button of [approve, skip]) button.disabled = n === 0 || n > TOGETHER;
    fill(status, n > TOGETHER ? t("together.most", { n: TOGETHER }) : t("together.chosen", { n, replays: amount(replays) }));
    fill(approve, t("together.approve", { n }));
    fill(skip, t("together.skip", { n }));
  }

  async function sure(action, tone) {
    if (!form.reportValidity()) return;
    const { typeSystemAbove } = await config;
    const items = [...chosen.values()];
    confirm({ action, tone, items, body: who.body(), above: typeSystemAbove, done });

    function done(answer) {
      fill(results, became(items, answer));
      chosen.clear();
      results.focus();
      looking.now();
    }
  }
}

/** Return all that is pending and can be decided: what has a digest. */
async function waiting(signal) {
  const found = [];
  for (let after = 0; after !== null; ) {
    const page = await api.todo({ limit: BLOCK, after }, signal);
    found.push(...page.items.filter((item) => item.digest));
    after = page.next;
  }
  return found;
}
