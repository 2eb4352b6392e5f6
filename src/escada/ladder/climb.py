"""A climb: several rungs under one budget, on one corpus, compared in one report.

    for each seed, for each rung:
        train (or resume, or recognise as done) → ruler → samples → pairs, cloze, guardrails
        → comparisons → ladder.json
    at the end:     the table, ladder.json and report/index.html

Each step is identified by the hash of its content, so rerunning a climb trains nothing twice and an
interrupted climb continues where it stopped (`escada.ladder.training`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from escada.budget import Budget
from escada.errors import EscadaError
from escada.evaluation.baselines.corpus_controls import CorpusControls, make_controls, read_controls
from escada.evaluation.task import Task
from escada.files import make_directory, read_json, utc_now, write_sealed_json
from escada.ladder.baseline_comparison import compare_with_baselines, keep_best_baseline
from escada.ladder.comparison import compare_recipes, group, ladder_pairs
from escada.ladder.row import is_measured, measure_run, rung_row, step_of
from escada.ladder.training import Training, check_trainings
from escada.ladder.workers import InTurn, SideBySide, workers
from escada.report.schema import CorpusSummary, Ladder, RungRow
from escada.report.writers.card import write_card
from escada.runs.climb_lock import Planned, read_plan, under_way
from escada.runs.environment import environment
from escada.runs.run import Run
from escada.text.corpus import Corpus

SCHEMA_VERSION = 1
LADDER, CONTROLS, REPORT = "ladder.json", "controls.json", "report"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to climb and how."""

    rungs: Sequence[str]
    preset: str
    budget: Budget | None
    corpus: Corpus
    out: Path
    seeds: Sequence[int] = (0,)
    device: str = "auto"
    overrides: Sequence[str] = ()
    tasks: Sequence[Task[Any]] = ()
    """In addition to the default tasks of a climb."""
    jobs: int = 1
    """How many rungs are trained and measured at a time."""
    allow_differences: bool = False
    """Resume trainings that were begun with another device, threads or versions."""

    def training(self, rung: str, seed: int) -> Training:
        """The training of a rung with this climb's preset, overrides and budget."""
        return Training(
            rung,
            self.preset,
            self.budget,
            seed,
            self.corpus,
            self.out,
            self.device,
            self.overrides,
            several_seeds=len(self.seeds) > 1,
            allow_differences=self.allow_differences,
        )


def climb(plan: Plan, say: Callable[[str], None]) -> Ladder:
    """Train, evaluate and sample every rung of the plan; write ladder.json after each.

    `say` is called with progress messages. Returns the content of ladder.json.

    Raises:
        EscadaError: a spec is wrong (before anything is trained), or a rung's training failed.
        TrainingInterrupted: the user asked to stop.
    """
    trainings = [plan.training(rung, seed) for seed in plan.seeds for rung in plan.rungs]
    if len({training.spec.name for training in trainings}) < len(plan.rungs):
        raise EscadaError("a rung is named twice", where=" ".join(plan.rungs), fix="name each once")
    check_trainings(trainings)
    _claim(plan.out)
    planned = [Planned(name=one.spec.name, seed=one.seed, key=one.key) for one in trainings]
    with under_way(plan.out, planned):
        return _climb(plan, trainings, say)


def _climb(plan: Plan, trainings: Sequence[Training], say: Callable[[str], None]) -> Ladder:
    runs: list[Run] = []
    rows: list[RungRow] = []
    ladder: Ladder | None = None
    done = partial(is_measured, corpus=plan.corpus, device=plan.device, also=plan.tasks)
    measure = partial(measure_run, corpus=plan.corpus, say=say, device=plan.device, also=plan.tasks)
    with workers(plan.jobs) as work:
        say("controls: baselines, human text and noise")
        controls = _controls(plan, work, say)
        for run, measured in work.finish(trainings, say, done, measure):
            runs.append(run)
            rows.append(rung_row(run, plan.corpus, plan.out, plan.tasks))
            # If nothing is new, writing it once at the end is enough.
            if measured or len(runs) == len(trainings):
                ladder = _ladder(plan, controls(), runs, rows)
                _write(ladder, plan.out / LADDER)
    assert ladder is not None
    return ladder


def _controls(
    plan: Plan, work: InTurn | SideBySide, say: Callable[[str], None]
) -> Callable[[], CorpusControls]:
    path = plan.out / CONTROLS
    kept = read_controls(plan.corpus, path)
    if kept is not None:
        return lambda: kept
    return work.start(partial(make_controls, plan.corpus, path, say))


def _ladder(
    plan: Plan, controls: CorpusControls, runs: Sequence[Run], rows: Sequence[RungRow]
) -> Ladder:
    """Compare the runs with one another and with the baselines; rewrite their cards."""
    recipes = group(runs)
    comparisons = compare_recipes(ladder_pairs(recipes))
    compared = compare_with_baselines(recipes, controls.baselines, plan.out / CONTROLS)
    keep_best_baseline(recipes, controls.best_baseline, compared)
    for run in runs:
        write_card(run)
    manifest = plan.corpus.manifest
    return Ladder(
        **dict(controls),
        schema_version=SCHEMA_VERSION,
        created=utc_now(),
        preset=plan.preset,
        budget=None if plan.budget is None else str(plan.budget),
        seed=plan.seeds[0],
        seeds=tuple(plan.seeds),
        jobs=plan.jobs,
        corpus=CorpusSummary(
            hash=plan.corpus.hash,
            profile=plan.corpus.profile,
            bytes={s: plan.corpus.text_bytes(s) for s in ("train", "validation", "test")},
            **manifest.model_dump(include=DESCRIBED),
        ),
        machine=environment(),
        comparisons=comparisons,
        baseline_comparisons=compared,
        rungs=[
            row.model_copy(update={"beats_previous": step_of(row, comparisons)}) for row in rows
        ],
    )


DESCRIBED = {
    *("source", "documents", "licences", "mixture"),
    *("filters", "masks_personal_data", "decontamination"),
}
"""What a ladder repeats of its corpus's manifest."""


def _write(ladder: Ladder, path: Path) -> None:
    """Write ladder.json, unless it says the same already but for when and by which commit."""
    table = ladder.model_dump(mode="json")
    before = read_json(path) if path.exists() else {}
    if before | {name: table[name] for name in ("created", "machine")} != table:
        write_sealed_json(path, table)


def _claim(out: Path) -> None:
    """Create the climb's folder; refuse one with files of these names that no climb wrote."""
    make_directory(out)
    ours = {
        name: "schema_version" in read_json(out / name)
        for name in (LADDER, CONTROLS)
        if (out / name).exists()
    }
    if (out / REPORT).exists():
        # The report exists after the first ladder.json, or earlier if the climb was watched.
        ours[REPORT] = LADDER in ours or bool(read_plan(out))
    if foreign := [name for name, own in ours.items() if not own]:
        raise EscadaError(
            f"the folder holds a {foreign[0]} that no climb wrote; nothing was overwritten",
            where=out,
            fix="choose another --out",
        )
