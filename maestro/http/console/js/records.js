// The history's records as they leave the browser.

const COLUMNS = [
  "id",
  "system",
  "branch",
  "event",
  "about",
  "instanceId",
  "tag",
  "status",
  "since",
  "changed",
  "decision",
  "decidedAt",
  "user",
  "reason",
  "cause",
  "units",
  "replayed",
  "cascaded",
];

/** Return a record with its last decision spelled out; all times are in UTC, with their zone. */
export function flat({ decision, cursor: _cursor, ...record }) {
  const { status, at, user, reason } = decision ?? {};
  return { ...record, decision: status ?? "", decidedAt: at ?? "", user: user ?? "", reason: reason ?? "" };
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

function quoted(value) {
  const text = String(value ?? "");
  return `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;
}
