"""Comparisons, seeds and the judge, as ladder.json and judge/verdict.json hold them.

Every class is one JSON object; keys that the report does not show are ignored. What a task found
is described by its own file (`PairsResult`, `ClozeResult`, `GuardrailsResult`).
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from escada.evaluation.task import Interval
from escada.evaluation.tasks.cloze import ClozeResult
from escada.evaluation.tasks.minimal_pairs import PairsResult

Verdict = Literal["better", "worse", "undecided"]
"""Of a rung set beside another."""


class JsonObject(BaseModel):
    """A JSON object of the ladder: finite numbers only; keys that are not shown are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class ClozeBaseline(ClozeResult):
    """What one gets at the last words of passages without a model of the ladder."""

    key: str
    name: str
    word: str | None = None


class TestedBaseline(JsonObject):
    """What a baseline got at the minimal pairs, and at the last words of passages."""

    key: str
    name: str
    minimal_pairs: PairsResult | None
    cloze: ClozeBaseline | None


class SeedRun(JsonObject):
    """One of a rung's runs, when it was trained with several seeds."""

    seed: int | None = None
    run: str
    bits_per_byte: float | None = None


class SourceDifference(JsonObject):
    """A difference on the documents of one source."""

    difference: float
    ci95: Interval | None = None
    p_value: float | None = None
    verdict: Verdict | None = None


class StandardError(JsonObject):
    """A standard error in its parts."""

    documents: float | None = None
    seeds: float | None = None


class SideBySide(JsonObject):
    """One figure of both rungs, and their ratio."""

    a: float | None = None
    b: float | None = None
    ratio: float | None = None


class ComparisonRow(JsonObject):
    """A rung against another: `a` less `b`, so that negative is better."""

    a: str
    b: str
    scope: str
    difference: float
    relative: float
    ci95: Interval | None
    p_value: float | None
    significant: bool
    verdict: Verdict
    standard_error: StandardError = StandardError()
    by_source: dict[str, SourceDifference] = Field(default_factory=dict)
    sources_disagree: bool = False
    alone: tuple[str, ...] = ()
    minimal_pairs: SideBySide = SideBySide()
    cost: dict[str, SideBySide] = Field(default_factory=dict)


class BaselineComparison(JsonObject):
    """A rung against a baseline, on the documents and, of some, on the minimal pairs."""

    a: str
    b: str
    difference: float
    ci95: Interval | None
    p_value: float | None
    verdict: Verdict
    minimal_pairs: SourceDifference | None = None


class MeanScore(JsonObject):
    """A mean mark."""

    mean: float
    ci95: Interval | None = None


class RubricScores(JsonObject):
    """Mean marks of 0 to 5."""

    overall: MeanScore


class Rated(JsonObject):
    """A rung, or a control, as the judge rated it."""

    name: str
    rating: float | None
    ci95: Interval | None = None
    rubric: RubricScores | None = None


class Reason(JsonObject):
    """Why a judge is not to be relied on."""

    code: str
    text: str


class JudgeVerdict(JsonObject):
    """The verdict of a review, and whether to believe it."""

    kind: str
    model: str | None = None
    complete: bool = True
    reliable: bool
    reasons: list[Reason] = Field(default_factory=list[Reason])
    ratings: list[Rated]
    controls: dict[str, Rated]
