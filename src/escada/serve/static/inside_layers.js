// Cells of recurrent rungs and heads of Transformers: a ranking to choose from, and the text in the
// colours of what was chosen.

import { draw, make } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { TokenText, nameOf } from "./tokens.js";

export const PROPERTIES = [
  "quotation",
  "parenthesis",
  "after_space",
  "in_name",
  "line_position",
  "word_position",
];
export const SCORES = ["induction", "previous_token", "same_token"];
const VALUE_STEPS = [0.1, 0.35, 0.6, 0.85];
const WEIGHT_STEPS = [0.05, 0.15, 0.35, 0.6];
const GRID_PIXELS = 420;

/** The class of a cell's value, from -1 to 1: two colours, five steps each. */
export function valueLevel(value) {
  const step = VALUE_STEPS.filter((edge) => Math.abs(value) >= edge).length;
  return step ? `${value > 0 ? "up" : "down"}-${step}` : "level-0";
}

/** The class of a weight, from 0 to 1. */
export function weightLevel(weight) {
  return `level-${WEIGHT_STEPS.filter((edge) => weight >= edge).length}`;
}

export async function showCells(tools) {
  const list = make("ol", { class: "ranking" });
  const measure = make("p", { class: "note" });
  const trace = make("div", { class: "seen" });
  const choice = choose("inside.property", PROPERTIES, "inside.property", (property) =>
    tools.guard(() => rank(property)),
  );

  async function rank(property) {
    const ranking = await tools.see({ view: "cell_ranking", property });
    measure.textContent = t(`inside.measure.${ranking.measure}`, {
      with: number(ranking.tokens_with, 0),
      tokens: number(ranking.tokens, 0),
    });
    const rows = ranking.cells.map((one) => {
      const name = t("inside.cell", { layer: one.cell.layer, cell: one.cell.cell });
      const words = `${name}: ${number(one.score, 2)} ${t(one.falls ? "inside.falls" : "inside.rises")}`;
      return pickable(words, list, () => tools.guard(() => pick(one.cell, name)));
    });
    list.replaceChildren(...rows);
    list.querySelector("button").setAttribute("aria-pressed", "true");
    const first = ranking.cells[0].cell;
    await pick(first, t("inside.cell", { layer: first.layer, cell: first.cell }));
  }

  async function pick(cell, name) {
    const view = await tools.see({ view: "cells", text: tools.text, cells: [cell] });
    const { values } = view.traces[0];
    const words = (place) =>
      `${shownName(view.tokens[place])} ${number(values[place], 2)}`;
    const told = make("p", { class: "told", role: "status" }, t("inside.cells.how"));
    const text = tokensOf(view.tokens, (place) => valueLevel(values[place]), words, (place) => {
      told.textContent = words(place);
    });
    text.translate(t("inside.cells.text", { name }));
    trace.replaceChildren(make("h3", {}, name), text.element, told, valueLegend());
  }

  await rank(PROPERTIES[0]);
  return [make("div", { class: "columns" }, make("div", {}, choice, list, measure), trace)];
}

