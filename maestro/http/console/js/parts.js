// Small parts that pages are made of.

import { Failure } from "./api.js";
import { fill, h, s } from "./dom.js";
import { tone } from "./documents.js";
import { known, t } from "./i18n.js";

const ICONS = {
  check: "M4 10.5l4 4 8-9",
  cross: "M5 5l10 10M15 5L5 15",
  dot: "M10 7a3 3 0 1 0 .01 0",
  lock: "M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3",
  alert: "M10 3l8 14H2zM10 8v4M10 14.5v.1",
  pause: "M7 4v12M13 4v12",
  arrow: "M4 10h12M11 5l5 5-5 5",
  clock: "M10 2a8 8 0 1 0 .01 0M10 6v4l3 2",
};

/** Show a small picture; it says nothing that the text beside it does not. */
export function icon(name) {
  return s("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, s("path", { d: ICONS[name] }));
}

/** Show a status or a system's state as a coloured word. */
export function badge(status, prefix = "status") {
  return h("span", { class: `badge ${tone(status)}` }, known(`${prefix}.${status}`, status));
}

/** Show a section with a heading; `aside` stands at the heading's right. */
export function section(title, { aside = null, id = null, label = null } = {}, ...content) {
  return h(
    "section",
    { class: "card", id, "aria-label": label ?? title },
    h("header", { class: "card-head" }, h("h2", {}, title), aside),
    content,
  );
}

/** Show names and values. */
export function facts(pairs) {
  const shown = pairs.filter((pair) => pair && ![null, undefined, false, ""].includes(pair[1]));
  return h(
    "dl",
    { class: "facts" },
    shown.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))),
  );
}

/** Show a note in one of the tones. */
export function notice(kind, ...content) {
  return h("div", { class: `notice ${kind}`, role: kind === "danger" ? "alert" : null }, h("div", {}, content));
}

export const loading = () =>
  h("p", { class: "state", role: "status" }, h("span", { class: "spinner" }), t("state.loading"));
export const empty = (text, hint = "") => h("p", { class: "state empty" }, text, hint && h("small", {}, hint));

/** Say what went wrong, in the reader's words as far as they are known, and offer to try again. */
export function failed(problem, again = null) {
  const button = again && h("button", { type: "button", class: "quiet", onclick: again }, t("action.again"));
  return notice("danger", h("strong", {}, explained(problem)), detail(problem), button);
}

/** Return what a failure means to the reader. */
export function explained(problem) {
  if (!(problem instanceof Failure)) return t("failure.bug");
  return problem.status === 0 ? t("failure.unreachable") : known(`failure.${problem.status}`, t("failure.other"));
}

/** Return what else is known: of what did not get through only the browser says something, in words and a language of its own. */
function detail(problem) {
  return problem.message && problem.status !== 0 ? h("span", { class: "detail" }, problem.message) : null;
}

/** Show JSON as it is. */
export function json(value) {
  return h("pre", { class: "json", tabindex: "0" }, JSON.stringify(value, null, 2));
}

/** Show a part that can be opened. */
export function more(summary, ...content) {
  return h("details", {}, h("summary", {}, summary), content);
}

/** Load something once and show it; what goes wrong is shown in its place, with a way to try again. */
export function loaded(load, show, signal) {
  const element = h("div", {}, loading());
  const attempt = async () => {
    fill(element, loading());
    try {
      fill(element, show(await load()));
    } catch (problem) {
      if (!signal?.aborted) fill(element, failed(problem, attempt));
    }
  };
  attempt();
  return element;
}
