// What a system's data are called, their units and decimals: from the gateway's labels, in the reader's language.

import * as api from "./api.js";
import { amount } from "./format.js";
import { language } from "./i18n.js";

/** What was asked for, by system: labels change only with a restart of Maestro. */
const asked = new Map();

/** Return a system's labels; none where they are not to be had. */
export async function labelsOf(systemId) {
  if (!asked.has(systemId)) asked.set(systemId, api.labels(systemId));
  try {
    return new Labels((await asked.get(systemId)).types);
  } catch {
    asked.delete(systemId);
    return new Labels({});
  }
}

class Labels {
  #types;

  constructor(types) {
    this.#types = types;
  }

  type(type) {
    return this.#types[type]?.name[language()] || type;
  }

  field(type, field) {
    return this.#label(type, field)?.name[language()] || field;
  }

  unit(type, field) {
    return this.#label(type, field)?.unit[language()] ?? "";
  }

  /** Show a value: a number with its decimals, or with all its digits where it looked like one of `others`. */
  value(type, field, value, others = []) {
    const decimals = this.#label(type, field)?.decimals ?? null;
    if (typeof value !== "number" || decimals === null) return amount(value);
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    const format = new Intl.NumberFormat(language(), digits);
    const shown = format.format(value);
    const alike = others.some((one) => typeof one === "number" && one !== value && format.format(one) === shown);
    return alike ? amount(value) : shown;
  }

  /** The same, with the unit. */
  measured(type, field, value, others = []) {
    const unit = typeof value === "number" ? this.unit(type, field) : "";
    return [this.value(type, field, value, others), unit].filter(Boolean).join(" ");
  }

  #label(type, field) {
    return this.#types[type]?.fields[field];
  }
}
