// The decision itself: what each answer costs, why, and two buttons that say what they do.

import * as api from "../api.js";
import { ask, say } from "../dialog.js";
import { estimate, impact, likely } from "../documents.js";
import { fill, h, region } from "../dom.js";
import { budget, field, whoAndWhy } from "../fields.js";
import { guessed, id } from "../format.js";
import { t } from "../i18n.js";
import { failed, icon, more, notice, section } from "../parts.js";
import { covering } from "./covering.js";
import { demanded, skipRefused } from "./demand.js";
import { leftBehind } from "./leaving.js";

/**
 * Return the section for a pending document. `changed()` is called when the document should be looked at again;
 * `problem` is where refusals are said: it outlives the form, which is made anew when the preview changes.
 */
export function decide(doc, { config, changed, problem }) {
  const { n } = impact(doc);
  // The fields stand beside each other between costs and buttons: there is no room for hints.
  const who = whoAndWhy({ hint: false });
  const limits = budget();
  const whole = covering(doc);
  const costs = region(({ waiting }) => [
    cost("approve", t("decide.if.approve"), costOfApprove(doc, waiting)),
    cost("skip", skipping(doc, "if"), costOfSkip(doc)),
  ], {
    class: "costs",
  });
  const typed = n > config.typeSystemAbove ? typedSystem(doc) : null;
  const lacking = h("div", { class: "missing", "aria-live": "polite" });
  const approve = button("primary", "approve", t("decide.approve", { n }), approveIt);
  typed?.guard(approve);
  const skip = button("danger", "skip", skipIs(doc), n > config.typeSystemAbove ? confirmSkip : skipIt);
  if (skipRefused(doc)) {
    skip.disabled = true;
    skip.setAttribute("aria-describedby", "skip-off");
  }
  const recheck = h(
    "button",
    { type: "button", class: "quiet", "data-key": "recheck", onclick: again },
    t("decide.recheck"),
  );
  const form = h(
    "form",
    { class: "decide", onsubmit: (event) => event.preventDefault() },
    h(
      "div",
      { class: "decide-body" },
      doc.firstApproval && !doc.firstApproval.decided && notice("attention", t("decide.first", { user: doc.firstApproval.user ?? doc.firstApproval })),
      demanded(doc),
      costs.element,
      leftBehind(doc, false, {}),
      limits.element,
      whole.element,
      h("p", { class: "muted small" }, t("decide.binds")),
    ),
    h(
      "div",
      { class: "decide-bar" },
      problem,
      h("div", { class: "needed" }, who.elements, typed?.element),
      h("div", { class: "buttons wide" }, lacking, approve, skip),
      skipRefused(doc) && h("p", { id: "skip-off", class: "muted small" }, t("policy.skip.off")),
    ),
  );
  form.addEventListener("input", showLacking);
  showLacking();
  const element = section(t("decide.title"), { id: "decide", aside: recheck }, form);
  return { element, update };

  function update(system) {
    costs.update({ waiting: system?.waiting ?? 0 });
    whole.update(system?.waiting ?? 0);
  }

  /** Return the fields that are still to be filled in; typing the system's id is for an approval only. */
  function open(approving) {
    const name = typed?.input;
    const empty = [...form.querySelectorAll("[name=reason], [name=user]")].filter((input) => !input.value.trim());
    return [...empty, ...(approving && name && !typed.right() ? [name] : [])];
  }

  /** Say above the buttons what is still missing, each the way to its field. */
  function showLacking() {
    const to = (input) =>
      h("button", { type: "button", class: "link", "data-key": `to-${input.name}`, onclick: () => input.focus() },
        t(`decide.missing.${input.name}`));
    const fields = open(true);
    const key = fields.map(({ name }) => name).join();
    if (key === lacking.dataset.shown) return;
    lacking.dataset.shown = key;
    fill(lacking, fields.length > 0 && [t("decide.missing"), " ", fields.map((input, place) => [place > 0 && ", ", to(input)])]);
  }

  /** Whether all is there that is needed; else the first field that is not has the focus: the line above says the rest. */
  function ready(approving) {
    const [first] = open(approving);
    first?.focus();
    return !first && form.reportValidity();
  }

  async function approveIt() {
    if (!ready(true)) return;
    const body = { ...who.body(), digest: doc.digest, ...limits.body(), ...whole.body() };
    await busy(() => api.approve(doc.id, body), approved);
  }

  async function skipIt() {
    if (!ready(false)) return;
    await busy(
      () => api.decide(doc.id, "skip", { ...who.body(), ...whole.body() }),
      () => say(skipping(doc, "done")),
    );
  }

  /** Ask once more: so many results would stay as they are. */
  function confirmSkip() {
    if (!ready(false)) return;
    ask({
      title: skipping(doc, "sure"),
      text: skipping(doc, "sure.text", { n }),
      button: skipIs(doc),
      tone: "danger",
      act: async () => {
        await api.decide(doc.id, "skip", { ...who.body(), ...whole.body() });
        say(skipping(doc, "done"));
        changed();
      },
    });
  }

  function approved(enough) {
    say(enough ? t("decide.approve.done", { n }) : t("decide.approve.second"));
    if (!enough) fill(problem, notice("info", t("decide.approve.second")));
  }

  async function again() {
    const { reason: _reason, ...body } = who.body();
    await busy(
      () => api.decide(doc.id, "recheck", body.user === "" ? { user: t("decide.someone") } : body),
      (found) => {
        const same = !found.added?.length && !found.removed?.length;
        if (same) say(t("decide.same"));
        fill(problem, same ? notice("ok", t("decide.same")) : difference(found, t("decide.different")));
      },
    );
  }

  /** Do one thing at a time; refusals are said where the buttons are. */
  async function busy(act, done) {
    const buttons = skipRefused(doc) ? [approve, recheck] : [approve, skip, recheck];
    for (const one of buttons) one.disabled = true;
    fill(problem);
    try {
      done(await act());
    } catch (refusal) {
      fill(problem, refusal.body?.added ? difference(refusal.body, t("decide.changed")) : failed(refusal));
    } finally {
      for (const one of buttons) one.disabled = false;
      typed?.check();
      changed();
    }
  }
}

