// One reprocessing before, during and after its decision, at one URL.

import * as api from "../api.js";
import { commit } from "../decision/commit.js";
import { decide } from "../decision/decide.js";
import { head } from "../decision/head.js";
import { impacted } from "../decision/impact.js";
import { outcome, ran } from "../decision/outcome.js";
import { run } from "../decision/run.js";
import { trace } from "../decision/trace.js";
import { unusual, unusualOf } from "../decision/unusual.js";
import { phase, progress, replays } from "../documents.js";
import { fill, h, region } from "../dom.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { failed, loading, notice } from "../parts.js";
import { titled } from "../shell.js";

const DEFAULTS = { typeSystemAbove: 50 };
/** Units that are read at once; a multiple of a table's page. */
const BLOCK = 150;

export function decisionPage({ params, signal }) {
  const heading = h("h1", { tabindex: "-1", class: "unseen" }, t("decision.loading"));
  const page = h("div", { class: "decision" }, heading, loading());
  const problem = h("div", {});
  const place = { block: 0, size: BLOCK };
  let view = null;
  let watching = null;
  begin();
  return page;

  async function begin() {
    try {
      const [config, first] = await Promise.all([
        api.config(signal).catch(() => DEFAULTS),
        api.reprocessing(params.id, place.block, BLOCK, signal),
      ]);
      view = new View(first, config, signal, place, () => watching.now());
      fill(page, problem, view.element);
      titled([...page.querySelector("h1").childNodes].map((node) => node.textContent).join(" · "));
      page.querySelector("h1").focus({ preventScroll: true });
      watching = watch(look, {
        signal,
        systemId: first.systemId,
        mode: (mode) => page.setAttribute("data-live", mode),
      });
    } catch (refusal) {
      if (signal.aborted) return;
      const missing = [400, 404].includes(refusal.status);
      const title = t(missing ? "decision.unknown" : "decision.missing");
      fill(page, h("h1", { tabindex: "-1" }, title), missing ? unknown(params.id) : failed(refusal, begin));
      titled(title);
    }
  }

  async function look() {
    try {
      const doc = await api.reprocessing(params.id, place.block, BLOCK, signal);
      view.update(doc, await api.system(doc.systemId, signal).catch(() => null));
      fill(problem);
    } catch (refusal) {
      if (!signal.aborted) fill(problem, failed(refusal));
    }
  }
}

/** Say what there is not, and what else an address can be wrong about. */
function unknown(id) {
  return notice("danger", h("strong", {}, t("decision.unknown.text", { id })), h("span", {}, t("decision.unknown.hint")));
}

/** The page's regions. The form of a pending decision is made once per preview: what was typed outlives updates. */
class View {
  #system = null;
  #form = null;
  /** What was told of the outcome, and the units of the block that is read, by instance and branch. */
  told = {};
  units = new Map();

  constructor(doc, config, signal, place, changed) {
    this.context = { config, changed, signal, problem: h("div", { "aria-live": "assertive" }) };
    this.head = region(head, { class: "decision-head" });
    this.commit = region((shown) => commit(shown, signal), { class: "area-commit" });
    this.unusual = region((shown) => unusual(shown, signal));
    this.impact = region((shown) => impacted(shown, place, this.context), { class: "area-impact" });
    this.outcome = region((shown) => outcome(shown, this.told, (...unit) => this.units.get(unit.join(" ")), signal));
    this.act = h("div", { class: "area-act" });
    this.run = region(({ doc, system }) => run(doc, system, this.context));
    this.trace = region((shown) => trace(shown, signal), { class: "area-trace" });
    const columns = [this.head, this.outcome, this.unusual, this.commit, this.impact].map((one) => one.element);
    this.element = h("div", { class: "columns" }, columns, this.act, this.trace.element);
    this.update(doc, null);
  }

  update(doc, system) {
    this.#system = system ?? this.#system;
    this.head.update(headOf(doc));
    this.units = new Map(replays(doc).map((unit) => [`${unit.instanceId} ${unit.branch}`, unit]));
    this.outcome.update({ id: doc.id, systemId: doc.systemId, status: doc.status, shown: ran(doc), replayed: progress(doc).replayed });
    this.unusual.update(unusualOf(doc));
    this.commit.update(commitOf(doc));
    this.impact.update(impactOf(doc));
    const demand = phase(doc) === "pending" ? null : doc.policies;
    this.trace.update({ id: doc.id, history: doc.history, policies: demand });
    if (phase(doc) === "pending") this.#decide(doc);
    else this.#follow(doc);
  }

  #decide(doc) {
    const { approval, skipRefused, by } = doc.policies ?? {};
    const demand = [approval, skipRefused, by];
    const preview = JSON.stringify([doc.digest, doc.page?.total ?? doc.units.length, doc.firstApproval, demand]);
    if (this.#form?.preview !== preview) {
      const typed = this.#form?.typed();
      this.#form = { ...formOf(doc, this.context, typed), preview };
      fill(this.act, this.#form.element);
    }
    this.#form.update(this.#system);
  }

  #follow(doc) {
    const { events: _events, units: _units, ...facts } = doc;
    const { waiting } = this.#system ?? {};
    this.run.update({ doc: { ...facts, units: [], events: [] }, system: { waiting } });
    if (this.run.element.parentNode !== this.act) {
      fill(this.act, this.run.element);
      // What goes on comes first, where there is but one column.
      this.head.element.after(this.act);
    }
    this.#form = null;
  }
}

/** Make the form; what was typed into the one before is taken over. */
function formOf(doc, context, typed = {}) {
  const form = decide(doc, context);
  const inputs = () => [...form.element.querySelectorAll("input, textarea")].filter((input) => input.name !== "typed");
  for (const input of inputs()) {
    if (typed[input.name]) {
      input.value = typed[input.name];
      input.dispatchEvent(new Event("input", { bubbles: true }));
    }
  }
  return { ...form, typed: () => Object.fromEntries(inputs().map((input) => [input.name, input.value])) };
}

const headOf = ({ events: _events, units: _units, ...doc }) => ({ ...doc, events: [], units: [] });
const commitOf = ({ id, late, systemId, status, heldCommitted, pendingEvent }) => ({
  id,
  late,
  systemId,
  status,
  heldCommitted,
  pendingEvent,
  units: [],
  events: [],
});
const impactOf = ({ progress: _progress, estimate: _estimate, ...doc }) => doc;
