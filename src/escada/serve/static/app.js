// The page's beginning: it reads the ladder, draws the controls, and starts and stops the answers.

import { accessDialog } from "./access.js";
import { Answer } from "./answer.js";
import { ServiceError, readLadder } from "./api.js";
import { byId, make } from "./dom.js";
import { EXAMPLES } from "./examples.js";
import { firstLanguage, language, number, onLanguage, setLanguage, t } from "./i18n.js";
import { InsideView } from "./inside.js";
import { LadderView, rungColours } from "./ladder.js";
import { TokenPanel } from "./panel.js";
import { problemBox } from "./problem.js";
import { listenToSwitches } from "./reader.js";
import { Sampler } from "./sampler.js";
import { ScoreView, showResults } from "./score.js";
import { VIEWS, decodeState, encodeState, randomSeed } from "./state.js";
import { LEVEL_BITS } from "./surprisal.js";
import { TrainingView } from "./training.js";

const FIRST_RUNGS = 3;
const RUNG_GROUPS = ["rungs", "score-rungs"];
const state = decodeState(location.hash);
const answers = new Map();
const panel = new TokenPanel(announce);
const ladderView = new LadderView();
const sampler = new Sampler(state, remember);
const askToken = accessDialog(() => {
  for (const answer of answers.values()) answer.retryAfterToken();
  void load();
});
const page = { panel, announce, changed: renderActions, askToken, remember, write };
const scoreView = new ScoreView(state, page);
const insideView = new InsideView(state, page);
const trainingView = new TrainingView(askToken);
let colours = new Map();
let pageError = null;
let writing = null;

function announce(message) {
  byId("announce").textContent = message;
}

/** The state into the address, once the reader pauses. */
function remember() {
  clearTimeout(writing);
  writing = setTimeout(write, 250);
}

function write() {
  clearTimeout(writing);
  const hash = encodeState(state);
  history.replaceState(null, "", hash ? `#${hash}` : location.pathname + location.search);
}

// --- the ladder ------------------------------------------------------------------------------

async function load() {
  try {
    const { rungs, limits } = await readLadder();
    pageError = null;
    colours = rungColours(rungs);
    if (limits?.max_tokens) sampler.limit(limits.max_tokens);
    chooseAtFirst(rungs.map((rung) => rung.name));
    for (const rung of rungs) addRung(rung);
    ladderView.show(rungs, colours);
    trainingView.show(rungs, colours);
    if (state.view === "training") void trainingView.open();
    renderRungs();
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    pageError = error;
    if (error.kind === "token") askToken();
  }
  renderProblem();
}

/** The rungs of the link that the service has; without any: the first, the last, one between. */
function chooseAtFirst(names) {
  state.rungs = (state.rungs ?? []).filter((name) => names.includes(name));
  if (state.rungs.length) return;
  const last = names.length - 1;
  const places = Array.from({ length: FIRST_RUNGS }, (_, n) => (n * last) / (FIRST_RUNGS - 1));
  state.rungs = [...new Set(places.map((place) => names[Math.round(place)]))];
}

function addRung(rung) {
  if (answers.has(rung.name)) return;
  const colour = colours.get(rung.name);
  for (const group of RUNG_GROUPS) byId(group).append(chipOf(rung, colour, group));
  const answer = new Answer(rung, colour, page);
  answer.onAgain((seed = randomSeed()) => run(answer, seed));
  answers.set(rung.name, answer);
  scoreView.addRung(rung, colour);
  insideView.addRung(rung);
}

/** A rung to choose. What is chosen holds for both views. */
function chipOf(rung, colour, group) {
  const id = `${group.replace("rungs", "rung")}-${rung.name}`;
  const input = make("input", { type: "checkbox", id, value: rung.name });
  const name = make("span", { class: "rung" }, rung.name);
  const label = make("label", { for: id }, name, make("small", {}));
  const chip = make("span", { class: "chip" }, input, label);
  chip.style.setProperty("--c", `var(${colour})`);
  input.addEventListener("change", () => {
    const chosen = [...byId(group).querySelectorAll("input:checked")].map((one) => one.value);
    state.rungs = chosen;
    renderRungs();
    remember();
  });
  return chip;
}

// --- the answers -----------------------------------------------------------------------------

function run(answer, seed) {
  void answer.start({ ...state }, seed);
}

