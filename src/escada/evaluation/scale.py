"""The schema of scale.json, which `escada scale` writes: the grid, its fits, what was predicted.

All figures are of validation documents. FLOP are those that `escada.cost.flops` counts.
"""

from __future__ import annotations

from typing import Literal

from escada.evaluation.tasks.documents import TokenizerOf
from escada.typed_json import Interval, JsonObject

OpenInterval = tuple[float | None, float | None]
"""A 95 % interval; an end of None lies outside the range that was looked at."""


class ScaleRun(JsonObject):
    """One run of the grid.

    Attributes:
        size: overrides of the preset, as they were given; empty for its own size.
        budget_flops: as asked; `training_flops` is what whole steps came to.
        ci95: over documents.
        run: its folder, relative to scale.json.
    """

    rung: str
    size: str
    seed: int
    budget_flops: float
    training_flops: float
    parameters: int
    bits_per_byte: float
    ci95: Interval | None
    run: str
    key: str
    spec_hash: str


class BestSize(JsonObject):
    """The size of a rung with the fewest bits per byte for a budget, by the mean over seeds.

    Attributes:
        spread: standard deviation over seeds; None for one seed.
        sizes: how many were tried.
    """

    rung: str
    budget_flops: float
    training_flops: float
    size: str
    parameters: int
    bits_per_byte: float
    spread: float | None
    seeds: int
    sizes: int


class CurvePoint(JsonObject):
    """A point of a fitted curve."""

    flops: float
    bits_per_byte: float
    ci95: Interval | None


class Fit(JsonObject):
    """L(C) = floor + coefficient · C^-exponent, through the best sizes of a rung.

    Attributes:
        has_floor: whether the floor was fitted; with few budgets it is assumed.
    """

    rung: str
    budgets: int
    has_floor: bool
    floor: float
    floor_ci95: Interval | None
    coefficient: float
    exponent: float
    exponent_ci95: Interval | None
    curve: tuple[CurvePoint, ...]


class Prediction(JsonObject):
    """The bits per byte of a rung's largest budget, from its smaller ones.

    Attributes:
        created: ISO 8601.
        before: whether it was written before any run of that budget began.
        specs: hashes of the specs that it is about.
        fitted: keys of the runs that it was made from.
        measured: mean over seeds of the best size; None until it was trained.
    """

    rung: str
    flops: float
    bits_per_byte: float
    ci95: Interval | None
    has_floor: bool
    created: str
    before: bool
    specs: tuple[str, ...]
    fitted: tuple[str, ...]
    measured: float | None = None

    def same_runs(self, other: Prediction) -> bool:
        """Whether both are about the same trainings."""
        return (self.rung, self.flops, self.specs) == (other.rung, other.flops, other.specs)

    @property
    def error(self) -> float | None:
        """Relative error of the prediction; positive: more bits were predicted than measured."""
        return None if self.measured is None else self.bits_per_byte / self.measured - 1


class Crossing(JsonObject):
    """Where the fitted curve of `passes` falls below that of `passed`.

    Attributes:
        flops: None: not in the range, and `passed` is ahead throughout.
        ci95: over the noise of the runs; None where it is unknown.
    """

    passes: str
    passed: str
    flops: float | None
    ci95: OpenInterval | None


class ScaledRung(JsonObject):
    """A rung of the grid."""

    name: str
    tokenizer: TokenizerOf
    protocol: str


class Scale(JsonObject):
    """scale.json.

    Attributes:
        budgets: FLOP, ascending; the last one is predicted from the others.
        limit_flops: crossings were looked for from the smallest budget to here.
        predictions: those of earlier grids in this folder too.
    """

    schema_version: Literal[1] = 1
    created: str
    preset: str
    corpus_hash: str
    corpus_source: str
    split: Literal["validation"] = "validation"
    seeds: tuple[int, ...]
    budgets: tuple[float, ...]
    limit_flops: float
    rungs: tuple[ScaledRung, ...]
    runs: tuple[ScaleRun, ...]
    best: tuple[BestSize, ...]
    fits: tuple[Fit, ...]
    predictions: tuple[Prediction, ...]
    crossings: tuple[Crossing, ...]

    @property
    def trained_flops(self) -> float:
        """The largest budget with a run."""
        return max(run.budget_flops for run in self.runs)

    def crossing(self, passes: str, passed: str) -> Crossing | None:
        """Where one rung passes the other, if it does in the range."""
        for one in self.crossings:
            if (one.passes, one.passed) == (passes, passed) and one.flops is not None:
                return one
        return None
