// The service that this page comes from, and what can go wrong with it. Addresses are relative, so
// that the page works below any path; no other host is ever asked.

import { serverEvents } from "./sse.js";

const TOKEN_KEY = "escada-token";

/**
 * Why a request failed, in the page's own words.
 * `kind`: "token" (401, 403), "busy" (429, 503), "refused" (another 4xx), "failed" (5xx),
 * "gone" (no answer at all), "broken" (an answer that ended too early).
 */
export class ServiceError extends Error {
  constructor(kind, detail = "", seconds = null) {
    super(detail || kind);
    this.kind = kind;
    this.detail = detail;
    this.seconds = seconds;
  }
}

/** The token for as long as this tab is open. */
export const token = {
  get: () => sessionStorage.getItem(TOKEN_KEY),
  set: (value) => sessionStorage.setItem(TOKEN_KEY, value),
  forget: () => sessionStorage.removeItem(TOKEN_KEY),
};

/** The rungs that the service answers with, and its limits. */
export async function readLadder() {
  const response = await ask("escada/ladder");
  return response.json();
}

/**
 * The chunks of one answer as they come.
 * @param {object} body see `requestOf`
 * @param {AbortSignal} signal stops it
 * @returns {AsyncGenerator<object>} the first choice of each chunk
 */
export async function* streamCompletion(body, signal) {
  const response = await ask("v1/completions", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify(body),
    signal,
  });
  try {
    for await (const data of serverEvents(response.body)) {
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServiceError("failed", chunk.error.message);
      if (chunk.choices?.length) yield chunk.choices[0];
    }
  } catch (error) {
    if (signal.aborted || error instanceof ServiceError) throw error;
    throw new ServiceError("broken"); // a connection that was cut, or half an event
  }
  throw new ServiceError("broken");
}

/** What a rung wrote at each kept step of its training. */
export async function readKept(rung) {
  const response = await ask(`escada/kept?model=${encodeURIComponent(rung)}`);
  return response.json();
}

/** A text with the bits of each of its tokens under one rung. */
export async function scoreText(body, signal) {
  const response = await ask("escada/score", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  return response.json();
}

/** A view of what is inside one rung; see escada.inside.views. */
export async function seeInside(body, signal) {
  const response = await ask("escada/inside", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  return response.json();
}

async function ask(path, options = {}) {
  const headers = new Headers(options.headers);
  if (token.get()) headers.set("Authorization", `Bearer ${token.get()}`);
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ServiceError("gone");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const { status } = response;
  const text = await response.text().catch(() => "");
  const seconds = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  const kinds = { 401: "token", 403: "token", 429: "busy", 503: "busy" };
  const kind = kinds[status] ?? (status >= 500 ? "failed" : "refused");
  return new ServiceError(kind, messageIn(text), Number.isFinite(seconds) ? seconds : null);
}

/** The message of an error in OpenAI's form; nothing when the text has another form. */
function messageIn(text) {
  try {
    return String(JSON.parse(text).error?.message ?? "");
  } catch {
    return "";
  }
}
