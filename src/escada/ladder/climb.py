"""A climb: several rungs under one budget, on one corpus, compared in one report.

    for each seed, for each rung:
        train (or resume, or recognise as done) → ruler → samples → pairs, cloze, guardrails
        → comparisons → ladder.json
    at the end:     the table, ladder.json and report/index.html

Each step is identified by the hash of its content, so rerunning a climb trains nothing twice and an
interrupted climb continues where it stopped. Each training runs in its own process, which isolates
its peak memory, its random state and its crashes.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from escada.budget import Budget
from escada.errors import EscadaError
from escada.evaluation.baselines.corpus_controls import CorpusControls, corpus_controls
from escada.evaluation.task import Task
from escada.files import make_directory, read_json, write_json
from escada.ladder.baseline_comparison import compare_with_baselines, keep_best_baseline
from escada.ladder.comparison import compare_recipes, group, ladder_pairs
from escada.ladder.row import measure_run, rung_row, step_of
from escada.report.schema import CorpusSummary, Ladder, RungRow
from escada.report.writers.card import write_card
from escada.runs.climb_lock import Planned, read_plan, under_way
from escada.runs.device import resolve_device
from escada.runs.environment import environment
from escada.runs.run import Run, find_runs, run_key
from escada.signals import ask_to_stop, start_apart
from escada.spec import Spec, load_spec
from escada.text.corpus import Corpus
from escada.training.run import check_profile

SCHEMA_VERSION = 1
LADDER, CONTROLS, REPORT = "ladder.json", "controls.json", "report"
INTERRUPTED = 130


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

    def spec(self, rung: str) -> Spec:
        """The spec of a rung with this climb's preset, overrides and budget."""
        spec = load_spec(rung, preset=self.preset, overrides=self.overrides)
        return spec if self.budget is None else spec.with_budget(self.budget)


class ClimbInterrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The user asked to stop; rerunning the same command resumes the climb."""


def climb(plan: Plan, say: Callable[[str], None]) -> Ladder:
    """Train, evaluate and sample every rung of the plan; write ladder.json after each.

    `say` is called with progress messages. Returns the content of ladder.json.

    Raises:
        EscadaError: a spec is wrong (before anything is trained), or a rung's training failed.
        ClimbInterrupted: the user asked to stop.
    """
    specs = {rung: plan.spec(rung) for rung in plan.rungs}
    if len({spec.name for spec in specs.values()}) < len(plan.rungs):
        raise EscadaError("a rung is named twice", where=" ".join(plan.rungs), fix="name each once")
    for spec in specs.values():
        check_profile(spec, plan.corpus)
    resolve_device(plan.device)
    _claim(plan.out)
    with under_way(plan.out, _planned(plan, specs)):
        return _climb(plan, specs, say)


def _planned(plan: Plan, specs: Mapping[str, Spec]) -> list[Planned]:
    """The runs of the climb in order, for `escada report --watch`."""
    return [
        Planned(spec.name, seed, run_key(spec, seed=seed, corpus_hash=plan.corpus.hash))
        for seed in plan.seeds
        for spec in specs.values()
    ]


def _climb(plan: Plan, specs: Mapping[str, Spec], say: Callable[[str], None]) -> Ladder:
    say("controls: baselines, human text and noise")
    controls = corpus_controls(plan.corpus, plan.out / CONTROLS)
    runs: list[Run] = []
    rows: list[RungRow] = []
    ladder: Ladder | None = None
    for seed in plan.seeds:
        for rung, spec in specs.items():
            run = _trained(plan, rung, spec, seed, say)
            measured = measure_run(run, plan.corpus, say, device=plan.device, also=plan.tasks)
            runs.append(run)
            rows.append(rung_row(run, plan.corpus, plan.out, plan.tasks))
            is_last = len(runs) == len(plan.seeds) * len(specs)
            if measured or is_last:  # if nothing is new, writing it once at the end is enough
                ladder = _ladder(plan, controls, runs, rows)
                write_json(plan.out / LADDER, ladder.model_dump(mode="json"))
    assert ladder is not None
    return ladder


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
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        preset=plan.preset,
        budget=None if plan.budget is None else str(plan.budget),
        seed=plan.seeds[0],
        seeds=tuple(plan.seeds),
        corpus=CorpusSummary(
            hash=plan.corpus.hash,
            profile=plan.corpus.profile,
            bytes={s: plan.corpus.text_bytes(s) for s in ("train", "validation", "test")},
            **manifest.model_dump(include={"source", "documents", "licences"}),
        ),
        machine=environment(),
        comparisons=comparisons,
        baseline_comparisons=compared,
        rungs=[
            row.model_copy(update={"beats_previous": step_of(row, comparisons)}) for row in rows
        ],
    )


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


def _trained(plan: Plan, rung: str, spec: Spec, seed: int, say: Callable[[str], None]) -> Run:
    key = run_key(spec, seed=seed, corpus_hash=plan.corpus.hash)
    run = _find(plan.out, key)
    if run is not None and run.finished:
        say(f"{spec.name}: already trained ({run.name})")
        return run
    if run is None:
        say(f"{spec.name}: training for {spec.train.budget}{_with_seed(plan, seed)}")
        command = ["train", rung, "--preset", plan.preset, "--seed", str(seed)]
        command += ["--data", str(plan.corpus.path), "--out", str(plan.out)]
        command += ["--device", plan.device]
        command += ["--budget", str(plan.budget)] if plan.budget else []
        command += [part for text in plan.overrides for part in ("--set", text)]
    else:
        say(f"{spec.name}: going on with {run.name}")
        command = ["resume", str(run.path), "--data", str(plan.corpus.path)]
    code = _escada(command)
    if code == INTERRUPTED:
        raise ClimbInterrupted
    run = _find(plan.out, key)
    if code != 0 or run is None or not run.finished:
        raise EscadaError(
            f"the training of {spec.name} ended with exit code {code}",
            where=run.path if run else plan.out,
            fix="fix the error above and rerun: finished rungs are kept",
        )
    return run


def _with_seed(plan: Plan, seed: int) -> str:
    return f", seed {seed}" if len(plan.seeds) > 1 else ""


def _escada(arguments: Sequence[str]) -> int:
    """Run an escada command in its own process; on Ctrl-C, let it save before it exits."""
    # stdout is dropped: its last line, the run's path, is meant for scripts.
    process = start_apart([sys.executable, "-m", "escada", *arguments])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            ask_to_stop(process)  # it saves, then exits


def _find(out: Path, key: str) -> Run | None:
    """The run with that key, finished ones first; dry runs are ignored."""
    candidates = [run for run in find_runs(out, key) if not run.record.dry_run]
    return max(candidates, key=lambda run: run.finished, default=None)
