"""A grid of trainings (rungs, sizes, budgets, seeds), its fits, and a prediction made beforehand.

    for each budget, from the smallest:  train what is missing → score validation documents
        before the largest one:  fit the others → predict → write scale.json
    fit all → crossings → scale.json

Trainings are those of a climb (`escada.ladder.training`): recognised by the hash of their content,
so a rerun trains nothing twice, and a climb in the same folder shares them. A prediction is kept as
it was written once a run that it is about has begun; it is never made again with hindsight. The
test documents are not read.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from escada.budget import Budget
from escada.errors import EscadaError
from escada.evaluation.scale import (
    BestSize,
    Crossing,
    CurvePoint,
    Fit,
    Prediction,
    Scale,
    ScaledRung,
    ScaleRun,
)
from escada.evaluation.task import Subject, evaluate, read
from escada.evaluation.tasks.documents import VALIDATION
from escada.files import make_directory, utc_now, write_sealed_json
from escada.ladder.scaling import FEWEST_BUDGETS, Curve, crossing, fit
from escada.ladder.training import Training, check_trainings
from escada.ladder.workers import workers
from escada.locks import exclusive
from escada.report.data import SCALE_FILE, read_scale
from escada.runs.climb_lock import LOCK
from escada.runs.run import Run
from escada.text.corpus import Corpus

BEYOND = 10.0
"""Crossings are looked for up to this many times the largest budget."""
_CURVE_POINTS = 49


@dataclass(frozen=True, slots=True)
class Plan:
    """What to train and how.

    Attributes:
        flops: the budgets, ascending; the last one is predicted from the others.
        sizes: per rung, as strings of `KEY=VALUE`; `""` is the preset's own size.
        overrides: `KEY=VALUE` of all trainings, below those of a size.
        jobs: trainings of the same budget at a time.
    """

    rungs: Sequence[str]
    preset: str
    flops: Sequence[float]
    corpus: Corpus
    out: Path
    seeds: Sequence[int]
    sizes: Mapping[str, Sequence[str]]
    device: str = "auto"
    overrides: Sequence[str] = ()
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class _Cell:
    """A training and its place in the grid."""

    training: Training
    size: str
    flops: float

    @property
    def rung(self) -> str:
        return self.training.spec.name


@dataclass(slots=True)
class _Grid:
    """What is known so far."""

    plan: Plan
    created: str
    predictions: list[Prediction]
    rungs: dict[str, ScaledRung] = field(default_factory=dict[str, ScaledRung])
    runs: list[ScaleRun] = field(default_factory=list[ScaleRun])


def scale(plan: Plan, say: Callable[[str], None]) -> Scale:
    """Train the grid and write scale.json; `say` is called with progress messages.

    Raises:
        EscadaError: too few budgets, a wrong spec, or a folder with the scale of something else
            (before anything is trained), or a training failed.
        TrainingInterrupted: the user asked to stop.
    """
    if len(plan.flops) <= FEWEST_BUDGETS:
        raise EscadaError(
            f"{len(plan.flops)} budgets are too few: the largest is predicted from the others, and "
            f"a curve needs {FEWEST_BUDGETS} of them",
            fix="--budgets '1e12 flop,3e12 flop,1e13 flop'",
        )
    places = [
        (rung, size, flops, seed)
        for flops in plan.flops
        for rung in plan.rungs
        for size in plan.sizes[rung]
        for seed in plan.seeds
    ]
    cells = [
        _cell(plan, *place, mark=f"[{number}/{len(places)}]")
        for number, place in enumerate(places, start=1)
    ]
    check_trainings([cell.training for cell in cells])
    make_directory(plan.out)
    fix = "wait, or choose another --out"
    with exclusive(plan.out / LOCK, "another climb or grid is under way here", fix=fix):
        return _scale(_resumed(plan), cells, say)


def _cell(plan: Plan, rung: str, size: str, flops: float, seed: int, *, mark: str) -> _Cell:
    training = Training(
        rung,
        plan.preset,
        Budget(flops, "flop"),
        seed,
        plan.corpus,
        plan.out,
        plan.device,
        [*plan.overrides, *size.split()],
        label=f"{mark} {rung} ({size})" if size else f"{mark} {rung}",
        several_seeds=len(plan.seeds) > 1,
    )
    return _Cell(training, size, flops)


def _resumed(plan: Plan) -> _Grid:
    """The grid with the predictions that were made in this folder before."""
    before = read_scale(plan.out)
    if before is None:
        return _Grid(plan, utc_now(), [])
    if (before.corpus_hash, before.preset) != (plan.corpus.hash, plan.preset):
        raise EscadaError(
            "the folder holds the scale of another corpus or preset; nothing was overwritten",
            where=plan.out / SCALE_FILE,
            fix="choose another --out",
        )
    return _Grid(plan, before.created, list(before.predictions))


def _scale(grid: _Grid, cells: Sequence[_Cell], say: Callable[[str], None]) -> Scale:
    plan = grid.plan
    done = partial(is_scored, corpus=plan.corpus, device=plan.device)
    measure = partial(score, corpus=plan.corpus, say=say, device=plan.device)
    with workers(plan.jobs) as work:
        for flops in plan.flops:
            some = [cell for cell in cells if cell.flops == flops]
            if flops == plan.flops[-1]:
                _predict(grid, some, say)
            runs = work.finish([cell.training for cell in some], say, done, measure)
            for cell, (run, _) in zip(some, runs, strict=True):
                _add(grid, cell, run)
    grid.predictions = [_with_measured(one, grid, cells) for one in grid.predictions]
    return _written(grid)


def is_scored(run: Run, corpus: Corpus, device: str) -> bool:
    """Whether `score` has nothing to do."""
    return VALIDATION.is_done(Subject(run, corpus, device=device))


def score(run: Run, corpus: Corpus, say: Callable[[str], None], device: str) -> bool:
    """Score the validation documents; False if they were."""
    subject = Subject(run, corpus, device=device)
    return bool(evaluate(subject, [VALIDATION], lambda done: say(f"{run.name}: {done}")))


def _with_measured(one: Prediction, grid: _Grid, cells: Sequence[_Cell]) -> Prediction:
    """The prediction with what the runs that it is about came to, if they are in the grid."""
    specs = {cell.training.spec.hash for cell in cells if cell.flops == one.flops}
    best = next((b for b in _best(grid, one.rung) if b.budget_flops == one.flops), None)
    if best is None or not set(one.specs) <= specs:
        return one
    return one.model_copy(update={"measured": best.bits_per_byte})


def _add(grid: _Grid, cell: _Cell, run: Run) -> None:
    found, record = read(run, VALIDATION), run.record
    assert record.training_flops is not None
    assert record.parameters is not None
    grid.rungs[cell.rung] = ScaledRung(
        name=cell.rung, tokenizer=found.tokenizer, protocol=found.protocol
    )
    grid.runs.append(
        ScaleRun(
            rung=cell.rung,
            size=cell.size,
            seed=run.seed,
            budget_flops=cell.flops,
            training_flops=record.training_flops,
            parameters=record.parameters,
            bits_per_byte=found.bits_per_byte,
            ci95=found.ci95,
            run=run.name,
            key=record.key,
            spec_hash=record.spec_hash,
        )
    )


def _predict(grid: _Grid, cells: Sequence[_Cell], say: Callable[[str], None]) -> None:
    """Write what the runs of `cells`, all of the largest budget, will reach.

    An earlier prediction is made again only where more was trained since, but nothing of what it
    is about.
    """
    for rung in grid.rungs:
        of_rung = [cell for cell in cells if cell.rung == rung]
        begun = any(cell.training.find() for cell in of_rung)
        specs = tuple(sorted({cell.training.spec.hash for cell in of_rung}))
        new = _prediction(grid, rung, of_rung[0].flops, specs, before=not begun)
        places = [i for i, one in enumerate(grid.predictions) if one.same_runs(new)]
        if not places:
            grid.predictions.append(new)
        elif not begun and grid.predictions[places[0]].measured is None:
            grid.predictions[places[0]] = new
        (kept,) = (one for one in grid.predictions if one.same_runs(new))
        say(f"{rung}: {kept.bits_per_byte:.3f} bits per byte predicted for {kept.flops:g} flop")
    _written(grid)


def _prediction(
    grid: _Grid, rung: str, flops: float, specs: tuple[str, ...], *, before: bool
) -> Prediction:
    curve = _curve(grid, rung)
    return Prediction(
        rung=rung,
        flops=flops,
        bits_per_byte=curve.at(flops),
        ci95=curve.predict(flops, len(grid.plan.seeds)),
        has_floor=curve.has_floor,
        created=utc_now(),
        before=before,
        specs=specs,
        fitted=tuple(run.key for run in _of_best_sizes(grid, rung)),
    )


def _best(grid: _Grid, rung: str) -> list[BestSize]:
    """For each budget the best size of a rung, by the mean over seeds."""
    found: list[BestSize] = []
    runs = [run for run in grid.runs if run.rung == rung]
    for flops in dict.fromkeys(run.budget_flops for run in runs):
        by_size: dict[str, list[ScaleRun]] = {}
        for run in runs:
            if run.budget_flops == flops:
                by_size.setdefault(run.size, []).append(run)
        least = min(by_size.values(), key=lambda some: np.mean([r.bits_per_byte for r in some]))
        bits = [run.bits_per_byte for run in least]
        found.append(
            BestSize(
                rung=rung,
                budget_flops=flops,
                training_flops=statistics.mean(run.training_flops for run in least),
                size=least[0].size,
                parameters=least[0].parameters,
                bits_per_byte=statistics.mean(bits),
                spread=statistics.stdev(bits) if len(bits) > 1 else None,
                seeds=len(bits),
                sizes=len(by_size),
            )
        )
    return found


def _of_best_sizes(grid: _Grid, rung: str) -> list[ScaleRun]:
    sizes = {best.budget_flops: best.size for best in _best(grid, rung)}
    runs = [run for run in grid.runs if run.rung == rung]
    return [run for run in runs if run.size == sizes[run.budget_flops]]


def _curve(grid: _Grid, rung: str) -> Curve:
    runs = _of_best_sizes(grid, rung)
    names = list(grid.rungs)
    return fit(
        [run.training_flops for run in runs],
        [run.bits_per_byte for run in runs],
        seed=names.index(rung),  # the noise of two rungs is independent
    )


def _written(grid: _Grid) -> Scale:
    """Fit what there is, and write scale.json."""
    plan = grid.plan
    low, largest = (end(run.training_flops for run in grid.runs) for end in (min, max))
    limit = BEYOND * largest
    curves = {rung: _curve(grid, rung) for rung in grid.rungs}
    crossings: list[Crossing] = []
    for a, b in itertools.combinations(curves, 2):
        met = crossing(curves[a], curves[b], low=low, largest=largest, limit=limit)
        passed, passes = (b, a) if met.swapped else (a, b)
        crossings.append(Crossing(passes=passes, passed=passed, flops=met.flops, ci95=met.ci95))
    found = Scale(
        created=grid.created,
        preset=plan.preset,
        corpus_hash=plan.corpus.hash,
        corpus_source=plan.corpus.manifest.source,
        seeds=tuple(plan.seeds),
        budgets=tuple(plan.flops),
        limit_flops=limit,
        rungs=tuple(grid.rungs.values()),
        runs=tuple(grid.runs),
        best=tuple(best for rung in grid.rungs for best in _best(grid, rung)),
        fits=tuple(_fit(rung, curve, low, limit, grid) for rung, curve in curves.items()),
        predictions=tuple(grid.predictions),
        crossings=tuple(crossings),
    )
    write_sealed_json(plan.out / SCALE_FILE, found.model_dump(mode="json"))
    return found


def _fit(rung: str, curve: Curve, low: float, limit: float, grid: _Grid) -> Fit:
    points = [float(flops) for flops in np.geomspace(low, limit, _CURVE_POINTS)]
    return Fit(
        rung=rung,
        budgets=len(_best(grid, rung)),
        has_floor=curve.has_floor,
        floor=curve.floor,
        floor_ci95=curve.of_replicates(0) if curve.has_floor else None,
        coefficient=math.exp(curve.log_coefficient),
        exponent=curve.exponent,
        exponent_ci95=curve.of_replicates(2),
        curve=tuple(
            CurvePoint(flops=at, bits_per_byte=curve.at(at), ci95=curve.interval(at))
            for at in points
        ),
    )