export async function showAttention(tools) {
  const list = make("ol", { class: "ranking" });
  const seen = make("div", { class: "seen" });
  const choice = choose("inside.score", SCORES, "inside.score", (score) =>
    tools.guard(() => rank(score)),
  );

  async function rank(score) {
    const ranking = await tools.see({ view: "head_ranking", score });
    const rows = ranking.heads.map((one) => {
      const name = t("inside.head", { layer: one.head.layer, head: one.head.head });
      const words = `${name}: ${number(one[score], 3)}`;
      return pickable(words, list, () => tools.guard(() => pick(one.head, name)));
    });
    list.replaceChildren(...rows);
    list.querySelector("button").setAttribute("aria-pressed", "true");
    const first = ranking.heads[0].head;
    await pick(first, t("inside.head", { layer: first.layer, head: first.head }));
  }

  async function pick(head, name) {
    const view = await tools.see({ view: "attention", text: tools.text, head });
    const { tokens, weights } = view;
    let looking = tokens.length - 1;
    const told = make("p", { class: "told", role: "status" });
    const weightOf = (place) => weights[looking][place] ?? 0;
    const words = (place) => `${shownName(tokens[place])} ${percent(weightOf(place))}`;
    const text = tokensOf(tokens, (place) => weightLevel(weightOf(place)), words, look);

    function look(place) {
      looking = place;
      [...text.tokens].forEach((token, other) => {
        token.className = `token ${weightLevel(weightOf(other))}`;
        token.toggleAttribute("data-looking", other === place);
      });
      text.translate(t("inside.attention.text", { name }));
      const best = weights[place]
        .map((weight, other) => [weight, other])
        .sort((a, b) => b[0] - a[0])
        .slice(0, 3)
        .map(([, other]) => words(other));
      told.textContent = t("inside.attention.told", {
        token: shownName(tokens[place]),
        best: best.join(", "),
      });
    }

    look(looking);
    seen.replaceChildren(make("h3", {}, name), text.element, told, grid(view, name));
  }

  await rank(SCORES[0]);
  const why = make("p", { class: "note" }, t("inside.score.why"));
  return [make("div", { class: "columns" }, make("div", {}, choice, list, why), seen)];
}

/** The weights of a head: a row looks back at columns. */
function grid({ tokens, weights }, name) {
  const side = GRID_PIXELS / tokens.length;
  const squares = weights.flatMap((row, i) =>
    row.flatMap((weight, j) => {
      if (weight < 0.01) return [];
      const square = draw("rect", { x: j * side, y: i * side, width: side, height: side });
      square.style.opacity = String(Math.min(1, 0.15 + weight));
      square.append(draw("title", {}, `${shownName(tokens[i])} → ${shownName(tokens[j])}: ${percent(weight)}`));
      return [square];
    }),
  );
  const label = t("inside.attention.grid", { name });
  const picture = { class: "grid-of-weights", role: "img", "aria-label": label };
  return make(
    "figure",
    { class: "figure" },
    draw("svg", { viewBox: `0 0 ${GRID_PIXELS} ${GRID_PIXELS}`, ...picture }, ...squares),
    make("figcaption", { class: "note" }, label),
  );
}

/** A text whose tokens have classes and words by place; `told` hears which one is chosen or walked to. */
export function tokensOf(tokens, levelOf, wordsOf, told) {
  const text = new TokenText((chosen) => told(chosen), {
    level: (cell) => levelOf(cell.place),
    label: (cell) => wordsOf(cell.place),
  });
  text.element.addEventListener("walk", (event) => told([...text.tokens].indexOf(event.detail)));
  text.add(tokens.map((token, place) => ({ ...shape(token), place })));
  return text;
}

/** What stands for a token: its characters, or a sign for one that completes none. */
function shape({ text, name }) {
  if (text !== "") return { text, end: false };
  if (name === "<eos>") return { text, end: true };
  return { text: name === "<bos>" ? "▸" : "▫", end: false };
}

export function shownName(token) {
  return token.text === "" ? token.name : nameOf(token.text);
}

/** A labelled list of choices. */
function choose(label, values, prefix, changed) {
  const id = `choice-${prefix.replace(".", "-")}`;
  const options = values.map((value) => make("option", { value }, t(`${prefix}.${value}`)));
  const select = make("select", { id }, ...options);
  select.addEventListener("change", () => changed(select.value));
  return make("p", { class: "pair" }, make("label", { for: id }, t(label)), select);
}

/** An entry of a ranking. */
function pickable(words, list, pick) {
  const button = make("button", { type: "button", "aria-pressed": "false" }, words);
  button.addEventListener("click", () => {
    for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
    button.setAttribute("aria-pressed", "true");
    pick();
  });
  return make("li", {}, button);
}

function valueLegend() {
  const steps = [-1, -0.5, 0, 0.5, 1].map((value) =>
    make("span", { class: valueLevel(value) }, number(value, 1)),
  );
  return make("p", { class: "scale" }, t("inside.cells.legend"), make("span", { class: "steps" }, ...steps));
}