function generate() {
  if (!state.rungs?.length) {
    byId("hint").textContent = t("rungs.none");
    return;
  }
  byId("hint").textContent = "";
  write();
  announce(t("announce.started", { names: state.rungs.join(", ") }));
  for (const name of state.rungs) run(answers.get(name), state.seed);
  showResults(byId("answers"));
}

const streaming = () => [...answers.values()].some((answer) => answer.status === "streaming");

function renderActions() {
  byId("generate-label").textContent = t(streaming() ? "stop.all" : "generate");
  byId("generate").classList.toggle("stopping", streaming());
}

function renderRungs() {
  for (const [name, answer] of answers) {
    const chosen = state.rungs.includes(name);
    for (const group of RUNG_GROUPS) {
      const input = byId(`${group.replace("rungs", "rung")}-${name}`);
      input.checked = chosen;
      const title = answer.rung.title?.[language()] ?? "";
      input.parentElement.querySelector("small").textContent = title;
    }
    if (!chosen) {
      answer.stop();
      panel.leave(answer);
    }
  }
  const cards = [...answers.values()].filter((answer) => state.rungs.includes(answer.rung.name));
  const shown = [...byId("cards").children];
  const wanted = cards.map((answer) => answer.element);
  if (shown.length !== wanted.length || shown.some((card, place) => card !== wanted[place])) {
    byId("cards").replaceChildren(...wanted);
  }
  if (cards.length) byId("hint").textContent = "";
}

function renderProblem() {
  byId("page-problem").replaceChildren();
  if (pageError) byId("page-problem").append(problemBox(pageError, () => void load(), askToken));
}

// --- what does not change by itself ----------------------------------------------------------

function renderExamples() {
  const label = byId("examples-label");
  const buttons = EXAMPLES.map((example) => {
    const button = make("button", { type: "button", title: example.text }, example.name[language()]);
    button.addEventListener("click", () => {
      state.prompt = byId("prompt").value = example.text;
      byId("prompt").focus();
      remember();
    });
    return button;
  });
  byId("examples").replaceChildren(label, ...buttons);
}

function renderScale() {
  const edges = [0, ...LEVEL_BITS];
  const steps = edges.map((from, level) => {
    const [low, high] = [from, edges[level + 1]].map((edge) => number(edge, 0));
    const words = level + 1 < edges.length ? `${low}–${high}` : t("legend.from", { bits: low });
    return make("span", { class: `level-${level}` }, words);
  });
  byId("scale").replaceChildren(...steps);
  byId("score-scale").replaceChildren(...steps.map((step) => step.cloneNode(true)));
}

function renderView() {
  for (const view of VIEWS) byId(view).hidden = state.view !== view;
  for (const button of document.querySelectorAll("[data-view]")) {
    const here = button.dataset.view === state.view;
    if (here) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  const title = state.view === "play" ? t("page.title") : `escada: ${t(`${state.view}.title`)}`;
  document.title = title;
}

function renderAll() {
  renderExamples();
  renderScale();
  renderActions();
  renderView();
  renderProblem();
  if (answers.size) renderRungs();
}

// --- the reader ------------------------------------------------------------------------------

byId("prompt").addEventListener("input", () => {
  state.prompt = byId("prompt").value;
  remember();
});

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  if (streaming()) for (const answer of answers.values()) answer.stop();
  else generate();
});

addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  if (["ladder", "training"].includes(state.view)) return;
  event.preventDefault();
  if (state.view === "play") generate();
  else if (state.view === "inside") void insideView.start();
  else void scoreView.start();
});

byId("share").addEventListener("click", async () => {
  write();
  try {
    await navigator.clipboard.writeText(location.href);
    byId("hint").textContent = t("share.done");
  } catch {
    byId("hint").textContent = t("share.failed"); // no permission, or not a secure address
  }
});

for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => {
    state.view = button.dataset.view;
    panel.close(false);
    renderView();
    if (state.view === "training") void trainingView.open();
    write();
  });
}

byId("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address keeps its state
  byId("main").focus();
});

addEventListener("hashchange", () => {
  Object.assign(state, decodeState(location.hash));
  byId("prompt").value = state.prompt;
  byId("score-text").value = state.text;
  if (answers.size) chooseAtFirst([...answers.keys()]);
  sampler.render();
  insideView.render();
  renderAll();
});

onLanguage(renderAll);
setLanguage(firstLanguage());
listenToSwitches();
byId("prompt").value = state.prompt;
byId("score-text").value = state.text;
byId("sampler").open = matchMedia("(min-width: 62rem)").matches;
sampler.render();
void load();
