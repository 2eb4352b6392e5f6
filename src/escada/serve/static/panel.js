// The panel of one token: what else could have come there, how probable, and the mean up to it.
// There is one panel; it moves into the card of the token that it speaks of, so that Tab leads from
// the token into it.

import { draw, make, visible } from "./dom.js";
import { number, onLanguage, percent, t } from "./i18n.js";
import { ALTERNATIVES, alternativesOf } from "./surprisal.js";
import { nameOf } from "./tokens.js";

const SHOWN_OF_BYTES = 4;

export class TokenPanel {
  #answer = null;
  #place = -1;
  #anchor = null;

  /** @param {(message: string) => void} announce to those who listen */
  constructor(announce) {
    this.announce = announce;
    this.element = make("div", { class: "panel", id: "panel", role: "region", hidden: true });
    onLanguage(() => this.#answer && this.#fill());
    addEventListener("resize", () => this.#answer && this.#stand());
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#answer) this.close(true);
    });
    // Not at "pointerdown": the page may grow shorter, and what was pressed would move away.
    addEventListener("click", (event) => {
      if (this.#answer && !event.target.closest(".panel, .token, .bar")) this.close(false);
    });
  }

  /** Open it for a token, or close it if it is open for that one. */
  toggle(answer, place, anchor) {
    if (this.#anchor === anchor) this.close(true);
    else this.open(answer, place, anchor);
  }

  open(answer, place, anchor) {
    this.close(false);
    [this.#answer, this.#place, this.#anchor] = [answer, place, anchor];
    anchor.setAttribute("aria-expanded", "true");
    anchor.setAttribute("aria-controls", "panel");
    answer.body.append(this.element);
    this.element.hidden = false;
    this.#fill();
    this.#stand();
    this.element.scrollIntoView({ block: "nearest" });
  }

  /** Follow the keyboard from token to token while it is open. */
  walkTo(answer, anchor) {
    if (this.#answer) this.open(answer, [...answer.text.tokens].indexOf(anchor), anchor);
  }

  /** @param {boolean} back give the focus back to the token */
  close(back) {
    if (!this.#answer) return;
    this.#anchor.setAttribute("aria-expanded", "false");
    this.#anchor.removeAttribute("aria-controls");
    if (back && this.#anchor.isConnected) this.#anchor.focus({ preventScroll: true });
    this.element.hidden = true;
    [this.#answer, this.#place, this.#anchor] = [null, -1, null];
  }

  /** Close it if it speaks of this answer, whose text is about to go. */
  leave(answer) {
    if (this.#answer === answer) this.close(false);
  }

  #fill() {
    const cell = this.#answer.cells.list[this.#place];
    const title = t("panel.title", { token: nameOf(cell.text) });
    const bits = cell.bits === null ? "–" : t("token.bits", { n: number(cell.bits, 2) });
    const mean = this.#answer.cells.bitsPerByte(this.#place);
    this.element.setAttribute("aria-label", title);
    this.element.replaceChildren(
      this.#head(cell, bits),
      ...this.#lists(cell),
      ...(mean === null ? [] : [make("p", {}, t("panel.mean", { bits: number(mean, 2) }))]),
      make("p", { class: "note" }, t("panel.note")),
    );
    this.announce(this.#summary(cell, bits));
  }

  #head(cell, bits) {
    const name = { type: "button", class: "icon", "aria-label": t("panel.close") };
    const close = make("button", name, cross());
    close.addEventListener("click", () => this.close(true));
    const piece = make("strong", { class: "piece", lang: "pt-BR" }, visible(cell.text));
    return make("div", { class: "panel-head" }, piece, make("span", {}, bits), close);
  }

  /** The alternatives of the cell's token, or a few for each of its tokens. */
  #lists(cell) {
    const count = cell.tokens.length;
    if (count === 0) return [make("p", { class: "note" }, t("panel.none"))];
    if (count === 1) return this.#alternatives(cell.tokens[0], ALTERNATIVES);
    const first = cell.tokens.slice(0, SHOWN_OF_BYTES);
    return [
      make("p", { class: "note" }, t("panel.bytes", { count })),
      ...first.flatMap((token) => this.#alternatives(token, SHOWN_OF_BYTES)),
    ];
  }

  #alternatives(token, most) {
    const { rows, rank } = alternativesOf(token.top, token.token, token.logprob);
    if (!Object.keys(token.top).length) return [make("p", { class: "note" }, t("panel.none"))];
    const shown = rows.filter((row, place) => place < most || row.chosen);
    const list = make("ol", { class: "alternatives" }, ...shown.map(bar));
    const others = 1 - shown.reduce((sum, row) => sum + row.share, 0);
    if (others > 0.0005) list.append(bar({ token: null, share: others }));
    const below = t("panel.rank.below", { count: ALTERNATIVES });
    const place = rank === 1 ? t("panel.rank.one") : rank ? t("panel.rank", { rank }) : below;
    const share = t("panel.share", { share: percent(Math.exp(token.logprob)) });
    const name = /^bytes:/.test(token.token) ? `${token.token}: ` : "";
    return [make("p", { class: "rank" }, `${name}${share}, ${place}`), list];
  }

  #summary(cell, bits) {
    if (!cell.tokens.length) return nameOf(cell.text);
    const { top, token, logprob } = cell.tokens[0];
    const { rows } = alternativesOf(top, token, logprob);
    const first = rows.slice(0, 3).map((row) => `${nameOf(row.token)} ${percent(row.share)}`);
    return t("panel.summary", { token: nameOf(cell.text), bits, rows: first.join(", ") });
  }

  /** Under the token's last line, as wide as the card at most. */
  #stand() {
    const body = this.#answer.body.getBoundingClientRect();
    const lines = this.#anchor.getClientRects();
    const token = lines[lines.length - 1] ?? body;
    const left = Math.min(token.left - body.left - 12, body.width - this.element.offsetWidth);
    this.element.style.top = `${token.bottom - body.top + 6}px`;
    this.element.style.left = `${Math.max(0, left)}px`;
  }
}

/** A row of the list; the whole track of its bar is a probability of 1. */
function bar({ token, share, chosen }) {
  const fill = make("i", {});
  fill.style.width = `${(100 * share).toFixed(1)}%`;
  const name = token === null ? t("panel.others") : visible(token);
  return make(
    "li",
    { class: token === null ? "others" : chosen ? "chosen" : null },
    make("span", token === null ? {} : { class: "piece", lang: "pt-BR" }, name),
    make("span", { class: "bar-track", "aria-hidden": "true" }, fill),
    make("span", { class: "share" }, percent(share)),
    chosen ? make("span", { class: "mark" }, t("panel.chosen")) : null,
  );
}

function cross() {
  const stroke = { stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round" };
  const path = draw("path", { d: "M6 6l12 12M18 6L6 18", ...stroke });
  return draw("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }, path);
}
