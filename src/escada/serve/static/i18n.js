// The page's two languages: messages by key, and numbers as each language writes them.
// What stands in the HTML carries its key in `data-t` (text) or `data-t-<attribute>`.

import { en } from "./messages/en.js";
import { pt } from "./messages/pt.js";

const LANGUAGES = { en: { tag: "en", messages: en }, pt: { tag: "pt-BR", messages: pt } };
const ATTRIBUTES = ["aria-label", "placeholder", "title"];
const KEY = "escada-language";
const NOTHING = "–";

let code = "en";
const listeners = [];

/** "en" or "pt". */
export const language = () => code;

/** Call after every change of language. */
export const onLanguage = (listener) => listeners.push(listener);

/** A message with its {values}. A missing key is a bug and throws. */
export function t(key, values = {}) {
  const message = LANGUAGES[code].messages[key];
  if (message === undefined) throw new Error(`no message "${key}" in "${code}"`);
  return message.replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** One of two messages, by number: `key.one` or `key.many`, with {n}. */
export function plural(key, n) {
  return t(`${key}.${n === 1 ? "one" : "many"}`, { n: number(n, 0) });
}

export function number(value, digits) {
  if (value === null || value === undefined) return NOTHING;
  return format({ minimumFractionDigits: digits, maximumFractionDigits: digits }, value);
}

/** 1.2M, 1,2 mi. */
export function compact(value) {
  if (value === null || value === undefined) return NOTHING;
  return format({ notation: "compact", maximumSignificantDigits: 3 }, value);
}

/** A share as a percentage: two significant digits below one per cent, else one decimal. */
export function percent(share) {
  if (share > 0 && share < 0.0001) return `< ${percent(0.0001)}`;
  const one = { minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return format({ style: "percent", ...(share < 0.01 ? { maximumSignificantDigits: 2 } : one) }, share);
}

/** [2.38, 2.44]; [2,38; 2,44]. */
export function interval(ends, digits = 3) {
  if (!ends) return "";
  return `[${number(ends[0], digits)}${code === "pt" ? "; " : ", "}${number(ends[1], digits)}]`;
}

/** 48 s, 3 min 20 s, 2 h 5 min. */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return NOTHING;
  const whole = Math.round(seconds);
  if (whole < 60) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${number(Math.floor(whole / 3600), 0)} h ${Math.floor((whole % 3600) / 60)} min`;
}

function format(options, value) {
  return new Intl.NumberFormat(LANGUAGES[code].tag, options).format(value);
}

/** The first language: the one that was chosen here before, else the browser's. */
export function firstLanguage() {
  const wanted = stored() ?? navigator.languages.find((one) => /^(pt|en)/i.test(one));
  return /^pt/i.test(wanted ?? "") ? "pt" : "en";
}

/** Speak this language from now on. */
export function setLanguage(wanted) {
  code = wanted;
  document.documentElement.lang = LANGUAGES[code].tag;
  translate(document);
  for (const listener of listeners) listener();
}

/** Remember the choice of a reader who pressed the switch. */
export function rememberLanguage() {
  try {
    localStorage.setItem(KEY, code);
  } catch {
    // storage is switched off: the choice lasts as long as the page
  }
}

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const attribute of ATTRIBUTES) {
    for (const element of root.querySelectorAll(`[data-t-${attribute}]`)) {
      element.setAttribute(attribute, t(element.getAttribute(`data-t-${attribute}`)));
    }
  }
}
