// The view "Score my text": a text of the reader's under each chosen rung, and the difference
// between two of them, span by span.

import { scoreText } from "./api.js";
import { byId, make } from "./dom.js";
import { language, number, onLanguage, plural, t } from "./i18n.js";
import { problemBox } from "./problem.js";
import { ALTERNATIVES, Cells, utf8Bytes } from "./surprisal.js";
import { TokenText, nameOf } from "./tokens.js";

/** Where one step of the difference's scale ends and the next begins, in bits. */
const DIFFERENCE_BITS = [0.5, 2, 4];

/** The cells of a score: the service's tokens, as the chunks of a stream bring them. */
export function cellsOf(score) {
  const cells = new Cells();
  for (const token of score.tokens) {
    const top = token.alternatives.map((other) => [other.name, -other.bits * Math.LN2]);
    const logprobs = {
      tokens: [token.name],
      token_logprobs: [-token.bits * Math.LN2],
      top_logprobs: [Object.fromEntries(top)],
    };
    const last = token === score.tokens.at(-1);
    cells.push({ text: token.text, logprobs, finish_reason: last ? "stop" : null });
  }
  return cells;
}

/**
 * Two lists of cells of one text, cut where both have an end: what each rung paid for each span.
 * The end of the text, which has no bytes, is the last span.
 * @returns {{text: string, first: number, second: number, end: boolean}[]}
 */
export function commonSpans(first, second) {
  const ends = (cells) => {
    let at = 0;
    return cells.filter((cell) => !cell.end).map((cell) => (at += utf8Bytes(cell.text)));
  };
  const shared = new Set(ends(second));
  const bounds = ends(first).filter((end) => shared.has(end));
  const sums = (cells) => {
    const found = bounds.map(() => ({ text: "", bits: 0 }));
    let at = 0;
    let span = 0;
    for (const cell of cells.filter((one) => !one.end)) {
      at += utf8Bytes(cell.text);
      found[span].text += cell.text;
      found[span].bits += cell.bits;
      if (at === bounds[span]) span += 1;
    }
    const end = cells.filter((one) => one.end).reduce((sum, one) => sum + one.bits, 0);
    return [...found, { text: "", bits: end }];
  };
  const others = sums(second);
  return sums(first).map(({ text, bits }, place) => ({
    text,
    first: bits,
    second: others[place].bits,
    end: place === bounds.length,
  }));
}

/** A text under one rung. It stands where an answer stands for the panel of a token. */
class ScoreCard {
  cells = new Cells();
  score = null;
  #error = null;

  constructor(rung, colour, page, again) {
    this.rung = rung;
    this.page = page;
    this.again = again;
    this.text = new TokenText((place, token) => page.panel.toggle(this, place, token));
    this.text.element.addEventListener("walk", (event) => page.panel.walkTo(this, event.detail));
    this.title = make("small", {});
    this.empty = make("p", { class: "empty" });
    this.problem = make("div", {});
    this.facts = make("footer", { class: "facts" });
    this.body = make("div", { class: "body" }, this.empty, this.text.element);
    const id = `score-card-${rung.name}`;
    const heading = make("h3", { id }, make("span", { class: "rung" }, rung.name), this.title);
    this.element = make(
      "article",
      { class: "card", "aria-labelledby": id, "data-score": rung.name },
      make("header", {}, heading),
      this.body,
      this.problem,
      this.facts,
    );
    this.element.style.setProperty("--c", `var(${colour})`);
  }

