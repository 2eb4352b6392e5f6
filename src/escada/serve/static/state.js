// What a link carries: the prompt, the text to score, the rungs, the sampler's settings and the view, in the part of
// the address behind "#", which no browser sends to a server.

import { ALTERNATIVES } from "./surprisal.js";

/** The sampler's settings: default, range and step of each. `off` is the value that filters nothing. */
export const SETTINGS = {
  temperature: { default: 0.8, min: 0, max: 2, step: 0.05 },
  top_k: { default: 0, min: 0, max: 100, step: 1, off: 0 },
  top_p: { default: 0.95, min: 0.05, max: 1, step: 0.01, off: 1 },
  min_p: { default: 0, min: 0, max: 0.5, step: 0.01, off: 0 },
  repetition_penalty: { default: 1, min: 1, max: 2, step: 0.05, off: 1 },
  max_tokens: { default: 200, min: 10, max: 1000, step: 10 },
};

export const VIEWS = ["play", "score", "inside", "training", "ladder"];
export const MAX_SEED = 999_999;

/** Names of settings with their values. */
export const PRESETS = {
  usual: { temperature: 0.8, top_k: 0, top_p: 0.95, min_p: 0, repetition_penalty: 1 },
  greedy: { temperature: 0, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1 },
  pure: { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1 },
};

export function defaultState() {
  const settings = Object.entries(SETTINGS).map(([name, one]) => [name, one.default]);
  return {
    ...{ prompt: "", text: "", pair: null, rungs: null, inside: null, look: null },
    ...{ seed: 42, view: "play" },
    ...Object.fromEntries(settings),
  };
}

/** A number moved into the range of its setting; the default when it is none. */
export function within(name, value, largest = SETTINGS[name].max) {
  const { default: usual, min } = SETTINGS[name];
  const number = Number(value);
  if (value === "" || value === null || !Number.isFinite(number)) return Math.min(usual, largest);
  return Math.min(Math.max(number, min), largest);
}

/** The state as the text behind "#": only what differs from the defaults. */
export function encodeState(state) {
  const usual = defaultState();
  const parts = new URLSearchParams();
  if (state.prompt) parts.set("prompt", state.prompt);
  if (state.text) parts.set("text", state.text);
  if (state.pair) parts.set("pair", state.pair.join(","));
  if (state.rungs) parts.set("rungs", state.rungs.join(","));
  for (const name of ["inside", "look"]) if (state[name]) parts.set(name, state[name]);
  for (const name of [...Object.keys(SETTINGS), "seed", "view"]) {
    if (state[name] !== usual[name]) parts.set(name, String(state[name]));
  }
  return parts.toString();
}

/** The state of a text behind "#". What is missing or has no meaning is as by default. */
export function decodeState(hash) {
  const parts = new URLSearchParams(hash.replace(/^#/, ""));
  const state = defaultState();
  state.prompt = parts.get("prompt") ?? "";
  state.text = parts.get("text") ?? "";
  if (parts.has("pair")) state.pair = parts.get("pair").split(",");
  if (parts.has("rungs")) state.rungs = parts.get("rungs").split(",").filter(Boolean);
  for (const name of ["inside", "look"]) state[name] = parts.get(name);
  for (const name of Object.keys(SETTINGS)) {
    if (parts.has(name)) state[name] = within(name, parts.get(name));
  }
  for (const name of ["top_k", "max_tokens"]) state[name] = Math.round(state[name]);
  const seed = Number(parts.get("seed") ?? NaN);
  if (Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED) state.seed = seed;
  if (VIEWS.includes(parts.get("view"))) state.view = parts.get("view");
  return state;
}

/** The body of a request for one rung's answer. */
export function requestOf(state, rung, seed = state.seed) {
  const body = {
    model: rung,
    prompt: state.prompt,
    max_tokens: state.max_tokens,
    temperature: state.temperature,
    top_p: state.top_p,
    repetition_penalty: state.repetition_penalty,
    seed,
    n: 1,
    stream: true,
    logprobs: ALTERNATIVES,
  };
  if (state.top_k !== SETTINGS.top_k.off) body.top_k = state.top_k;
  if (state.min_p !== SETTINGS.min_p.off) body.min_p = state.min_p;
  return body;
}

export function randomSeed() {
  return Math.floor(Math.random() * (MAX_SEED + 1));
}
