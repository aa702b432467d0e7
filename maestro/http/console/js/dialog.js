// What lies over the page: dialogs (the browser's own: focus, Escape and all) and short messages.

import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { failed } from "./parts.js";

const MESSAGE = 6_000;

/**
 * Ask in a dialog. `act()` does it: it may refuse by throwing, which is shown; the dialog closes once it is done.
 * Only its button does it: Enter in a field decides nothing.
 */
export function ask({ title, text, fields = [], button, tone = "primary", act }) {
  const problem = h("div", {});
  const go = h("button", { type: "button", class: tone, onclick: submit }, button);
  const form = h(
    "form",
    { onsubmit: (event) => event.preventDefault() },
    h("h2", { id: "dialog-title" }, title),
    text && h("p", {}, text),
    fields,
    problem,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => dialog.close() }, t("action.back")),
      go,
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => dialog.remove() }, form);
  document.body.append(dialog);
  dialog.showModal();
  return dialog;

  async function submit() {
    if (!form.reportValidity()) return;
    go.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (refusal) {
      fill(problem, failed(refusal));
    } finally {
      go.disabled = false;
    }
  }
}

/** Say something in passing; screen readers hear it too. */
export function say(text) {
  const message = h("p", { class: "message" }, text);
  document.getElementById("messages").append(message);
  setTimeout(() => message.remove(), MESSAGE);
}

/** Show something over the page, until it is closed; return the dialog. */
export function show(title, ...content) {
  const dialog = h(
    "dialog",
    { class: "wide", "aria-labelledby": "dialog-title", onclose: () => dialog.remove() },
    h("h2", { id: "dialog-title" }, title),
    content,
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "button", class: "primary", onclick: () => dialog.close() }, t("action.close")),
    ),
  );
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
