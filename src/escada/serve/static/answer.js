// The card of one rung: its answer as it streams, stopped and begun again, with its sums below.

import { streamCompletion } from "./api.js";
import { draw, make } from "./dom.js";
import { language, number, onLanguage, plural, t } from "./i18n.js";
import { problemBox } from "./problem.js";
import { requestOf } from "./state.js";
import { Cells } from "./surprisal.js";
import { TokenText } from "./tokens.js";

const SQUARE = "M7 7h10v10H7z";
const AROUND = "M19 12a7 7 0 1 1-2.2-5.1M19 3v4.5h-4.5";
const LINES = {
  fill: "none",
  stroke: "currentColor",
  "stroke-width": 2,
  "stroke-linecap": "round",
  "stroke-linejoin": "round",
};

/** "idle" before the first answer; "streaming"; "finished", "stopped" or "failed" after it. */
export class Answer {
  status = "idle";
  cells = new Cells();
  #control = null;
  #seed = null;
  #finish = null;
  #error = null;
  #again = () => {};

  /**
   * @param {object} rung of the ladder
   * @param {string} colour a CSS variable's name
   * @param {object} page `panel`, `announce`, `changed` (a stream began or ended), `askToken`
   */
  constructor(rung, colour, page) {
    this.rung = rung;
    this.page = page;
    this.text = new TokenText((place, token) => page.panel.toggle(this, place, token));
    this.text.element.addEventListener("walk", (event) => page.panel.walkTo(this, event.detail));
    this.title = make("small", {});
    this.stopButton = make("button", { type: "button", class: "icon" }, icon(SQUARE, true));
    this.againButton = make("button", { type: "button", class: "icon" }, icon(AROUND, false));
    this.empty = make("p", { class: "empty" });
    this.whole = make("p", { class: "hidden whole", lang: "pt-BR" });
    this.problem = make("div", {});
    this.facts = make("footer", { class: "facts" });
    this.body = make("div", { class: "body" }, this.empty, this.whole, this.text.element);
    const id = `card-${rung.name}`;
    const heading = make("h3", { id }, make("span", { class: "rung" }, rung.name), this.title);
    const tools = make("div", { class: "tools" }, this.stopButton, this.againButton);
    this.element = make(
      "article",
      { class: "card", "aria-labelledby": id, "data-rung": rung.name },
      make("header", {}, heading, tools),
      this.body,
      this.problem,
      this.facts,
    );
    this.element.style.setProperty("--c", `var(${colour})`);
    this.stopButton.addEventListener("click", () => this.stop());
    this.againButton.addEventListener("click", () => this.#again());
    onLanguage(() => this.render());
    this.render();
  }

  /** What the button "again" does: it begins a new answer with a seed of its own. */
  onAgain(again) {
    this.#again = again;
  }

  /** Ask the rung; an answer on its way is stopped first. */
  async start(state, seed) {
    this.stop();
    const control = new AbortController();
    this.#control = control;
    this.#begin(state.prompt, seed);
    const request = requestOf(state, this.rung.name, seed);
    try {
      for await (const choice of streamCompletion(request, control.signal)) {
        if (this.#control !== control) return;
        this.#take(choice);
      }
      this.#end(control, "finished");
    } catch (error) {
      if (control.signal.aborted) this.#end(control, "stopped");
      else if (error.kind) this.#end(control, "failed", error);
      else throw error; // a bug of this page: let the console have it
    }
  }

  stop() {
    const control = this.#control;
    if (this.status !== "streaming") return;
    control.abort();
    this.#end(control, "stopped"); // at once: the stream's own end may be a while
  }

  /** Try once more what failed for want of a token. */
  retryAfterToken() {
    if (this.#error?.kind === "token") this.#again(this.#seed);
  }

  #begin(prompt, seed) {
    this.page.panel.leave(this);
    this.cells = new Cells();
    this.text.clear(prompt);
    this.whole.textContent = "";
    [this.status, this.#seed, this.#finish, this.#error] = ["streaming", seed, null, null];
    this.render();
    this.page.changed();
  }

  #take(choice) {
    this.text.add(this.cells.push(choice));
    if (choice.finish_reason) this.#finish = choice.finish_reason;
    this.empty.hidden = this.cells.list.length > 0;
    this.#renderFacts();
  }

  #end(control, status, error = null) {
    if (this.#control !== control || this.status !== "streaming") return;
    [this.status, this.#error] = [status, error];
    this.whole.textContent = this.cells.text;
    this.render();
    this.page.changed();
    if (status !== "failed") this.#announceEnd(); // a problem's box speaks for itself
  }

  #announceEnd() {
    const bits = this.cells.bitsPerByte();
    const key = this.status === "stopped" ? "stopped" : bits === null ? "finished_plain" : "finished";
    const tokens = plural("answer.tokens", this.cells.tokens);
    const values = { name: this.rung.name, tokens, bits: number(bits, 2) };
    this.page.announce(t(`announce.${key}`, values));
  }

  /** Everything that depends on the status or the language; the tokens stay. */
  render() {
    const streaming = this.status === "streaming";
    const { name, title } = this.rung;
    this.element.dataset.status = this.status;
    this.text.element.setAttribute("aria-busy", String(streaming));
    this.title.textContent = title?.[language()] ?? "";
    this.text.translate(t("answer.text", { name }));
    label(this.stopButton, t("answer.stop", { name }));
    label(this.againButton, t("answer.again", { name }));
    const focused = [this.stopButton, this.againButton].includes(document.activeElement);
    this.stopButton.hidden = !streaming;
    this.againButton.hidden = streaming;
    if (focused) (streaming ? this.stopButton : this.againButton).focus();
    this.empty.hidden = this.cells.list.length > 0 || this.status === "failed";
    this.empty.textContent = t(streaming ? "answer.waiting" : "answer.empty");
    this.text.element.hidden = this.status === "idle";
    this.problem.replaceChildren();
    if (this.#error) {
      const again = () => this.#again(this.#seed);
      this.problem.append(problemBox(this.#error, again, this.page.askToken));
    }
    this.#renderFacts();
  }

  #renderFacts() {
    this.facts.hidden = this.#seed === null;
    if (this.facts.hidden) return;
    const bits = this.cells.bitsPerByte();
    const parts = [plural("answer.tokens", this.cells.tokens), t("answer.seed", { seed: this.#seed })];
    if (this.status === "stopped") parts.push(t("answer.stopped"));
    if (this.status === "finished") {
      parts.push(t(this.#finish === "length" ? "answer.length" : "answer.end"));
    }
    this.facts.replaceChildren(...parts.map((part) => make("span", {}, part)));
    if (bits === null) return;
    const words = t("answer.mean", { bits: number(bits, 2) });
    this.facts.prepend(make("span", { class: "mean", title: t("answer.mean_why") }, words));
  }
}

function label(button, text) {
  button.setAttribute("aria-label", text);
  button.title = text;
}

function icon(path, filled) {
  const drawn = draw("path", { d: path, ...(filled ? { fill: "currentColor" } : LINES) });
  return draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, drawn);
}
