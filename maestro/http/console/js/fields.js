// The fields that decisions share: who decides, why, and how far a run may go. Each gives its part of the body.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import * as session from "./session.js";

let numbers = 0;

/** Make a labelled field around an input; `hint` says more below it. */
export function field(label, input, hint = "") {
  const id = `field-${++numbers}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return h(
    "div",
    { class: "field" },
    h("label", { for: id }, label),
    input,
    hint && h("small", { id: `${id}-hint` }, hint),
  );
}

/** Ask who decides; whoever is signed in is known to the gateway by the token, and is not asked. */
export function who() {
  if (session.token()) return { elements: [], body: () => ({}) };
  const user = needed(h("input", { name: "user", maxlength: 200, autocomplete: "name", value: session.user() }));
  return {
    elements: [field(t("field.user"), user)],
    body() {
      session.setUser(user.value.trim());
      return { user: user.value.trim() };
    },
  };
}

/** Ask who decides and why; both are needed, and stand in the history afterwards. */
export function whoAndWhy({ hint = true } = {}) {
  const decider = who();
  const reason = needed(h("textarea", { name: "reason", maxlength: 1000, rows: 2 }));
  return {
    elements: [field(t("field.reason"), reason, hint && t("field.reason.hint")), ...decider.elements],
    body: () => ({ ...decider.body(), reason: reason.value.trim() }),
  };
}

/** Refuse a field that is empty, or has nothing but space in it. */
function needed(input) {
  input.required = true;
  const check = () => input.setCustomValidity(input.value.trim() ? "" : t("field.needed"));
  input.addEventListener("input", check);
  check();
  return input;
}

/** Ask how far a run may go before it pauses; left empty, there is no limit. */
export function budget() {
  const replays = h("input", {
    name: "replays",
    type: "number",
    min: 1,
    max: 1_000_000,
    step: 1,
    inputmode: "numeric",
  });
  const minutes = h("input", {
    name: "minutes",
    type: "number",
    min: 0.1,
    max: 525_600,
    step: "any",
    inputmode: "decimal",
  });
  return {
    element: h(
      "details",
      { class: "budget" },
      h("summary", {}, t("budget.title")),
      h("p", { class: "muted" }, t("budget.text")),
      h("div", { class: "pair" }, field(t("budget.replays"), replays), field(t("budget.minutes"), minutes)),
    ),
    body() {
      const limits = {
        ...(replays.value ? { replays: Number(replays.value) } : {}),
        ...(minutes.value ? { minutes: Number(minutes.value) } : {}),
      };
      return Object.keys(limits).length ? { budget: limits } : {};
    },
  };
}
