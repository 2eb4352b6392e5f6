// Embeddings: the nearest neighbours of a token, and frequent tokens on a plane.

import { draw, make, visible } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { bars, shownToken } from "./inside_text.js";

const WIDTH = 720;
const HEIGHT = 520;
const EDGE = 30;

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
    bars(rows, t("inside.neighbours")),
  ];
}

export async function showMap(tools) {
  const view = await tools.see({ view: "embedding_map", tokens: 150 });
  const points = view.points.map((point) =>
    draw(
      "text",
      {
        x: EDGE + ((point.x + 1) / 2) * (WIDTH - 2 * EDGE),
        y: EDGE + ((1 - point.y) / 2) * (HEIGHT - 2 * EDGE),
        class: `kind-${point.kind}`,
        "text-anchor": "middle",
      },
      visible(point.name),
    ),
  );
  const label = t("inside.map.alt", {
    n: number(view.points.length, 0),
    share: percent(view.explained),
  });
  const kinds = [...new Set(view.points.map((point) => point.kind))];
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
    ),
  ];
}
