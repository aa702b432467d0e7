// Texts in the reader's language. A text is a string with {names}, or its forms for one and for any other {n}. A figure
// comes from the value, in the language's digits and separators, never from the text.

import * as session from "./session.js";
import en from "./text/en.js";
import pt from "./text/pt-br.js";

export const LANGUAGES = { en: { name: "English", table: en }, "pt-BR": { name: "Português", table: pt } };

/** Return the language in use: the one chosen, else the browser's if there is a table of it, else English. */
export function language() {
  const chosen = session.language();
  if (chosen in LANGUAGES) return chosen;
  const wanted = navigator.languages.map((one) => one.toLowerCase().split("-")[0]);
  return wanted.map((one) => ({ en: "en", pt: "pt-BR" })[one]).find(Boolean) ?? "en";
}

/** Return the text of a key with its {names} filled in; a key without a text is shown as it is, so that it is seen. */
export function t(key, values = {}) {
  const text = LANGUAGES[language()].table[key];
  return filled(typeof text === "object" ? plural(text, values.n) : (text ?? key), values);
}

/** Return the text of a key if there is one, else `otherwise`: for words that the server may invent. */
export function known(key, otherwise) {
  return key in LANGUAGES[language()].table ? t(key) : otherwise;
}

/** Exactly one takes the singular. The browser's rules for Portuguese would say "0 evento" and "1,5 evento". */
const plural = (forms, n) => (n === 1 ? forms.one : forms.other);

function filled(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? shown(values[name]) : whole));
}

function shown(value) {
  return typeof value === "number" ? new Intl.NumberFormat(language()).format(value) : String(value);
}
