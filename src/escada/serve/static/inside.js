// The view "Inside": what a rung has learned, over a text of the reader's. Each kind of view is a
// function that draws into a box and asks the service for what it needs (`inside_*.js`).

import { ServiceError, seeInside } from "./api.js";
import { byId, make } from "./dom.js";
import { language, onLanguage, t } from "./i18n.js";
import { showAttention, showCells } from "./inside_layers.js";
import { showMap, showNeighbours } from "./inside_embeddings.js";
import { PAIRS, showCounts, showPair, showTree } from "./inside_text.js";
import { problemBox } from "./problem.js";
import { showResults } from "./score.js";

/** What can be chosen, in this order; rankings are part of cells and attention. */
const SHOWS = {
  cells: showCells,
  attention: showAttention,
  counts: showCounts,
  tree: showTree,
  pair: showPair,
  neighbours: showNeighbours,
  embedding_map: showMap,
};
const TEXTS = {
  cells: "Ele disse: \"Bom dia\" (em voz baixa) e saiu.\nHelena, de São Paulo, não respondeu.",
  attention: "O governo do estado disse que o governo não vai pagar.",
  counts: "O presidente da República disse que não vai.",
  tree: "O presidente",
  pair: PAIRS[0][0],
  neighbours: " casa",
};

export class InsideView {
  #rungs = new Map();
  #control = null;
  #started = false;
  #typed = false;

  /**
   * @param {object} state the page's; `look` and `inside` are changed in place
   * @param {object} page `announce`, `askToken`, `remember`, `write`
   */
  constructor(state, page) {
    this.state = state;
    this.page = page;
    byId("inside-form").addEventListener("submit", (event) => {
      event.preventDefault();
      void this.start();
    });
    byId("inside-rung").addEventListener("change", (event) => {
      state.inside = event.target.value;
      this.#changed();
    });
    byId("inside-look").addEventListener("change", (event) => {
      state.look = event.target.value;
      this.#typed = false;
      this.#changed();
    });
    byId("inside-text").addEventListener("input", () => {
      this.#typed = true;
    });
    byId("inside-pairs").addEventListener("change", (event) => {
      const pair = PAIRS[Number(event.target.value)];
      [byId("inside-text").value, byId("inside-other").value] = pair;
      this.#typed = true;
    });
    onLanguage(() => {
      this.render();
      if (this.#started) void this.start(false);
    });
  }

  addRung(rung) {
    this.#rungs.set(rung.name, rung);
    this.render();
  }

  /** The two lists, and the fields that the chosen view has. */
  render() {
    if (!this.#rungs.size) return;
    const names = [...this.#rungs.keys()];
    const chosen = names.includes(this.state.inside) ? this.state.inside : names[0];
    const options = names.map((name) => {
      const title = this.#rungs.get(name).title?.[language()] ?? "";
      return make("option", { value: name, selected: name === chosen }, `${name} · ${title}`);
    });
    byId("inside-rung").replaceChildren(...options);
    const views = Object.keys(SHOWS).filter((view) => this.#views(chosen).includes(view));
    const look = views.includes(this.state.look) ? this.state.look : views[0];
    byId("inside-look").replaceChildren(
      ...views.map((view) => make("option", { value: view, selected: view === look }, t(`inside.${view}`))),
    );
    byId("inside-why").textContent = t(`inside.${look}.why`);
    const asksText = look !== "embedding_map";
    byId("inside-text-field").hidden = !asksText;
    byId("inside-other-field").hidden = look !== "pair";
    if (!this.#typed && asksText) byId("inside-text").value = TEXTS[look];
    if (!byId("inside-other").value) byId("inside-other").value = PAIRS[0][1];
    byId("inside-pairs").replaceChildren(
      ...PAIRS.map(([text, other], place) => make("option", { value: place }, `${text} / ${other}`)),
    );
  }

  #views(name) {
    return this.#rungs.get(name).inside?.views ?? [];
  }

  #changed() {
    this.render();
    this.page.write();
    if (this.#started) void this.start(false);
  }

  /** Ask for the chosen view. `scrolls`: bring it into sight. */
  async start(scrolls = true) {
    if (!this.#rungs.size) return;
    this.#started = true;
    const rung = byId("inside-rung").value;
    const look = byId("inside-look").value;
    const text = byId("inside-text").value;
    const needsText = !byId("inside-text-field").hidden && look !== "tree";
    byId("inside-hint").textContent = needsText && !text.trim() ? t("score.none") : "";
    if (needsText && !text.trim()) return;
    this.#control?.abort();
    const control = new AbortController();
    this.#control = control;
    const box = byId("inside-body");
    box.replaceChildren(make("p", { class: "empty" }, t("score.waiting")));
    byId("inside-results").hidden = false;
    byId("inside-results-title").textContent = `${rung}: ${t(`inside.${look}`)}`;
    if (scrolls) showResults(byId("inside-results"));
    const see = (request) => seeInside({ model: rung, look: request }, control.signal);
    const tools = {
      rung: this.#rungs.get(rung),
      text,
      other: byId("inside-other").value,
      see,
      announce: this.page.announce,
      /** Put a text into the field and look again. */
      again: (other) => {
        byId("inside-text").value = other;
        this.#typed = true;
        void this.start(false);
      },
      /** Run what asks the service, and tell the reader when it fails. */
      guard: (work) => guard(work, control, box, () => void this.start(false), this.page.askToken),
    };
    await tools.guard(async () => {
      const drawn = await SHOWS[look](tools);
      if (!control.signal.aborted) box.replaceChildren(...drawn);
    });
  }
}

async function guard(work, control, box, again, askToken) {
  try {
    await work();
  } catch (error) {
    if (control.signal.aborted) return;
    if (!(error instanceof ServiceError)) throw error;
    box.replaceChildren(problemBox(error, again, askToken));
    if (error.kind === "token") askToken();
  }
}
