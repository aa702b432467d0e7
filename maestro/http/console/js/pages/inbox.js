// What waits for a decision, in all systems, oldest first; and the systems at a glance.

import * as api from "../api.js";
import { held, impact, origin } from "../documents.js";
import { h, region } from "../dom.js";
import { Failures, glance } from "../glance.js";
import { ago, gist, words } from "../format.js";
import { t } from "../i18n.js";
import { watch } from "../live.js";
import { needsList, needsOf } from "../needs.js";
import { empty, failed, icon, loading, section } from "../parts.js";
import { href } from "../router.js";

export function inboxPage({ signal }) {
  const failures = new Failures();
  const needs = region(({ found }) => needsList(found, look));
  const pending = region(decisions);
  const systems = region(({ list }) => glance(list));
  const lead = region(({ n }) => h("p", { class: "lead" }, t(n ? "inbox.lead" : "inbox.lead.none", { n })));
  pending.element.append(loading());
  watch(look, { signal });
  return h(
    "div",
    {},
    h("h1", { tabindex: "-1" }, t("inbox.title")),
    lead.element,
    needs.element,
    pending.element,
    section(t("inbox.systems"), {}, systems.element),
  );

  async function look() {
    try {
      const list = await api.systems(signal);
      systems.update({ list: await failures.of(list, signal) });
      needs.update({ found: await needsOf(list, signal), minute: Math.floor(Date.now() / 60_000) });
      const waiting = list.filter((system) => system.pending?.length);
      const found = await Promise.all(waiting.map((system) => held_of(system)));
      const documents = found
        .flat()
        .sort((one, other) => (held(one.doc).timestamp < held(other.doc).timestamp ? -1 : 1));
      lead.update({ n: documents.length });
      // The minute is part of what is shown: ages are told anew as time passes.
      pending.update({ documents, minute: Math.floor(Date.now() / 15_000) });
    } catch (problem) {
      if (!signal.aborted) pending.update({ problem: { status: problem.status, message: problem.message } });
    }
  }

  async function held_of(system) {
    const documents = await api.pending(system.id, signal);
    return documents.map((doc) => ({ doc: brief(doc), waiting: system.waiting }));
  }
}

/** Leave out the bodies of the events: an update compares what is shown, not all there is. */
function brief(doc) {
  const { id, systemId, branch, history, late } = doc;
  const { name, payload } = origin(doc);
  return { id, systemId, branch, history, late, ...impact(doc), name, payload };
}

function decisions({ documents, problem }) {
  if (problem) return failed(new api.Failure(problem.status ?? 0, problem.message));
  if (!documents.length) return empty(t("inbox.empty"), t("inbox.empty.hint"));
  return h(
    "ul",
    { class: "inbox" },
    documents.map(({ doc, waiting }) => h("li", {}, item(doc, waiting))),
  );
}

function item(doc, waiting) {
  const about = gist(doc.payload);
  return h(
    "a",
    { class: "decision-link", href: href(`/reprocessing/${encodeURIComponent(doc.id)}`), "data-key": doc.id },
    h("div", { class: "size" }, h("strong", {}, String(doc.n)), h("span", {}, t("inbox.size", { n: doc.n }))),
    h(
      "div",
      { class: "what" },
      doc.late
        ? h("h2", {}, t("inbox.late"), " ", h("span", { class: "badge attention" }, t("late.badge")))
        : h("h2", {}, t("inbox.item", { event: words(doc.name) }), about && h("span", { class: "gist" }, about)),
      h("p", {}, t(doc.late ? "inbox.late.ask" : "inbox.ask", { n: doc.n })),
      h(
        "p",
        { class: "meta" },
        h("span", {}, t("word.system"), " ", doc.systemId),
        h("span", {}, t("word.branch"), " ", doc.branch),
        h("span", {}, icon("clock"), t("inbox.held"), " ", ago(held(doc).timestamp)),
        h("span", {}, t("inbox.behind", { n: waiting })),
      ),
    ),
    h("span", { class: "go" }, t("inbox.decide"), icon("arrow")),
  );
}
