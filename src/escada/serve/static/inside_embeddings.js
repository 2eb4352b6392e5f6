// Embeddings: the nearest neighbours of a token, and frequent tokens on a plane.

import { draw, make, visible } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { bars, shownToken } from "./inside_text.js";

const WIDTH = 720;
const HEIGHT = 520;
const EDGE = 30;
const LETTER = 7.5; // of a name, in pixels
const LINE = 13;

export async function showNeighbours(tools) {
  const view = await tools.see({ view: "neighbours", token: tools.text });
  const rows = view.neighbours.map((one) => ({
    name: one.name,
    share: Math.max(one.cosine, 0),
    words: number(one.cosine, 2),
  }));
  const rest = view.rest.length ? ` ${t("inside.neighbours.rest", { rest: view.rest.map(visible).join(" ") })}` : "";
  return [
    make("p", {}, t("inside.neighbours.of", { token: shownToken(view.token.name) }), rest),
    bars(rows, t("inside.neighbours"), (name) => tools.again(name)),
  ];
}

export async function showMap(tools) {
  const view = await tools.see({ view: "embedding_map", tokens: 150 });
  const points = placed(view.points).map(({ point, x, y, free }) => {
    const name = visible(point.name);
    const kind = `kind-${point.kind}`;
    if (free) return draw("text", { x, y: y + 4, class: kind, "text-anchor": "middle" }, name);
    return draw("circle", { cx: x, cy: y, r: 2.5, class: kind }, draw("title", {}, name));
  });
  const label = t("inside.map.alt", {
    n: number(view.points.length, 0),
    share: percent(view.explained),
  });
  const kinds = [...new Set(view.points.map((point) => point.kind))];
  const lists = kinds.flatMap((kind) => {
    const names = view.points.filter((point) => point.kind === kind).map((point) => visible(point.name));
    return [make("dt", {}, t(`inside.kind.${kind}`)), make("dd", { class: "piece" }, names.join("  "))];
  });
  const legend = kinds.map((kind) => make("span", { class: `kind-${kind}` }, t(`inside.kind.${kind}`)));
  return [
    make(
      "figure",
      { class: "figure" },
      make(
        "div",
        { class: "scroll", role: "region", tabindex: "0", "aria-label": label },
        draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "map", role: "img", "aria-label": label }, ...points),
      ),
      make("figcaption", { class: "note" }, label),
      make("p", { class: "kinds" }, ...legend),
      make("details", {}, make("summary", {}, t("inside.map.list")), make("dl", {}, ...lists)),
    ),
  ];
}

/** Where each point stands, the frequent ones first; `free`: its name covers no other name. */
function placed(points) {
  const boxes = [];
  return points.map((point) => {
    const x = EDGE + ((point.x + 1) / 2) * (WIDTH - 2 * EDGE);
    const y = EDGE + ((1 - point.y) / 2) * (HEIGHT - 2 * EDGE);
    const half = LETTER * Math.max(1, point.name.length) / 2;
    const apart = (box) => Math.abs(box.x - x) > box.half + half || Math.abs(box.y - y) > LINE;
    const free = boxes.every(apart);
    if (free) boxes.push({ x, y, half });
    return { point, x, y, free };
  });
}
