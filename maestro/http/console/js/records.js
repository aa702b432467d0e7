// The history's records: what a document comes down to, how it is filtered, and how it leaves the browser.

import { held, last, origin } from "./documents.js";
import { parsed } from "./format.js";
import { Status } from "./statuses.js";

const COLUMNS = [
  "id",
  "system",
  "branch",
  "event",
  "instance",
  "tag",
  "status",
  "since",
  "changed",
  "user",
  "reason",
  "cause",
  "units",
  "replayed",
  "cascaded",
];
const DECISIONS = [Status.APPROVED, Status.SKIPPED, Status.CANCELLED];

/** Return what the history shows and exports of a document; `user` and `reason` are those of its last decision. */
export function record(doc) {
  const decided = doc.history.findLast((entry) => DECISIONS.includes(entry.status)) ?? {};
  return {
    id: doc.id,
    system: doc.systemId,
    branch: doc.branch,
    event: origin(doc).name ?? "",
    payload: origin(doc).payload ?? null,
    instance: doc.pendingEvent?.instanceId ?? "",
    tag: doc.tag,
    status: doc.status,
    since: held(doc).timestamp ?? "",
    changed: last(doc).timestamp ?? "",
    user: decided.user ?? "",
    reason: decided.reason ?? "",
    cause: last(doc).cause ?? "",
    units: doc.units.length,
    replayed: doc.progress.replayed,
    cascaded: doc.progress.cascaded,
    history: doc.history,
  };
}

/** Whether a record fits the filter; days are the reader's own. */
export function fits(one, { system, status, user, text, from, to }) {
  const day = localDay(parsed(one.since));
  return (
    (!system || one.system === system) &&
    (!status || one.status === status) &&
    (!user || one.history.some((entry) => has(entry.user, user))) &&
    (!text || has(JSON.stringify(one), text)) &&
    (!from || day >= from) &&
    (!to || day <= to)
  );
}

/** Return records as CSV, for spreadsheets: no cell is taken for a formula. */
export function csv(records) {
  const lines = records.map((one) => COLUMNS.map((name) => quoted(one[name])).join(","));
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}

/** Have the browser save a file. */
export function saved(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: name.endsWith(".csv") ? "text/csv" : "application/json" }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

const has = (text, part) =>
  String(text ?? "")
    .toLowerCase()
    .includes(part.toLowerCase());

function quoted(value) {
  const text = String(value ?? "");
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}

function localDay(at) {
  if (Number.isNaN(at.getTime())) return "";
  return [at.getFullYear(), at.getMonth() + 1, at.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
}
