// Talks to the gateway. Every answer that is not 2xx is thrown as a Failure, with what the server said.

import { language } from "./i18n.js";
import * as session from "./session.js";

const V1 = "/v1.0.0";
const PATIENCE = 30_000;
/** 200 decisions, 16 at a time, each with ten seconds to be answered. */
const PATIENCE_TOGETHER = 150_000;
/** What was answered last, by path, with its tag: the gateway says in a few bytes that it is still so. */
const known = new Map();
const MOST_KNOWN = 200;

/** What the gateway refused, or could not answer: `status` 0 means that it was not reached. */
export class Failure extends Error {
  constructor(status, message, body = {}) {
    super(message);
    this.status = status;
    this.body = body;
  }

  /** This gateway does not have the call, or not yet. */
  get missing() {
    return this.status === 404 || this.status === 405 || this.status === 501;
  }
}

export const config = (signal) => get("/console/config.json", signal);
export const systems = (signal) => get(`${V1}/systems`, signal);
export const nodes = (signal) => get(`${V1}/nodes`, signal);
export const system = (id, signal) => get(`${V1}/systems/${part(id)}`, signal);
export const todo = (query, signal) => get(`${V1}/todo?${new URLSearchParams(query)}`, signal);
export const history = (query, signal) => get(`${V1}/history?${new URLSearchParams(query)}`, signal);
/** One document with a page of its units: those from position `after` on. */
export const reprocessing = (id, after, limit, signal) =>
  get(`${V1}/reprocessing/${part(id)}?after=${after}&limit=${limit}`, signal);
/** What a commit writes; `replaced`: with what the held instance had read of each row. */
export const entities = (id, after, replaced, signal) =>
  get(`${V1}/reprocessing/${part(id)}/entities?after=${after}${replaced ? "&replaced=true" : ""}`, signal);
/** The units that fit, by the page, and how many there are of each process, branch, period and state. */
export const units = (id, query, signal) =>
  get(`${V1}/reprocessing/${part(id)}/units?${new URLSearchParams(query)}`, signal);
/** The evidence of the units at some positions. */
export const evidenceAt = (id, positions, signal) =>
  get(`${V1}/reprocessing/${part(id)}/evidence?positions=${positions.join(",")}`, signal);
export const unusual = (id, signal) => get(`${V1}/reprocessing/${part(id)}/unusual`, signal);
export const labels = (systemId, signal) => get(`${V1}/systems/${part(systemId)}/labels`, signal);
export const outcome = (id, after, limit, signal) =>
  get(`${V1}/reprocessing/${part(id)}/outcome?after=${after}&limit=${limit}`, signal);
export const leaveOut = (id, body) => post(`${V1}/reprocessing/${part(id)}/units/leave_out`, body);
export const stale = (id, state, after, signal) =>
  get(`${V1}/systems/${part(id)}/stale?state=${part(state)}&after=${after}&limit=50`, signal);
/** One overwrite with both values: the note of that number. */
export const overwrite = async (id, number, signal) => {
  const page = await get(
    `${V1}/systems/${part(id)}/stale?state=overwrite&values=true&after=${number - 1}&limit=1`,
    signal,
  );
  return page.stale.find((one) => one.number === number)?.overwrite ?? null;
};
export const waiting = (id, after, signal) => get(`${V1}/systems/${part(id)}/waiting?after=${after}&limit=50`, signal);
export const waitingEvent = (id, number, signal) => get(`${V1}/systems/${part(id)}/waiting/${part(number)}`, signal);
export const skipped = (id, after, signal) => get(`${V1}/systems/${part(id)}/skipped?after=${after}`, signal);
/** Messages of an error queue, of one group or ("") of all: so many behind the oldest `after`. */
export const errors = (id, group, after, limit, signal) =>
  get(`${V1}/systems/${part(id)}/errors?group=${part(group)}&after=${after}&limit=${limit}`, signal);
