"""What the report knows of a rung beyond the ruler: pairs, cloze, guardrails, comparisons, judge.

Every class is a part of a JSON file that another layer wrote; keys that the page does not show are
ignored.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from escada.files import read_json
from escada.report.strict import Facts, Interval, Verdict, check, check_version

JUDGE_FILE = "judge/verdict.json"


class ShareFacts(Facts):
    """Right answers over questions."""

    accuracy: float
    ci95: Interval | None = None
    pairs: int | None = None
    items: int | None = None


class ClozeBaselineFacts(ShareFacts):
    """What one gets at the last words of passages without a model of the ladder."""

    key: str
    name: str
    word: str | None = None


class PairsFacts(ShareFacts):
    """Accuracy on the minimal pairs, in all and apart."""

    by_phenomenon: dict[str, ShareFacts] = Field(default_factory=dict)
    by_attractor: dict[str, ShareFacts] = Field(default_factory=dict)


class TestedBaseline(Facts):
    """What a baseline got at the minimal pairs, and at the last words of passages."""

    key: str
    name: str
    minimal_pairs: PairsFacts | None
    cloze: ClozeBaselineFacts | None


class GuardFacts(Facts):
    """One guardrail of a rung's samples."""

    value: float | None
    limit: float | None
    direction: str
    verdict: str
    meaning: str = ""
    reason: str | None = None


class ControlFacts(Facts):
    """What a control got from a guardrail."""

    value: float | None
    verdict: str | None = None


class CauseFacts(Facts):
    """What probably happened where guardrails fail."""

    cause: str
    text: str


class GuardrailsFacts(Facts):
    """All guardrails of a rung's samples, and what the controls got from them."""

    verdict: str
    guardrails: dict[str, GuardFacts]
    controls: dict[str, dict[str, ControlFacts]] = Field(default_factory=dict)
    causes: list[CauseFacts] = Field(default_factory=list[CauseFacts])


class SeedFacts(Facts):
    """One of a rung's runs, when it was trained with several seeds."""

    seed: int | None = None
    run: str
    bits_per_byte: float | None = None


class SourceFacts(Facts):
    """A difference on the documents of one source."""

    difference: float
    ci95: Interval | None = None
    p_value: float | None = None
    verdict: Verdict | None = None


class ErrorFacts(Facts):
    """A standard error in its parts."""

    documents: float | None = None
    seeds: float | None = None


class SidesFacts(Facts):
    """One figure of both rungs, and their ratio."""

    a: float | None = None
    b: float | None = None
    ratio: float | None = None


class ComparisonFacts(Facts):
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
    standard_error: ErrorFacts = ErrorFacts()
    by_source: dict[str, SourceFacts] = Field(default_factory=dict)
    sources_disagree: bool = False
    alone: tuple[str, ...] = ()
    minimal_pairs: SidesFacts = SidesFacts()
    cost: dict[str, SidesFacts] = Field(default_factory=dict)


class BaselineComparisonFacts(Facts):
    """A rung against a baseline, on the documents and, of some, on the minimal pairs."""

    a: str
    b: str
    difference: float
    ci95: Interval | None
    p_value: float | None
    verdict: Verdict
    minimal_pairs: SourceFacts | None = None


class MarksFacts(Facts):
    """A mean mark."""

    mean: float
    ci95: Interval | None = None


class RubricFacts(Facts):
    """Mean marks of 0 to 5."""

    overall: MarksFacts


class RatedFacts(Facts):
    """A rung, or a control, as the judge rated it."""

    name: str
    rating: float | None
    ci95: Interval | None = None
    rubric: RubricFacts | None = None


class ReasonFacts(Facts):
    """Why a judge is not to be relied on."""

    code: str
    text: str


class JudgeFacts(Facts):
    """The verdict of a review, and whether to believe it."""

    kind: str
    model: str | None = None
    complete: bool = True
    reliable: bool
    reasons: list[ReasonFacts] = Field(default_factory=list[ReasonFacts])
    ratings: list[RatedFacts]
    controls: dict[str, RatedFacts]


def read_judge(folder: Path) -> JudgeFacts | None:
    """The judge's verdict on a climb; None when nobody asked one.

    Raises:
        EscadaError: the file is there and cannot be read.
    """
    path = folder / JUDGE_FILE
    if not path.is_file():
        return None
    table = read_json(path)
    check_version(table, path)
    return check(JudgeFacts, table, path)
