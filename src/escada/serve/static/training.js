// The view of a training: a slider over the steps whose weights were kept, and what the rung then
// wrote after one prompt, always from the same seed. The texts were made after the training; no
// model runs here.

import { ServiceError, readKept } from "./api.js";
import { byId, make } from "./dom.js";
import { compact, number, onLanguage, percent, t } from "./i18n.js";
import { problemBox } from "./problem.js";

export class TrainingView {
  #rungs = [];
  #colours = new Map();
  #found = new Map();
  #problem = null;
  #askToken;

  constructor(askToken) {
    this.#askToken = askToken;
    byId("training-rung").addEventListener("change", () => void this.open());
    byId("training-prompt").addEventListener("change", () => this.render());
    byId("training-step").addEventListener("input", () => this.render());
    onLanguage(() => this.render());
  }

  /** The rungs that kept weights; without any the tab is not shown. */
  show(rungs, colours) {
    this.#rungs = rungs.filter((rung) => rung.kept).map((rung) => rung.name);
    this.#colours = colours;
    byId("training-tab").hidden = !this.#rungs.length;
    const options = this.#rungs.map((name) => make("option", { value: name }, name));
    byId("training-rung").replaceChildren(...options);
    const last = this.#rungs.at(-1);
    if (last) byId("training-rung").value = last;
    this.render();
  }

  get #name() {
    return byId("training-rung").value;
  }

  /** The chosen rung's steps, asked for once. */
  async open() {
    const name = this.#name;
    this.#problem = null;
    if (name && !this.#found.has(name)) {
      try {
        this.#found.set(name, await readKept(name));
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        this.#problem = error;
        if (error.kind === "token") this.#askToken();
      }
    }
    if (name !== this.#name) return; // another was chosen meanwhile
    const kept = this.#found.get(name);
    if (kept) this.#fit(kept);
    this.render();
  }

  /** The slider and the prompts for the steps of a rung; the prompt stays, the step is the last. */
  #fit(kept) {
    const slider = byId("training-step");
    slider.max = kept.steps.length - 1;
    slider.value = slider.max;
    const prompts = byId("training-prompt");
    const before = prompts.selectedIndex;
    prompts.replaceChildren(
      ...kept.prompts.map((text, place) => make("option", { value: place }, shortened(text))),
    );
    prompts.selectedIndex = Math.min(Math.max(before, 0), kept.prompts.length - 1);
  }

  render() {
    const kept = this.#found.get(this.#name);
    const box = byId("training-problem");
    box.replaceChildren();
    if (this.#problem) box.append(problemBox(this.#problem, () => void this.open(), this.#askToken));
    byId("training-shown").hidden = !kept;
    byId("training-choice").hidden = !this.#rungs.length;
    byId("training-none").hidden = this.#rungs.length > 0;
    if (!kept) return;
    const slider = byId("training-step");
    const step = kept.steps[slider.valueAsNumber];
    const last = kept.steps.at(-1);
    const where = t("training.at", { step: number(step.step, 0), last: number(last.step, 0) });
    slider.setAttribute("aria-valuetext", where);
    byId("training-at").textContent = where;
    byId("training-facts").textContent = t("training.facts", {
      tokens: compact(step.tokens),
      bits: number(step.bits_per_byte, 3),
      share: percent(step.lexicon_share),
    });
    const place = Math.max(byId("training-prompt").selectedIndex, 0);
    const { text, finished } = step.texts[place];
    byId("training-card").style.setProperty("--c", `var(${this.#colours.get(this.#name)})`);
    byId("training-name").textContent = this.#name;
    byId("training-text").replaceChildren(
      make("span", { class: "opening" }, kept.prompts[place]),
      text + (finished ? "" : "…"),
    );
  }
}

const LONGEST = 70;

function shortened(text) {
  const line = text.replace(/\s+/g, " ");
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST - 1)}…`;
}
