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
const GRID_STEPS = 10;

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

  let wanted = null; // the last one asked for: an answer that comes after it is dropped

  async function pick(cell, name) {
    wanted = cell;
    const view = await tools.see({ view: "cells", text: tools.text, cells: [cell] });
    if (wanted !== cell) return;
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

  let wanted = null;

  async function pick(head, name) {
    wanted = head;
    const view = await tools.see({ view: "attention", text: tools.text, head });
    if (wanted !== head) return;
    const { tokens, weights } = view;
    let looking = tokens.length - 1;
    const told = make("p", { class: "told", role: "status" });
    const weightOf = (place) => weights[looking][place] ?? 0;
    const words = (place) => `${shownName(tokens[place])} ${percent(weightOf(place))}`;
    const text = tokensOf(tokens, (place) => weightLevel(weightOf(place)), words, look);
    text.element.addEventListener("pointerover", (event) => {
      const place = [...text.tokens].indexOf(event.target);
      if (place >= 0 && place !== looking) look(place);
    });
    const { figure, mark } = grid(view, name, look);

    function look(place) {
      looking = place;
      [...text.tokens].forEach((token, other) => {
        token.className = `token ${weightLevel(weightOf(other))}`;
        token.toggleAttribute("data-looking", other === place);
      });
      text.translate(t("inside.attention.text", { name }));
      mark(place);
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
    seen.replaceChildren(make("h3", {}, name), text.element, told, figure);
  }

  await rank(SCORES[0]);
  const why = make("p", { class: "note" }, t("inside.score.why"));
  return [make("div", { class: "columns" }, make("div", {}, choice, list, why), seen)];
}

/** The weights of a head: a row looks back at columns. A click chooses a row. */
function grid({ tokens, weights }, name, choose) {
  const side = GRID_PIXELS / tokens.length;
  const paths = Array.from({ length: GRID_STEPS }, () => ""); // one for all squares of a strength
  weights.forEach((row, i) =>
    row.forEach((weight, j) => {
      if (weight < 0.01) return;
      const step = Math.min(GRID_STEPS - 1, Math.floor(weight * GRID_STEPS));
      paths[step] += `M${j * side} ${i * side}h${side}v${side}h${-side}z`;
    }),
  );
  const squares = paths.map((d, step) => {
    const path = draw("path", { d });
    path.style.opacity = String(Math.min(1, 0.15 + (step + 0.5) / GRID_STEPS));
    return path;
  });
  const row = draw("rect", { class: "row", x: 0, height: side });
  const title = draw("title", {}, "");
  const label = t("inside.attention.grid", { name });
  const picture = { class: "grid-of-weights", role: "img", "aria-label": label };
  const viewBox = `0 0 ${GRID_PIXELS} ${GRID_PIXELS}`;
  const svg = draw("svg", { viewBox, ...picture }, title, ...squares, row);
  const placeOf = (event) => {
    const { left, top, width } = svg.getBoundingClientRect();
    const at = (pixels) => Math.min(tokens.length - 1, Math.max(0, Math.floor((pixels / width) * tokens.length)));
    return [at(event.clientY - top), at(event.clientX - left)];
  };
  svg.addEventListener("pointermove", (event) => {
    const [i, j] = placeOf(event);
    title.textContent = `${shownName(tokens[i])} → ${shownName(tokens[j])}: ${percent(weights[i][j] ?? 0)}`;
  });
  svg.addEventListener("click", (event) => choose(placeOf(event)[0]));
  const figure = make("figure", { class: "figure" }, svg, make("figcaption", { class: "note" }, label));
  /** Frame the row of a token. */
  const mark = (place) => {
    row.setAttribute("y", place * side);
    row.setAttribute("width", (place + 1) * side);
  };
  return { figure, mark };
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
