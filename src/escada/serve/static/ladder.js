// The view of the ladder: stairs at the height of each rung's bits per byte, a table, and what each
// rung set out to do.

import { byId, draw, make } from "./dom.js";
import { compact, duration, interval, language, number, onLanguage, t } from "./i18n.js";

const FAMILIES = 4;
const SHADES = 3;
const COLUMNS = ["rung", "bits", "parameters", "tokenizer", "context", "trained", "time", "run"];
const NUMERIC = ["bits", "parameters", "trained", "time"];
const TOKENIZERS = ["characters", "bytes", "bpe", "unigram"];

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
    const sizes = new ResizeObserver(() => this.#hint());
    for (const each of [byId("table"), byId("table").parentElement]) sizes.observe(each);
  }

  show(rungs, colours) {
    [this.#rungs, this.#colours] = [rungs, colours];
    this.render();
  }

  render() {
    this.#chart();
    this.#table();
    const told = this.#rungs.filter((rung) => rung.about);
    byId("about").replaceChildren(...told.map((rung) => this.#about(rung)));
  }

  #chart() {
    const width = byId("chart").clientWidth;
    const measured = this.#rungs.filter((rung) => rung.bits_per_byte !== null);
    byId("chart").replaceChildren();
    if (!width || !measured.length) return;
    byId("chart").append(stairs(this.#rungs, measured, this.#colours, width));
  }

  /** A table that is wider than its frame says so. */
  #hint() {
    const frame = byId("table").parentElement;
    byId("more").hidden = frame.scrollWidth <= frame.clientWidth + 1;
  }

  #table() {
    const measured = this.#rungs.map((rung) => rung.bits_per_byte).filter((bits) => bits !== null);
    const best = measured.length > 1 ? Math.min(...measured) : null;
    const heads = COLUMNS.map((column) => {
      const kind = NUMERIC.includes(column) ? "n" : null;
      return make("th", { scope: "col", class: kind }, t(`ladder.${column}`));
    });
    byId("table").replaceChildren(
      make("caption", { class: "hidden" }, t("ladder.table")),
      make("thead", {}, make("tr", {}, ...heads)),
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
    const facts = terms.map((part) => {
      const words = rung.about[part][language()] ?? "";
      return make("div", {}, make("dt", {}, t(`ladder.${part}`)), make("dd", {}, words));
    });
    const title = make("span", {}, rung.title?.[language()] ?? "");
    return make("li", {}, make("h3", {}, this.#name(rung), title), make("dl", {}, ...facts));
  }

  #row(rung, best) {
    const { bits_per_byte: bits, context_tokens: context, hash, preset, seed } = rung;
    const { kind, vocab_size: size } = rung.tokenizer;
    const tag = bits !== null && bits === best ? make("span", { class: "tag" }, t("ladder.best")) : null;
    const small = (words) => make("small", {}, words);
    const figure = (...parts) => make("td", { class: "n" }, ...parts);
    const measured = bits === null ? t("ladder.unmeasured") : number(bits, 3);
    const window = context === null ? t("ladder.any") : t("ladder.tokens", { n: number(context, 0) });
    const cut = TOKENIZERS.includes(kind) ? t(`tokenizer.${kind}`) : kind;
    const run = make("code", { title: hash }, hash.slice(0, 8));
    return make(
      "tr",
      {},
      make("th", { scope: "row" }, this.#name(rung), tag, small(rung.title?.[language()] ?? "")),
      figure(make("span", { class: "strong" }, measured), small(interval(rung.interval))),
      figure(compact(rung.parameters)),
      make("td", {}, cut, small(number(size, 0))),
      make("td", {}, window),
      figure(compact(rung.training_tokens)),
      figure(duration(rung.training_seconds)),
      make("td", {}, run, small(t("ladder.preset", { preset, seed }))),
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
  const box = { viewBox: `0 0 ${width} ${height}`, width, height };
  const svg = draw("svg", { ...box, role: "img", "aria-label": t("ladder.alt", { values }) });
  const text = (at, up, words, kind, anchor = "middle") =>
    svg.append(draw("text", { x: at, y: up, class: kind, "text-anchor": anchor }, words));
  const across = (kind, from, to, up) => draw("line", { class: kind, x1: from, x2: to, y1: up, y2: up });

  const { lines, digits } = gridLines(low, high);
  for (const bits of lines) {
    svg.append(across("grid", left, width - right, y(bits)));
    text(left - 8, y(bits) + 4, number(bits, digits), "tick", "end");
  }
  text(0, 12, t("ladder.axis"), "tick", "start");

  const treads = new Map();
  rungs.forEach((rung, place) => {
    const bits = rung.bits_per_byte;
    text(x(place), height - 10, rung.name, "name");
    if (bits === null) {
      text(x(place), height - bottom - 6, "–", "tick");
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
    const band = { x: x(place) - half, width: 2 * half, y: y(highest) };
    group.append(draw("rect", { class: "band", ...band, height: y(lowest) - y(highest) }));
    group.append(across("tread", x(place) - half, x(place) + half, y(bits)));
    svg.append(group);
    text(x(place), y(highest) - 6, number(bits, small ? 2 : 3), "value");
    treads.set(rung.name, { x: x(place) + half, y: y(bits) });
  });
  return svg;
}
