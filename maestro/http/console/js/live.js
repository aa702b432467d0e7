// Keeps what a page shows up to date: the system's stream tells when to look again; without it, the clock does.

import * as api from "./api.js";

const LOOK = 2_000;
/** A stream tells of every change; this is for what it cannot know: a stream that is silent, the broker's queues. */
const LOOK_STREAMED = 15_000;
const RETRY = 5_000;

/**
 * Call `look` at once, then every `LOOK` ms (less often while a stream works), and when a stream says so:
 * `systemId`'s, or all systems'. `mode` hears whether there is a stream. Without `streams` only the clock tells.
 */
export function watch(look, { signal, systemId = "", mode = () => {}, streams = true }) {
  const bell = new Bell();
  let streamed = false;
  signal.addEventListener("abort", () => bell.ring());
  document.addEventListener("visibilitychange", () => bell.ring(), { signal });
  keepLooking();
  if (streams) keepStreaming();
  return { now: () => bell.ring() };

  async function keepLooking() {
    while (!signal.aborted) {
      const began = performance.now();
      if (!document.hidden) await look();
      // A document of thousands of units takes a while: leave as much time between two looks as one takes.
      await pause(Math.min(performance.now() - began, LOOK), signal);
      await bell.rung(streamed ? LOOK_STREAMED : LOOK);
    }
  }

  async function keepStreaming() {
    while (!signal.aborted) {
      await shown(signal);
      const supported = await read(systemId, whileShown(signal), () => {
        if (!streamed) mode("stream");
        streamed = true;
        bell.ring();
      });
      streamed = false;
      mode("poll");
      // It may have ended because Maestro did: that is looked at now, not when the next look was due.
      bell.ring();
      if (!supported) return;
      if (!document.hidden) await pause(RETRY, signal);
    }
  }
}

/** A pause that can be cut short; a ring while nobody waits is remembered. */
class Bell {
  #wake = () => {};
  #ringing = false;

  ring() {
    this.#ringing = true;
    this.#wake();
  }

  async rung(limit) {
    if (!this.#ringing) {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, limit);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.#wake = () => {};
    this.#ringing = false;
  }
}

/** Read server-sent events with fetch, which can send a token; tell `onEvent` of each. False: there is no stream. */
async function read(systemId, signal, onEvent) {
  try {
    const response = await api.stream(systemId, signal);
    const streams = response.headers.get("Content-Type")?.startsWith("text/event-stream");
    if (!response.ok || !streams) return response.status === 503;
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return true;
      if (/^(data|event):/m.test(value)) onEvent();
    }
  } catch {
    return true;
  }
}

/** Return a signal that ends with the page, or when its tab is hidden: all tabs share a browser's few connections. */
function whileShown(signal) {
  const hidden = new AbortController();
  const end = () => document.hidden && hidden.abort();
  document.addEventListener("visibilitychange", end, { signal: hidden.signal });
  return AbortSignal.any([signal, hidden.signal]);
}

/** Wait until the page's tab is shown. */
function shown(signal) {
  return new Promise((resolve) => {
    const look = () => (!document.hidden || signal.aborted) && resolve();
    document.addEventListener("visibilitychange", look, { signal });
    signal.addEventListener("abort", look, { once: true });
    look();
  });
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
