// Reads reprocessing documents: nothing here touches the page.

import { Sets, Status } from "./statuses.js";

export const STATUSES = Object.values(Status);
const IN_FLIGHT = ["sending", "sent", "assessing", "committing"];

/** Return what an admin can do now: "pending", "approved", "running", "paused" or "ended". */
export function phase(doc) {
  if (doc.status === Status.PENDING) return "pending";
  if (Sets.running.includes(doc.status)) return "running";
  return Sets.ended.includes(doc.status) ? "ended" : doc.status;
}

/** Return a tone for a status: which colour it is shown in. */
export function tone(status) {
  if (status === Status.PENDING || status === "pending" || status === Status.PAUSED) return "attention";
  if (status === Status.FINISHED || status === "open" || status === "passivated") return "ok";
  if (Sets.failed.includes(status) || status === "unavailable") return "danger";
  return status === Status.SKIPPED || status === Status.CANCELLED ? "neutral" : "info";
}

/** Return the event that started the held instance, or the held persist event where that is not known. */
export const origin = (doc) => doc.origin ?? doc.pendingEvent ?? {};

/** Return when and why the document was made. */
export const held = (doc) => doc.history[0] ?? {};

/** Tell whether an entry of a history left the status as it was. */
export const isNote = (entry, index, history) => entry.status === history[index - 1]?.status;

/** Return the last change of its status. */
export const last = ({ history }) => history.findLast((...at) => !isNote(...at)) ?? {};

/** Return the replays of the page of units that is at hand, in their order, each with its event's facts and its end. */
export function replays(doc) {
  const first = doc.page?.after ?? 0;
  return doc.units.map((unit, place) => replay(doc, unit, first + place, doc.events[place] ?? {}));
}

/** Return one replay: a unit at its position, with what its event says. */
export function replay(doc, unit, index, { name = "", timestamp = "", payload }) {
  const ended = phase(doc) === "ended";
  return {
    ...unit,
    index,
    name,
    timestamp,
    payload,
    state: stateOf(unit, ended),
    step: unit.state,
    // The one that was in hand when the run broke off: it was sent, and did not come back with a result.
    error: unit.problem ?? (ended && unit.state !== "done" && unit.sends > 0 ? (last(doc).cause ?? "") : ""),
  };
}

/** Return how many instances, processes and branches are impacted: all, not those of the page at hand. */
export function impact({ page, units, events }) {
  if (page) return { n: page.total, processes: page.processes, branches: page.branches };
  return {
    n: units.length,
    processes: new Set(events.map((event) => event.name)).size,
    branches: new Set(units.map((unit) => unit.branch)).size,
  };
}

/** Return how far a run is: `total` is "at least", for a cascade may add more. */
export function progress(doc) {
  const { replayed, outstanding, cascaded } = doc.progress;
  return { replayed, outstanding, cascaded, total: replayed + outstanding };
}

/** Return how long what is left will take: the server's word, else this run's own pace; null when nobody can tell. */
export function estimate(doc, now = Date.now()) {
  if (doc.estimate) return { seconds: doc.estimate.seconds, basis: { text: doc.estimate.basis } };
  const { replayed, outstanding } = doc.progress;
  const started = doc.history.findLast((entry) => Sets.running.includes(entry.status));
  if (phase(doc) !== "running" || !started || !replayed || !outstanding) return null;
  const seconds = ((now - Date.parse(`${started.timestamp.slice(0, 23)}Z`)) / 1000 / replayed) * outstanding;
  return { seconds, basis: { key: "estimate.own", values: { n: replayed } } };
}

/** Return what past runs of the same kind became: replays in all, their seconds, and the one that grew most; or null. */
export function likely(doc) {
  if (!doc.likely) return null;
  const { units: n, least, most, runs, name, surprise, seconds } = doc.likely;
  return { n, least, most, runs, name, seconds, surprise: surprise.made > surprise.shown ? surprise : null };
}

/** Return the steps of a run in their order, each "todo", "now", "done" or "failed". */
export function steps(doc, system) {
  const started = doc.history.some((entry) => Sets.running.includes(entry.status));
  const finished = doc.status === Status.FINISHED;
  const broken = phase(doc) === "ended" && !finished;
  const state = (done, now) => (done ? "done" : broken ? "failed" : now ? "now" : "todo");
  const locks = !doc.forking;
  const replaying = started && doc.heldCommitted;
  const ended = phase(doc) === "ended";
  return [
    ...(locks ? [{ name: "lock", state: state(started, phase(doc) === "approved") }] : []),
    ...(doc.late ? [] : [{ name: "commit", state: state(doc.heldCommitted, started) }]),
    { name: "replay", state: state(finished, replaying), ...progress(doc), ended: phase(doc) === "ended" },
    ...(locks ? [{ name: "unlock", state: ended ? "done" : "todo" }] : []),
    // Of what has ended nothing is under way; what waits now may wait for something else.
    { name: "drain", state: ended ? "done" : "todo", waiting: ended ? 0 : (system?.waiting ?? 0), ended },
  ];
}

function stateOf(unit, ended) {
  if (unit.state === "done") return "done";
  if (ended || unit.state === "left_out" || unit.state === "set_aside") return "undone";
  return IN_FLIGHT.includes(unit.state) ? "active" : "todo";
}
