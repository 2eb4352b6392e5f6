// What a rung expects of a text: counts against the network, continuations, and pairs of sentences.

import { make, visible } from "./dom.js";
import { number, percent, t } from "./i18n.js";
import { tokensOf, weightLevel } from "./inside_layers.js";
import { levelOf } from "./surprisal.js";
import { nameOf } from "./tokens.js";

/** Sentences that differ in agreement: right, wrong. */
export const PAIRS = [
  ["As casas da praça são antigas.", "As casas da praça é antigas."],
  ["O livro das meninas caiu no chão.", "O livro das meninas caíram no chão."],
  ["A professora está cansada.", "A professora está cansado."],
  ["Os preços do mercado subiram.", "Os preços do mercado subiu."],
];
const PARTS = ["counts", "network", "mixture"];

export function shownToken(name) {
  return `“${visible(name)}”`;
}

function pickButton(name, pick) {
  const label = t("inside.neighbours.of", { token: shownToken(name) });
  const button = make("button", { type: "button", class: "piece", "aria-label": label }, visible(name));
  button.addEventListener("click", () => pick(name));
  return button;
}

/** A list of names with bars; with `pick`, names of text are buttons that call it. */
export function bars(rows, label, pick = null) {
  const items = rows.map(({ name, share, words }) => {
    const bar = make("i", {});
    bar.style.width = `${(100 * share).toFixed(1)}%`;
    return make(
      "li",
      {},
      pick && !/^(<\w+>|bytes:.*)$/.test(name) ? pickButton(name, pick) : make("span", { class: "piece" }, visible(name)),
      make("span", { class: "bar-track" }, bar),
      make("span", { class: "share" }, words),
    );
  });
  return make("ol", { class: "alternatives", "aria-label": label }, ...items);
}

export async function showCounts(tools) {
  const view = await tools.see({ view: "counts", text: tools.text, best: 6 });
  const tokens = view.tokens.map((one) => one.token);
  const detail = make("div", { class: "seen" });
  const words = (place) => {
    const one = view.tokens[place];
    return t("inside.counts.told", {
      token: nameOf(one.token.text),
      counts: percent(one.counts),
      network: percent(one.network),
      mixture: percent(one.mixture),
      share: percent(one.network_share),
      match: number(one.match_tokens, 0),
    });
  };
  const text = tokensOf(tokens, (place) => weightLevel(view.tokens[place].network_share), words, tell);

  function tell(place) {
    const one = view.tokens[place];
    const lists = PARTS.map((part) => {
      const rows = one[`best_by_${part}`].map((guess) => ({
        name: guess.name,
        share: guess.probability,
        words: percent(guess.probability),
      }));
      return make("section", {}, make("h3", {}, t(`inside.part.${part}`)), bars(rows, t(`inside.part.${part}`)));
    });
    const line = make("p", { class: "told", role: "status" }, words(place));
    const own = [...PARTS.map((part) => [part, one[part]]), ["gate", one.network_share]].map(
      ([part, share]) => ({ name: t(`inside.part.${part}`), share, words: percent(share) }),
    );
    const sums = bars(own, words(place));
    sums.classList.add("parts");
    detail.replaceChildren(line, sums, make("div", { class: "thirds" }, ...lists));
  }

  text.translate(t("inside.counts.text"));
  tell(0);
  return [text.element, make("p", { class: "note" }, t("inside.counts.how")), detail];
}

export async function showTree(tools) {
  const view = await tools.see({ view: "tree", text: tools.text, depth: 4, width: 3 });
  const children = new Map();
  view.nodes.forEach((node, place) => {
    children.set(node.parent, [...(children.get(node.parent) ?? []), place]);
  });

  const textTo = (place) => (place < 0 ? "" : textTo(view.nodes[place].parent) + view.nodes[place].token.text);

  function branch(parent) {
    const items = (children.get(parent) ?? []).map((place) => {
      const node = view.nodes[place];
      const name = make("span", { class: "piece" }, visible(node.token.name));
      const share = make("span", { class: "share" }, percent(node.probability));
      const go = make(
        "button",
        { type: "button", "aria-label": t("inside.tree.go", { token: shownToken(node.token.name) }) },
        t("inside.tree.on"),
      );
      go.addEventListener("click", () => tools.again(view.text + textTo(place)));
      // Nothing follows the end, and the service drops spaces at the end of a text.
      const onwards = /\S$/.test(node.token.text) ? go : null;
      if (!children.has(place)) return make("li", {}, make("p", {}, name, share), onwards);
      const summary = make("summary", {}, name, share);
      return make("li", {}, make("details", {}, summary, onwards, branch(place)));
    });
    return make("ul", { class: "tree" }, ...items);
  }

  return [
    make("p", { class: "text" }, make("span", { class: "opening" }, view.text || "∅"), "…"),
    branch(-1),
  ];
}

export async function showPair(tools) {
  const view = await tools.see({ view: "pair", text: tools.text, other: tools.other });
  const told = make("p", { class: "told", role: "status" }, t("inside.pair.how"));
  const lines = [view.text, view.other].map((tokens, which) => {
    const words = (place) => `${nameOf(tokens[place].text)} ${t("score.bits", { bits: number(tokens[place].bits, 1) })}`;
    const text = tokensOf(tokens, (place) => `level-${levelOf(tokens[place].bits)}`, words, (place) => {
      told.textContent = words(place);
    });
    text.translate(t(which ? "inside.pair.second" : "inside.pair.first"));
    text.tokens[view.first_difference]?.toggleAttribute("data-looking", true);
    return text.element;
  });
  const bits = view.difference_bits; // the parts are told in favour of the preferred sentence
  const sum = t(bits > 0 ? "inside.pair.prefers_first" : "inside.pair.prefers_second", {
    bits: number(Math.abs(bits), 1),
    at: number(Math.sign(bits) * view.at_bits, 1),
    after: number(Math.sign(bits) * view.after_bits, 1),
  });
  return [make("p", { class: "sum", role: "status" }, sum), ...lines, told];
}
