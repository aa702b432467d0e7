// The page that asks for a token. It stays in this tab's session storage and is sent as a bearer token.

import * as api from "../api.js";
import { fill, h } from "../dom.js";
import { field } from "../fields.js";
import { t } from "../i18n.js";
import { failed, notice } from "../parts.js";
import * as session from "../session.js";

export function signInPage({ query }) {
  const problem = h("div", {});
  const token = h("input", { type: "password", required: true, autocomplete: "current-password", name: "token" });
  return h(
    "form",
    { class: "card narrow", onsubmit: submit },
    h("h1", { tabindex: "-1" }, t("signin.title")),
    h("p", { class: "muted" }, t("signin.text")),
    field(t("signin.token"), token, t("signin.hint")),
    problem,
    h("div", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, t("signin.go"))),
  );

  async function submit(event) {
    event.preventDefault();
    try {
      if (!(await api.accepts(token.value.trim()))) {
        fill(problem, notice("danger", t("signin.refused")));
        return;
      }
      session.setToken(token.value.trim());
      location.hash = back(query.get("to"));
    } catch (refusal) {
      fill(problem, failed(new api.Failure(0, refusal.message)));
    }
  }
}

/** Only a place of the console itself is gone back to. */
const back = (to) => (to?.startsWith("#/") && !to.startsWith("#/signin") ? to : "#/");