  async ask(text, signal) {
    this.page.panel.leave(this);
    [this.score, this.#error, this.cells] = [null, null, new Cells()];
    this.text.clear("");
    this.element.dataset.status = "waiting";
    this.render();
    try {
      const body = { model: this.rung.name, text, alternatives: ALTERNATIVES };
      this.score = await scoreText(body, signal);
      this.cells = cellsOf(this.score);
      this.text.add(this.cells.list);
      this.element.dataset.status = "finished";
    } catch (error) {
      if (signal.aborted) return;
      if (!error.kind) throw error; // a bug of this page: let the console have it
      this.#error = error;
      this.element.dataset.status = "failed";
    }
    this.render();
  }

  render() {
    const { name, title } = this.rung;
    this.title.textContent = title?.[language()] ?? "";
    this.text.translate(t("score.text", { name }));
    this.text.element.hidden = !this.score;
    this.empty.hidden = Boolean(this.score || this.#error);
    this.empty.textContent = t("score.waiting");
    this.problem.replaceChildren();
    if (this.#error) {
      this.problem.append(problemBox(this.#error, this.again, this.page.askToken));
    }
    this.facts.hidden = !this.score;
    if (!this.score) return;
    const mean = make("span", { class: "mean" }, perByte(this.score));
    const parts = [
      t("score.bits", { bits: number(this.score.bits, 1) }),
      plural("answer.tokens", this.score.tokens.length),
    ];
    if (this.score.unknown) parts.push(plural("score.unknown", this.score.unknown));
    this.facts.replaceChildren(mean, ...parts.map((part) => make("span", {}, part)));
  }
}

export class ScoreView {
  #cards = new Map();
  #control = null;
  #shown = [];

  /**
   * @param {object} state the page's; `text`, `rungs` and `pair` are changed in place
   * @param {object} page `panel`, `announce`, `askToken`, `remember`, `write`
   */
  constructor(state, page) {
    this.state = state;
    this.page = page;
    this.difference = new TokenText((place) => this.#tell(place), {
      level: (cell) => differenceLevel(cell.first - cell.second),
      label: (cell) => this.#words(cell),
    });
    this.difference.element.addEventListener("walk", (event) => {
      this.#tell([...this.difference.tokens].indexOf(event.detail));
    });
    byId("difference-text").append(this.difference.element);
    byId("score-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.start();
    });
    byId("score-text").addEventListener("input", () => {
      state.text = byId("score-text").value;
      page.remember();
    });
    for (const place of [0, 1]) {
      byId(`pair-${place}`).addEventListener("change", (event) => {
        state.pair = this.#pair();
        state.pair[place] = event.target.value;
        page.write();
        this.#renderDifference();
      });
    }
    onLanguage(() => this.render());
  }

  addRung(rung, colour) {
    const card = new ScoreCard(rung, colour, this.page, () => this.start());
    this.#cards.set(rung.name, card);
  }

  /** Ask every chosen rung. */
  async start() {
    const text = byId("score-text").value;
    const chosen = this.state.rungs ?? [];
    const missing = !chosen.length ? "rungs.none" : text.trim() ? null : "score.none";
    byId("score-hint").textContent = missing ? t(missing) : "";
    if (missing) return;
    this.page.write();
    this.#control?.abort();
    const control = new AbortController();
    this.#control = control;
    this.#shown = [...this.#cards.values()].filter((card) => chosen.includes(card.rung.name));
    byId("score-cards").replaceChildren(...this.#shown.map((card) => card.element));
    byId("score-results").hidden = false;
    byId("difference").hidden = true;
    const asked = Promise.all(this.#shown.map((card) => card.ask(text, control.signal)));
    showResults(byId("score-results"));
    await asked;
    if (this.#control !== control) return;
    this.#renderDifference();
    const scored = this.#scored();
    const words = scored.map((card) => `${card.rung.name} ${perByte(card.score)}`);
    if (words.length) this.page.announce(t("score.announce", { scores: words.join("; ") }));
  }

  render() {
    for (const card of this.#cards.values()) card.render();
    this.#renderDifference();
  }

  #scored() {
    return this.#shown.filter((card) => card.score);
  }

  /** The two rungs to compare: the reader's, else the worst and the best of the text. */
  #pair() {
    const scored = this.#scored();
    const names = scored.map((card) => card.rung.name);
    const wanted = this.state.pair ?? [];
    if (wanted.length === 2 && wanted.every((name) => names.includes(name))) return [...wanted];
    const ranked = [...scored].sort((a, b) => b.score.bits_per_byte - a.score.bits_per_byte);
    return [ranked[0].rung.name, ranked.at(-1).rung.name];
  }

  #renderDifference() {
    const scored = this.#scored();
    byId("difference").hidden = scored.length < 2;
    byId("difference-told").textContent = t("difference.hint");
    if (scored.length < 2) return;
    const pair = this.#pair();
    for (const place of [0, 1]) {
      const options = scored.map(({ rung: { name } }) =>
        make("option", { value: name, selected: name === pair[place] }, name),
      );
      byId(`pair-${place}`).replaceChildren(...options);
    }
    const [first, second] = pair.map((name) => this.#cards.get(name));
    const same = first.score.text === second.score.text;
    this.difference.clear("");
    if (same) this.difference.add(commonSpans(first.cells.list, second.cells.list));
    this.difference.translate(t("difference.text", { first: pair[0], second: pair[1] }));
    byId("difference-sum").textContent = same ? sumOf(first, second) : t("difference.other_text");
  }

  /** The words for one span. */
  #words(cell) {
    const [first, second] = this.#pair();
    const saved = cell.first - cell.second;
    const key = saved >= 0 ? "difference.saved" : "difference.lost";
    return t(key, {
      token: nameOf(cell.end ? "" : cell.text),
      bits: number(Math.abs(saved), 1),
      first: `${first} ${number(cell.first, 1)}`,
      second: `${second} ${number(cell.second, 1)}`,
    });
  }

  #tell(place) {
    byId("difference-told").textContent = this.#words(this.difference.cells[place]);
  }
}

/** Bring results into view, where a small screen has them below its edge, and the focus with them. */
export function showResults(element) {
  const { top } = element.getBoundingClientRect();
  if (top >= 0 && top < innerHeight * 0.6) return;
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  element.focus({ preventScroll: true });
  element.scrollIntoView({ block: "start", behavior: still ? "auto" : "smooth" });
}

function perByte(score) {
  return t("answer.mean", { bits: number(score.bits_per_byte, 2) });
}

function sumOf(first, second) {
  const saved = first.score.bits - second.score.bits;
  return t(saved >= 0 ? "difference.sum.saved" : "difference.sum.lost", {
    first: first.rung.name,
    second: second.rung.name,
    bits: number(Math.abs(saved), 1),
    from: number(first.score.bits, 1),
    to: number(second.score.bits, 1),
  });
}

/** The class of a span: bits that the second rung saved, or lost. */
function differenceLevel(saved) {
  const level = DIFFERENCE_BITS.filter((edge) => Math.abs(saved) >= edge).length;
  return level ? `${saved > 0 ? "saved" : "lost"}-${level}` : "level-0";
}