/** What the button says. */
const skipIs = (doc) => t(doc.late ? "late.skip.button" : "decide.skip");

/** Say something of a skip: of a late reprocessing it discards nothing. */
const skipping = (doc, what, values) => (doc.late ? t(`late.skip.${what}`, values) : t(`decide.skip.${what}`, values));

/** Make a button that decides. It is no submit button: Enter in a field must not press it. */
const button = (kind, key, text, onclick) => h("button", { type: "button", class: kind, "data-key": key, onclick }, text);

/** Ask for the system's id to be typed: approving this many replays should not be a slip of the hand. */
function typedSystem(doc) {
  const input = h("input", { name: "typed", autocomplete: "off", spellcheck: "false" });
  let guarded;
  const right = () => input.value.trim() === doc.systemId;
  const check = () => {
    if (guarded) guarded.disabled = !right();
  };
  input.addEventListener("input", check);
  return {
    element: field(t("decide.typed", { system: doc.systemId }), input),
    input,
    right,
    guard(button) {
      guarded = button;
      check();
    },
    check,
  };
}

function cost(kind, title, lines) {
  return h(
    "div",
    { class: `cost ${kind}` },
    h("h3", {}, title),
    h(
      "ul",
      {},
      lines.map((line) => h("li", {}, line)),
    ),
  );
}

function costOfApprove(doc, waiting) {
  const guess = estimate(doc);
  const whole = likely(doc);
  return [
    doc.late ? t("late.approve") : t("decide.cost.replays", { n: impact(doc).n }),
    whole && likelyCost(whole),
    guess ? timeCost(guess, whole) : t("decide.cost.unknown"),
    (whole || guess) && more(t("decide.cost.basis"), whole && h("small", {}, likelyBasis(whole)), guess && basis(guess)),
    doc.forking ? t("decide.cost.nolock") : [icon("lock"), t("decide.cost.lock")],
    waiting > 0 && t("decide.cost.waiting", { n: waiting }),
  ].filter(Boolean);
}

/** Say how many replays there will be in all, and how long they take where that is known. */
const likelyCost = ({ n, seconds }) =>
  seconds ? t("decide.cost.likely.time", { n, time: guessed(seconds) }) : t("decide.cost.likely", { n });

/** Say how long it takes: beside what there will be in all, that this is of what is shown. */
const timeCost = ({ seconds }, whole) =>
  t(whole ? "decide.cost.time.shown" : "decide.cost.time", { time: guessed(seconds) });

/** Say which runs tell how many replays there will be, and how far the worst of them went. */
function likelyBasis(whole) {
  const from = t("decide.likely.from", { n: whole.runs, least: whole.least, most: whole.most, name: whole.name });
  return whole.surprise ? `${from} ${t("decide.likely.most", { n: whole.surprise.made, shown: whole.surprise.shown })}` : from;
}

function costOfSkip(doc) {
  if (doc.late) return [t("late.skip")];
  return [h("strong", {}, t("decide.skip.rows")), `${t("decide.skip.old")} ${t("decide.skip.kept")}`];
}

/** Show what an estimate is derived from. */
export function basis(guess) {
  const text = guess.basis.key ? t(guess.basis.key, guess.basis.values) : guess.basis.text;
  return h("small", {}, text);
}

function difference({ added = [], removed = [] }, title) {
  const list = (units, sign, kind) =>
    units.map((unit) => h("li", { class: kind }, sign, " ", id(unit.instanceId), " ", unit.branch));
  return notice(
    "attention",
    h("strong", {}, title),
    h(
      "ul",
      { class: "difference" },
      list(added, t("decide.added"), "added"),
      list(removed, t("decide.removed"), "removed"),
    ),
  );
}