export const errorGroups = (id, limit, signal) => get(`${V1}/systems/${part(id)}/errors/groups?limit=${limit}`, signal);
export const doubts = (id, signal) => get(`${V1}/systems/${part(id)}/doubts`, signal);
export const resolve = (id, key, body) => post(`${V1}/systems/${part(id)}/doubts/${part(key)}`, body);
export const setAside = (id, body) => post(`${V1}/systems/${part(id)}/stalled/set-aside`, body);
/** The ways by which people are told what waits for them; and a test of one, or of all. */
export const notices = (signal) => get(`${V1}/notices`, signal);
export const testNotice = (body) => post(`${V1}/notices/test`, body);
export const redrive = (id, body) => post(`${V1}/systems/${part(id)}/errors/redrive`, body);

/** Decide on a reprocessing: approve, skip, retry, cancel, pause, resume, recheck or reconsider. */
export const decide = (id, how, body) => post(`${V1}/reprocessing/${part(id)}/${how}`, body);

/** Approve. False: it is noted, but a second person has to approve as well. */
export async function approve(id, body) {
  const noted = await call(`${V1}/reprocessing/${part(id)}/approve`, { ...sending(body), accepted: () => null });
  return noted !== null;
}

/** Approve or skip several pending ones, each if it has the digest given. It takes as long as the last of them. */
export const decideMany = (body) => call(`${V1}/decisions`, { ...sending(body), patience: PATIENCE_TOGETHER });

/** Open the stream of a system's events, or of all systems' (""); the caller reads the body. */
export const stream = (id, signal) =>
  fetch(id ? `${V1}/systems/${part(id)}/stream` : `${V1}/stream`, {
    headers: headers({ Accept: "text/event-stream" }),
    signal,
  });

/** Return all that a reprocessing changed, as CSV: a file. It takes as long as every unit is asked about. */
export const outcomeCsv = async (id, signal) => (await file(`${V1}/reprocessing/${part(id)}/outcome.csv`, signal)).blob;

/** Return the decision report in a language: a page, and its digest. */
export async function report(id, language, signal) {
  const made = await file(`${V1}/reprocessing/${part(id)}/report?language=${part(language)}`, signal);
  return { page: made.blob, digest: made.headers.get("X-Report-Digest") };
}

async function file(path, signal) {
  let response;
  try {
    response = await fetch(path, { headers: headers({}), signal });
    if (response.ok) return { blob: await response.blob(), headers: response.headers };
  } catch (problem) {
    throw new Failure(0, problem.message);
  }
  throw new Failure(response.status, parsed(await response.text())?.message ?? response.statusText);
}

/** Ask whether a token is accepted. */
export async function accepts(candidate) {
  return (await fetch(`${V1}/systems`, { headers: { Authorization: `Bearer ${candidate}` } })).status !== 401;
}

const part = (text) => encodeURIComponent(text);
const get = (path, signal) => call(path, { signal });
const post = (path, body) => call(path, sending(body));
const sending = (body) => ({ method: "POST", body: JSON.stringify(body) });

async function call(path, { method = "GET", body, signal, patience = PATIENCE, accepted = (answer) => answer }) {
  const limits = [AbortSignal.timeout(patience), ...(signal ? [signal] : [])];
  const before = method === "GET" ? known.get(path) : undefined;
  const sent = headers({
    Accept: "application/json",
    ...(body ? { "Content-Type": "application/json" } : {}),
    ...(before ? { "If-None-Match": before.tag } : {}),
  });
  let response;
  try {
    response = await fetch(path, { method, body, headers: sent, signal: AbortSignal.any(limits), cache: "no-store" });
  } catch (problem) {
    if (signal?.aborted) throw problem;
    throw new Failure(0, problem.message);
  }
  if (response.status === 304 && before) return structuredClone(before.answer);
  const answer = parsed(await response.text());
  if (method === "GET" && response.ok) remember(path, response.headers.get("ETag"), answer);
  if (response.ok) return response.status === 202 ? accepted(answer) : answer;
  if (response.status === 401) dispatchEvent(new Event("maestro:signin"));
  throw new Failure(response.status, answer?.message ?? response.statusText, answer ?? {});
}

function remember(path, tag, answer) {
  known.delete(path);
  if (!tag) return;
  known.set(path, { tag, answer: structuredClone(answer) });
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value);
}

/** Forget what was answered: it was for whoever was signed in. */
export const forget = () => known.clear();

function headers(given) {
  const token = session.token();
  const sent = { ...given, "Accept-Language": language() };
  return token ? { ...sent, Authorization: `Bearer ${token}` } : sent;
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
