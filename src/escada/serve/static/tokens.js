// An answer's text as tokens that can be clicked and walked through by keyboard. One token of the
// text can be reached by Tab; the arrows move from there (a roving tabindex).

import { make } from "./dom.js";
import { number, t } from "./i18n.js";
import { levelOf } from "./surprisal.js";

const MOVES = {
  ArrowRight: (place) => place + 1,
  ArrowLeft: (place) => place - 1,
  Home: () => 0,
  End: (_, last) => last,
};

/** What a token is called: its text, or a word for what cannot be seen. */
export function nameOf(text) {
  if (text === "" || text === "<eos>") return t("token.end");
  if (/^ +$/.test(text)) return t("token.space");
  if (/^[\r\n]+$/.test(text)) return t("token.newline");
  return `“${text.trim().replace(/\n/g, "↵")}”`;
}

export class TokenText {
  /**
   * @param {(place: number, element: HTMLElement) => void} choose called for a click or Enter
   * @param {{level: Function, label: Function}} look a cell's class and its name
   */
  constructor(choose, look = { level: surprisalLevel, label: labelOf }) {
    this.look = look;
    this.element = make("div", { class: "text", role: "group", lang: "pt-BR" });
    this.choose = choose;
    this.cells = [];
    this.element.addEventListener("click", (event) => this.#click(event));
    this.element.addEventListener("keydown", (event) => this.#key(event));
    this.element.addEventListener("pointerover", (event) => this.#hover(event));
  }

  get tokens() {
    return this.element.getElementsByClassName("token");
  }

  /** Begin anew, behind the end of the prompt. */
  clear(prompt) {
    this.cells = [];
    const shown = prompt.length > 90 ? `… ${prompt.slice(-80)}` : prompt;
    this.element.replaceChildren(make("span", { class: "opening" }, shown));
  }

  add(cells) {
    for (const cell of cells) {
      const place = this.cells.push(cell) - 1;
      this.element.append(this.#token(cell, place));
    }
  }

  /** Names in the language of now. */
  translate(label) {
    this.element.setAttribute("aria-label", label);
    this.cells.forEach((cell, place) => {
      this.tokens[place].setAttribute("aria-label", this.look.label(cell));
      this.tokens[place].removeAttribute("title");
    });
  }

  /** Tab leads here from now on. */
  makeCurrent(place) {
    this.element.querySelector('.token[tabindex="0"]')?.setAttribute("tabindex", "-1");
    this.tokens[place].setAttribute("tabindex", "0");
  }

  #token(cell, place) {
    const kind = cell.end ? " end" : /^[\r\n]+$/.test(cell.text) ? " newline" : "";
    return make(
      "span",
      {
        class: `token ${this.look.level(cell)}${kind}`,
        role: "button",
        tabindex: place === 0 ? "0" : "-1",
        "aria-expanded": "false",
        "aria-label": this.look.label(cell),
      },
      cell.text,
    );
  }

  #placeOf(event) {
    const token = event.target.closest?.(".token");
    return token ? [...this.tokens].indexOf(token) : -1;
  }

  #click(event) {
    const place = this.#placeOf(event);
    if (place < 0) return;
    this.makeCurrent(place);
    this.tokens[place].focus({ preventScroll: true });
    this.choose(place, this.tokens[place]);
  }

  #key(event) {
    const place = this.#placeOf(event);
    if (place < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(place, this.tokens[place]);
      return;
    }
    const next = event.key.startsWith("Arrow") && !(event.key in MOVES)
      ? this.#onOtherLine(place, event.key === "ArrowDown" ? 1 : -1)
      : MOVES[event.key]?.(place, this.tokens.length - 1);
    if (next === undefined) return;
    event.preventDefault();
    const target = this.tokens[Math.min(Math.max(next, 0), this.tokens.length - 1)];
    this.makeCurrent([...this.tokens].indexOf(target));
    target.focus();
    this.element.dispatchEvent(new CustomEvent("walk", { detail: target }));
  }

  /** The token of the next line (1) or the one before (-1) that is nearest to this one's middle. */
  #onOtherLine(place, direction) {
    const boxes = [...this.tokens].map((token) => token.getClientRects()[0]);
    const here = boxes[place];
    let line = null;
    let best = place;
    for (let other = place + direction; boxes[other]; other += direction) {
      const box = boxes[other];
      if (Math.abs(box.top - here.top) < here.height / 2) continue;
      line ??= box.top;
      if (Math.abs(box.top - line) > here.height / 2) break;
      const far = (one) => Math.abs(one.left + one.width / 2 - here.left - here.width / 2);
      if (best === place || far(box) < far(boxes[best])) best = other;
    }
    return best;
  }

  /** A tooltip, written when it is wanted: an answer may have a thousand tokens. */
  #hover(event) {
    const place = this.#placeOf(event);
    if (place >= 0) this.tokens[place].title = this.look.label(this.cells[place]);
  }
}

function surprisalLevel(cell) {
  return `level-${levelOf(cell.bits)}`;
}

function labelOf(cell) {
  const token = nameOf(cell.text);
  return cell.bits === null ? token : t("token.label", { token, bits: number(cell.bits, 1) });
}
