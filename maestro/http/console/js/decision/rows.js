// The first rows of a document's commit: shown as what would be committed, and to name rows whose ids say nothing.

import * as api from "../api.js";
import { gist, short } from "../format.js";
import { Status } from "../statuses.js";

/** Values that name a row. */
const NAMING = 3;
/** What was asked for during one visit of the page, by the signal that ends it, and by status. */
const visits = new WeakMap();

/** Return the first page of the rows, asked for once for each status. */
export function firstRows({ id, status }, signal) {
  if (!visits.has(signal)) visits.set(signal, new Map());
  const asked = visits.get(signal);
  if (!asked.has(status)) {
    const page = rowsBehind({ id, status }, 0, signal);
    asked.set(status, page);
    page.catch(() => asked.delete(status));
  }
  return asked.get(status);
}

/**
 * Return a page of the rows. While it is pending the domain tells what each replaces; afterwards it has what the commit
 * wrote, or what was written since: then that is what the held instance had read.
 */
export async function rowsBehind({ id, status }, after, signal) {
  const page = await api.entities(id, after, status !== Status.PENDING, signal);
  if (!page.replaced) return page;
  const entities = page.entities.map((row, place) => {
    const { before: _now, ...about } = row._metadata ?? {};
    return { ...row, before: page.replaced[place], _metadata: about };
  });
  return { ...page, entities };
}

/** Return how rows are called, by id: by their values that stay as they are; ids that people can read are not there. */
export async function names(doc, signal) {
  const page = await firstRows(doc, signal).catch(() => ({ entities: [] }));
  const readable = page.entities.filter((row) => row.id && short(String(row.id)) !== String(row.id));
  return new Map(readable.map((row) => [String(row.id), named(row)]).filter(([, name]) => name));
}

function named(row) {
  const before = row.before ?? row._metadata?.before;
  const stays = ([name, value]) =>
    !name.startsWith("_") && !["before", "id"].includes(name) && (!before || before[name] === value);
  return gist(Object.fromEntries(Object.entries(row).filter(stays).slice(0, NAMING)));
}
