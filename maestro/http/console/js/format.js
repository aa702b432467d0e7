// Times, durations and names as people read them.

import { h } from "./dom.js";
import { language, t } from "./i18n.js";

const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/** Parse the platform's timestamp (UTC, no zone, up to microseconds); NaN date when it is none. */
export function parsed(stamp) {
  const text = String(stamp ?? "");
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text.slice(0, 23)}Z`);
}

/** Show a timestamp in local time, UTC on hover. */
export function time(stamp) {
  const at = parsed(stamp);
  if (Number.isNaN(at.getTime())) return h("span", { class: "muted" }, stamp || "–");
  const text = at.toLocaleString(language(), { dateStyle: "medium", timeStyle: "medium" });
  return h("time", { datetime: at.toISOString(), title: utc(at) }, text);
}

/** Say at which minute of the day. */
export const clock = (at) => at.toLocaleTimeString(language(), { timeStyle: "short" });

/** Show how long ago a timestamp was, the exact times on hover. */
export function ago(stamp) {
  const at = parsed(stamp);
  if (Number.isNaN(at.getTime())) return h("span", { class: "muted" }, "–");
  const title = `${at.toLocaleString(language())} · ${utc(at)}`;
  return h("time", { datetime: at.toISOString(), title }, distance((Date.now() - at) / 1000));
}

/** Say how long `seconds` are, in the two largest units that matter. */
export function duration(seconds) {
  if (seconds < 1) return t("duration.ms", { n: Math.max(1, Math.round(seconds * 1000)) });
  if (seconds < 10) return t("duration.s", { n: Math.round(seconds * 10) / 10 });
  const whole = Math.round(seconds);
  if (whole < 60) return t("duration.s", { n: whole });
  if (whole < 3600) return joined("duration.min", whole / 60, "duration.s", whole % 60);
  return joined("duration.h", whole / 3600, "duration.min", (whole % 3600) / 60);
}

/** Say how long something will take: nobody needs the milliseconds of a guess. */
export function guessed(seconds) {
  return seconds < 1 ? t("duration.instant") : duration(seconds);
}

/** Turn an event's name into words: "rectify.quote.request" is "rectify quote"; a system's id before it goes, too. */
export function words(name) {
  return (
    String(name ?? "")
      .replace(/^[0-9a-f]{8}-[0-9a-f-]{27}\./, "")
      .replace(/\.(request|done|persist)$/, "")
      .replaceAll(/[._]/g, " ") || "–"
  );
}

/** Shorten an id that is a UUID; others are shown whole. */
export function short(id) {
  return /^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id ?? "") ? `${id.slice(0, 8)}…` : (id ?? "–");
}

/** Show an id shortened, whole on hover. */
export function id(value) {
  const text = short(value);
  return h("span", { class: text === value ? "mono" : "mono short", title: value }, text);
}

/** Say what a payload holds in one line: its plain values, in order. */
export function gist(payload) {
  if (payload === null || typeof payload !== "object") return payload === undefined ? "" : String(payload);
  return Object.values(payload)
    .filter((value) => value !== null && typeof value !== "object")
    .join(" · ");
}

/** Show a value as the reader writes it: a number in their digits, nothing as a dash. */
export function amount(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  const small = Math.abs(value) < 1e6 ? { maximumSignificantDigits: 8 } : { maximumFractionDigits: 2 };
  return new Intl.NumberFormat(language(), Number.isInteger(value) ? {} : small).format(value);
}

/** Show by how much a number changed, with its sign. */
export function change(value) {
  return new Intl.NumberFormat(language(), { maximumSignificantDigits: 6, signDisplay: "exceptZero" }).format(value);
}

/** Show a change in per cent with its sign: one decimal, three digits of a small one. */
export function percent(value) {
  const digits = Math.abs(value) >= 1 ? { maximumFractionDigits: 1 } : { maximumSignificantDigits: 3 };
  return new Intl.NumberFormat(language(), { style: "percent", signDisplay: "exceptZero", ...digits }).format(value / 100);
}

const utc = (at) => `${at.toISOString().slice(0, 19).replace("T", " ")} UTC`;

function distance(seconds) {
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ["second", 1];
  return new Intl.RelativeTimeFormat(language(), { numeric: "auto" }).format(-Math.trunc(seconds / size), unit);
}

function joined(large, n, small, rest) {
  const head = t(large, { n: Math.floor(n) });
  return Math.floor(rest) ? `${head} ${t(small, { n: Math.floor(rest) })}` : head;
}
