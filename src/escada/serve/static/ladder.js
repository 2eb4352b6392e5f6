// The view of the ladder: stairs at the height of each rung's bits per byte, a table, and what each
// rung set out to do.

import { byId, draw, make, visible } from "./dom.js";
import { compact, duration, interval, language, number, onLanguage, t } from "./i18n.js";

const FAMILIES = 4;
const SHADES = 3;

/**
 * A colour for each rung, as in the report: a hue for each family (tokenizer, and whether the
 * context has an end), a shade for each of its members.
 * @returns {Map<string, string>} name → CSS variable
 */
export function rungColours(rungs) {
  const families = [];
  const used = Array(FAMILIES).fill(0);
  return new Map(rungs.map((rung) => {
    const family = `${rung.tokenizer?.kind} ${rung.context_tokens === null}`;
    if (!families.includes(family)) families.push(family);
    const hue = families.indexOf(family) % FAMILIES;
    return [rung.name, `--rung-${hue}-${used[hue]++ % SHADES}`];
  }));
}

/** Round values for the lines of a grid: 3 to 6 of them between two numbers. */
export function gridLines(low, high) {
  const rough = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.99);
  const lines = [];
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9; n++) lines.push(n * step);
  return { lines, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)) };
}

export class LadderView {
  #rungs = [];
  #colours = new Map();

  constructor() {
    onLanguage(() => this.render());
    new ResizeObserver(() => this.#chart()).observe(byId("chart"));
  }

  show(rungs, colours) {
    [this.#rungs, this.#colours] = [rungs, colours];
    this.render();
  }

  render() {
    this.#chart();
    this.#table();
    byId("about").replaceChildren(...this.#rungs.filter((rung) => rung.about).map((rung) => this.#about(rung)));
  }

  #chart() {
    const width = byId("chart").clientWidth;
    const measured = this.#rungs.filter((rung) => rung.bits_per_byte !== null);
    byId("chart").replaceChildren();
    if (width && measured.length) byId("chart").append(stairs(this.#rungs, measured, this.#colours, width));
  }

  #table() {
    const measured = this.#rungs.map((rung) => rung.bits_per_byte).filter((bits) => bits !== null);
    const best = measured.length > 1 ? Math.min(...measured) : null;
    const heads = ["rung", "bits", "parameters", "tokenizer", "context", "trained", "time", "run"];
    const numeric = ["bits", "parameters", "trained", "time"];
    byId("table").replaceChildren(
      make("caption", { class: "hidden" }, t("ladder.table")),
      make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col", class: numeric.includes(head) ? "n" : null }, t(`ladder.${head}`))))),
      make("tbody", {}, ...this.#rungs.map((rung) => this.#row(rung, best))),
    );
  }

  #name(rung) {
    const name = make("span", { class: "rung" }, rung.name);
    name.style.setProperty("--c", `var(${this.#colours.get(rung.name)})`);
    return name;
  }

  #about(rung) {
    const terms = ["objective", "changes", "expected"].filter((part) => rung.about[part]);
    const facts = terms.map((part) => make("div", {}, make("dt", {}, t(`ladder.${part}`)), make("dd", {}, rung.about[part][language()] ?? "")));
    const title = make("span", {}, rung.title?.[language()] ?? "");
    return make("li", {}, make("h3", {}, this.#name(rung), title), make("dl", {}, ...facts));
  }

  #row(rung, best) {
    const tag = best !== null && rung.bits_per_byte === best ? make("span", { class: "tag" }, t("ladder.best")) : null;
    const kind = rung.tokenizer?.kind;
    const known = ["characters", "bytes", "bpe", "unigram"].includes(kind);
    const context = rung.context_tokens === null ? t("ladder.any") : t("ladder.tokens", { n: number(rung.context_tokens, 0) });
    const bits = rung.bits_per_byte === null ? t("ladder.unmeasured") : number(rung.bits_per_byte, 3);
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, this.#name(rung), tag, make("small", {}, rung.title?.[language()] ?? "")),
      make("td", { class: "n strong" }, bits, make("small", {}, interval(rung.interval))),
      make("td", { class: "n" }, compact(rung.parameters)),
      make("td", {}, known ? t(`tokenizer.${kind}`) : visible(String(kind)), make("small", {}, number(rung.tokenizer?.vocab_size, 0))),
      make("td", {}, context),
      make("td", { class: "n" }, compact(rung.training_tokens)),
      make("td", { class: "n" }, duration(rung.training_seconds)),
      make("td", {}, make("code", { title: rung.hash ?? "" }, (rung.hash ?? "").slice(0, 8)), make("small", {}, t("ladder.preset", { preset: rung.preset, seed: rung.seed }))),
    );
  }
}

function stairs(rungs, measured, colours, width) {
  const small = width < 520;
  const height = small ? 250 : 330;
  const [left, right, top, bottom] = [small ? 40 : 56, 8, 26, 34];
  const ends = measured.flatMap((rung) => [rung.bits_per_byte, ...(rung.interval ?? [])]);
  const pad = Math.max(0.12 * (Math.max(...ends) - Math.min(...ends)), 0.02);
  const [low, high] = [Math.min(...ends) - pad, Math.max(...ends) + pad];
  const y = (bits) => top + ((high - bits) / (high - low)) * (height - top - bottom);
  const slot = (width - left - right) / rungs.length;
  const x = (place) => left + slot * (place + 0.5);
  const half = slot * 0.36;
  const values = measured.map((rung) => `${rung.name} ${number(rung.bits_per_byte, 3)}`).join(", ");
  const svg = draw("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": t("ladder.alt", { values }) });
  const text = (at, up, words, attributes = {}) => draw("text", { x: at, y: up, ...attributes }, words);

  const { lines, digits } = gridLines(low, high);
  for (const bits of lines) {
    svg.append(draw("line", { class: "grid", x1: left, x2: width - right, y1: y(bits), y2: y(bits) }));
    svg.append(text(left - 8, y(bits) + 4, number(bits, digits), { class: "tick", "text-anchor": "end" }));
  }
  svg.append(text(0, 12, t("ladder.axis"), { class: "tick" }));

  const treads = new Map();
  rungs.forEach((rung, place) => {
    const bits = rung.bits_per_byte;
    svg.append(text(x(place), height - 10, rung.name, { class: "name", "text-anchor": "middle" }));
    if (bits === null) {
      svg.append(text(x(place), height - bottom - 6, "–", { class: "tick", "text-anchor": "middle" }));
      return;
    }
    // From the rung that it follows; where that is not served, from the one before.
    const from = treads.get(rung.follows) ?? [...treads.values()].at(-1);
    if (from) {
      const riser = `M${from.x} ${from.y}H${x(place) - half}V${y(bits)}`;
      svg.append(draw("path", { class: "riser", d: riser }));
    }
    const group = draw("g", {});
    group.style.setProperty("--c", `var(${colours.get(rung.name)})`);
    const [lowest, highest] = rung.interval ?? [bits, bits];
    group.append(draw("rect", { class: "band", x: x(place) - half, width: 2 * half, y: y(highest), height: Math.max(0, y(lowest) - y(highest)) }));
    group.append(draw("line", { class: "tread", x1: x(place) - half, x2: x(place) + half, y1: y(bits), y2: y(bits) }));
    svg.append(group, text(x(place), y(highest) - 6, number(bits, small ? 2 : 3), { class: "value", "text-anchor": "middle" }));
    treads.set(rung.name, { x: x(place) + half, y: y(bits) });
  });
  return svg;
}
