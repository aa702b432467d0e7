// A run, live: its steps, how far it is, how long it will take, and what can still be done about it.

import * as api from "../api.js";
import { ask, say } from "../dialog.js";
import { estimate, phase, progress, steps } from "../documents.js";
import { h } from "../dom.js";
import { budget, whoAndWhy } from "../fields.js";
import { guessed } from "../format.js";
import { t } from "../i18n.js";
import { icon, notice, section } from "../parts.js";
import { href } from "../router.js";
import { basis } from "./decide.js";
import { leftBehind } from "./leaving.js";
import { Sets, Status } from "../statuses.js";

const ICON = { done: "check", now: "dot", todo: "dot", failed: "cross" };
const LIMITED = ["resume", "retry"];
const TONE = { cancel: "danger" };

/** Return the section for a document that was decided; `context` as for `decide`. */
export function run(doc, system, context) {
  const ran = doc.status !== Status.SKIPPED;
  return section(
    t("run.title"),
    { id: "run" },
    ran && h("ol", { class: "steps" }, steps(doc, system).map(step)),
    ran && bar(doc),
    phase(doc) === "ended" ? null : ahead(doc),
    h(
      "div",
      { class: "buttons" },
      actions(doc).map((how) => button(how, doc, context)),
    ),
    leftBehind(doc, phase(doc) === "paused" || Sets.givenUp.includes(doc.status), context),
    doc.reconsidered && notice("info", t("run.reconsidered")),
  );
}

function step({ name, state, ended, ...values }) {
  const text = said(name, ended, values);
  const more = name === "replay" && values.cascaded > 0 && h("small", {}, t("step.cascade", { n: values.cascaded }));
  return h(
    "li",
    { class: state, "aria-current": state === "now" ? "step" : null },
    icon(ICON[state]),
    h("span", {}, text, h("span", { class: "unseen" }, ` (${t(`step.state.${state}`)})`), more),
  );
}

/** Name a step; once the run has ended, its figures are what they are, and nothing waits for it. */
function said(name, ended, values) {
  if (!ended) return t(`step.${name}`, { ...values, n: values.waiting ?? values.total });
  if (name === "drain") return t("step.drain.ended");
  if (values.outstanding) return t("step.replay.broken", { ...values, n: values.replayed });
  return t("step.replay.ended", { n: values.replayed });
}

function bar(doc) {
  const { replayed, total } = progress(doc);
  const meter = h("progress", { max: Math.max(total, 1), value: replayed, "aria-label": t("run.progress") });
  return h("div", { class: `bar ${phase(doc)}` }, meter);
}

function ahead(doc) {
  const guess = estimate(doc);
  const limit = doc.budget;
  return [
    h(
      "p",
      { class: "eta" },
      guess ? [h("strong", {}, t("run.left", { time: guessed(guess.seconds) })), basis(guess)] : t("run.left.unknown"),
    ),
    limit &&
      phase(doc) !== "paused" &&
      h(
        "p",
        {},
        t("run.budget"),
        " ",
        [
          limit.replays && t("run.budget.replays", { n: limit.replays, used: limit.replayed }),
          limit.minutes && t("run.budget.minutes", { n: limit.minutes }),
        ]
          .filter(Boolean)
          .join(", "),
      ),
    phase(doc) === "paused" && notice("attention", doc.forking ? t("run.paused") : t("run.paused.locked")),
    doc.pausing && notice("info", icon("pause"), t("run.pausing")),
    doc.cancelling && notice("info", t("run.cancelling")),
  ];
}

function actions(doc) {
  if (doc.cancelling) return [];
  switch (phase(doc)) {
    case "approved":
      return ["cancel"];
    case "running":
      return doc.pausing ? ["cancel"] : ["pause", "cancel"];
    case "paused":
      return ["resume", "cancel"];
    default:
      return Sets.givenUp.includes(doc.status)
        ? ["retry"]
        : doc.status === Status.SKIPPED && !doc.reconsidered && !doc.late
          ? ["reconsider"]
          : [];
  }
}

function button(how, doc, context) {
  const kind = TONE[how] ?? (how === "pause" ? "" : "primary");
  return h(
    "button",
    { type: "button", class: kind, "data-key": how, onclick: () => asked(how, doc, context) },
    t(`run.${how}`),
  );
}

/** Ask who and why, then do it. */
export function asked(how, doc, { changed }) {
  const who = whoAndWhy();
  const limits = LIMITED.includes(how) ? budget() : null;
  ask({
    title: t(`run.${how}.title`),
    text: t(`run.${how}.text`, { n: doc.progress?.outstanding ?? 0 }),
    fields: [...who.elements, limits?.element],
    button: t(`run.${how}`),
    tone: TONE[how] ?? "primary",
    async act() {
      const answer = await api.decide(doc.id, how, { ...who.body(), ...(limits?.body() ?? {}) });
      say(how === "reconsider" ? t(`run.reconsider.${answer?.status}`, { n: answer?.position }) : t(`run.${how}.done`));
      const next = answer?.reprocessing?.id;
      if (next) location.hash = href(`/reprocessing/${encodeURIComponent(next)}`);
      else changed();
    },
  });
}
