// The sampler's sliders, each with one sentence that explains it, the presets and the seed.

import { byId, make } from "./dom.js";
import { number, onLanguage, t } from "./i18n.js";
import { MAX_SEED, PRESETS, SETTINGS, randomSeed, within } from "./state.js";

const DIGITS = { temperature: 2, top_p: 2, min_p: 2, repetition_penalty: 2 };
const IDLE_WHEN_GREEDY = ["top_k", "top_p", "min_p"];

export class Sampler {
  #sliders = {};

  /**
   * @param {object} state the page's; its settings are changed in place
   * @param {() => void} changed called after every change by the reader
   */
  constructor(state, changed) {
    this.state = state;
    this.changed = changed;
    for (const name of Object.keys(SETTINGS)) byId("settings").append(this.#setting(name));
    for (const button of document.querySelectorAll("[data-preset]")) {
      button.addEventListener("click", () => this.#set(PRESETS[button.dataset.preset]));
    }
    byId("dice").addEventListener("click", () => this.#set({ seed: randomSeed() }));
    byId("seed").addEventListener("change", () => this.#readSeed());
    onLanguage(() => this.render());
  }

  /** The most tokens that the service writes. */
  limit(maxTokens) {
    SETTINGS.max_tokens.max = Math.min(SETTINGS.max_tokens.max, maxTokens);
    this.#sliders.max_tokens.input.max = SETTINGS.max_tokens.max;
    this.state.max_tokens = within("max_tokens", this.state.max_tokens);
    this.render();
  }

  render() {
    const greedy = this.state.temperature === 0;
    for (const [name, { input, output, label, why }] of Object.entries(this.#sliders)) {
      const text = shown(name, this.state[name]);
      input.value = this.state[name];
      input.disabled = greedy && IDLE_WHEN_GREEDY.includes(name);
      input.setAttribute("aria-valuetext", text);
      output.textContent = text;
      label.textContent = t(`setting.${name}`);
      why.textContent = t(`setting.${name}.why`);
    }
    byId("seed").value = this.state.seed;
    byId("seed").disabled = byId("dice").disabled = greedy;
    byId("greedy-note").hidden = !greedy;
    for (const button of document.querySelectorAll("[data-preset]")) {
      const values = Object.entries(PRESETS[button.dataset.preset]);
      const active = values.every(([name, value]) => this.state[name] === value);
      button.setAttribute("aria-pressed", String(active));
    }
  }

  #setting(name) {
    const { min, max, step } = SETTINGS[name];
    const id = `setting-${name}`;
    const label = make("label", { for: id });
    const output = make("output", { for: id });
    const why = make("p", { id: `${id}-why` });
    const input = make("input", { id, type: "range", min, max, step, "aria-describedby": why.id });
    input.addEventListener("input", () => this.#set({ [name]: Number(input.value) }));
    this.#sliders[name] = { input, output, label, why };
    return make("div", { class: "setting" }, label, output, input, why);
  }

  #set(values) {
    Object.assign(this.state, values);
    this.render();
    this.changed();
  }

  /** What was typed, if it is a seed; else the one before. */
  #readSeed() {
    const typed = byId("seed").value.trim();
    const seed = Number(typed);
    const valid = typed !== "" && Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED;
    this.#set(valid ? { seed } : {});
  }
}

function shown(name, value) {
  if (name === "repetition_penalty" && value === SETTINGS[name].off) return t("sampler.no_penalty");
  return value === SETTINGS[name].off ? t("sampler.off") : number(value, DIGITS[name] ?? 0);
}
