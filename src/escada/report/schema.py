"""The schema of ladder.json, written by a climb and read by report, service and `escada compare`.

Each class is one JSON object: numbers are finite, intervals ordered, unknown keys ignored. A value
that was not measured or is unknown is None.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import AliasChoices, BeforeValidator, ConfigDict, Field, JsonValue

from escada.evaluation.baselines.cloze import ClozeBaseline
from escada.evaluation.baselines.corpus_controls import BaselineRow, CorpusControls
from escada.evaluation.significance import Comparison, Difference, Scope
from escada.evaluation.task import Figure
from escada.evaluation.tasks.cloze import ClozeResult
from escada.evaluation.tasks.documents import SourceFigure, TokenizerOf
from escada.evaluation.tasks.minimal_pairs import PairsResult
from escada.guardrails.task import GuardrailsResult
from escada.runs.environment import Environment
from escada.runs.record import PredictedCost
from escada.spec import About
from escada.text.filters import FilterCounts
from escada.text.manifest import Decontamination
from escada.text.sources.base import MixturePart
from escada.typed_json import Interval, JsonObject

T = TypeVar("T")


class Sides(JsonObject, Generic[T]):
    """One value for each side of a comparison."""

    a: T
    b: T


class CostRatio(JsonObject):
    """A cost of both sides; `ratio` is a / b."""

    a: float | None = None
    b: float | None = None
    ratio: float | None = None


class ComparisonRow(Comparison):
    """Rung `a` against rung `b`; other results of both are means over their seeds."""

    seeds: Sides[list[int]] | None = None
    runs: Sides[list[str]] | None = None
    split: str = "test"
    protocols: Sides[str] | None = None
    minimal_pairs: Sides[float | None] = Sides[float | None](a=None, b=None)
    """Accuracies."""
    guardrails: Sides[str | None] = Sides[str | None](a=None, b=None)
    """The worst verdict over the runs."""
    cost: dict[str, CostRatio] = Field(default_factory=dict[str, CostRatio])


class BaselineComparison(Comparison):
    """Rung `a` against baseline `b` on the documents and, for some, on the minimal pairs."""

    minimal_pairs: Difference | None = None


class BestBaseline(Difference):
    """best-baseline.json of a run: its rung against the baseline with the fewest bits per byte.

    `corpus_hash`, `weights` and `weights_sha256` identify the compared result.
    """

    schema_version: int = 1
    corpus_hash: str
    weights: str
    weights_sha256: str
    baseline: BaselineRow
    scope: Scope


class StepComparison(Difference):
    """A rung against the one it follows, or the nearest below; a negative difference is better."""

    against: str
    scope: Scope = "run"
    sources_disagree: bool = False


class TokenCounts(JsonObject):
    """Stream tokens read at least once, input tokens read, and predictions trained on."""

    model_config = ConfigDict(extra="allow")

    unique: int
    seen: int
    trained: int


class CostFigures(JsonObject):
    """The figures of a run's cost sheet (`escada.cost.sheet`)."""

    tokens: TokenCounts
    hours: float
    wall_hours: float
    utilisation: float | None = None
    host_memory_bytes: float | None = None
    device_memory_bytes: float | None = None
    memory_bytes: float | None = None
    kwh: float | None = None
    energy_estimated: bool = False
    usd: float | None = None
    brl: float | None = None
    money_basis: str | None = None
    co2_g: float | None = None
    grid: str | None = None
    grid_g_per_kwh: float | None = None
    predicted: PredictedCost | None = None


class SeedRun(JsonObject):
    """One run of a rung trained with several seeds."""

    seed: int | None = None
    run: str
    bits_per_byte: float | None = None


def _by_split(count: object) -> object:
    """A plain count is that of the test documents."""
    return {"test": count} if isinstance(count, int) else count


class Settings(JsonObject):
    """The tables of a run's resolved spec that decide its weights; absent keys have no value."""

    tokenizer: dict[str, JsonValue]
    model: dict[str, JsonValue]
    train: dict[str, JsonValue]


class RungRow(JsonObject):
    """One rung of the ladder."""

    name: str
    run: str
    status: str
    tokenizer: TokenizerOf
    follows: str | None = None
    about: About | None = None
    settings: Settings | None = None
    preset: str | None = None
    seed: int | None = None
    protocol: str | None = None
    profile: str | None = None
    corpus_hash: str | None = None
    parameters: int | None = None
    bits_per_byte: float | None = None
    ci95: Interval | None = None
    perplexity: float | None = None
    accuracy: float | None = None
    groups: int | None = None
    effective_groups: float | None = None
    macro_bits_per_byte: float | None = None
    macro_ci95: Interval | None = None
    ci95_leaves_out: tuple[str, ...] = ()
    ci95_borrowed: tuple[str, ...] = ()
    by_source: dict[str, float] = Field(default_factory=dict)
    sources: dict[str, SourceFigure] = Field(default_factory=dict[str, SourceFigure])
    validation_bits_per_byte: float | None = None
    train_bits_per_byte: float | None = None
    training_tokens: float | None = None
    training_bytes: float | None = None
    training_flops: float | None = None
    training_seconds: float | None = None
    planned_seconds: float | None = Field(
        default=None, validation_alias=AliasChoices("planned_seconds", "budget_seconds")
    )
    """See `escada.runs.time_budget.planned_seconds`; time budgets only before 2026-12."""
    stopped_early: bool | None = None
    tokens_per_second: float | None = None
    evaluation_tokens_per_second: float | None = None
    peak_memory_bytes: float | None = None
    lexicon_share: float | None = None
    unknown_characters: Annotated[dict[str, int], BeforeValidator(_by_split)] = Field(
        default_factory=dict
    )
    precision: str | None = None
    device: str | None = None
    spec_hash: str | None = None
    key: str | None = None
    cost: CostFigures | None = None
    beats_previous: StepComparison | None = None
    minimal_pairs: PairsResult | None = None
    cloze: ClozeResult | None = None
    guardrails: GuardrailsResult | None = None
    tasks: dict[str, list[Figure]] = Field(default_factory=dict[str, list[Figure]])
    """Results of tasks from outside the package, by task name."""
    other_seeds: tuple[SeedRun, ...] = Field(default=(), exclude=True)
    """Further runs of the same recipe; the values above are those of the first."""

    @property
    def text(self) -> tuple[str | None, str | None]:
        """What was read; rungs are compared only if this is equal."""
        return self.profile, self.corpus_hash


class CorpusSummary(JsonObject):
    """The corpus of the climb: what it is, and what was asked for besides cleaning."""

    source: str | None = None
    hash: str | None = None
    profile: str | None = None
    documents: int | dict[str, int] | None = None
    bytes: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, str | dict[str, str]] | list[str] | str | None = None
    mixture: list[MixturePart] = Field(default_factory=list[MixturePart])
    filters: FilterCounts = Field(default_factory=FilterCounts)
    masks_personal_data: bool = False
    decontamination: Decontamination | None = None


class TestedBaseline(JsonObject):
    """A baseline's results on minimal pairs and last words."""

    key: str
    name: str
    minimal_pairs: PairsResult | None
    cloze: ClozeBaseline | None


class Ladder(CorpusControls):
    """A climb's ladder.json."""

    schema_version: int
    created: str | None = None
    preset: str | None = None
    budget: str | None = None
    seed: int | None = None
    seeds: tuple[int, ...] = ()
    jobs: int = 1
    """Rungs that were trained at a time."""
    corpus: CorpusSummary = CorpusSummary()
    machine: Environment = Environment()
    comparisons: list[ComparisonRow] = Field(default_factory=list[ComparisonRow])
    baseline_comparisons: list[BaselineComparison] = Field(default_factory=list[BaselineComparison])
    rungs: list[RungRow] = Field(min_length=1)

    def comparison(self, a: str, b: str) -> ComparisonRow | None:
        """The row of rung `a` against rung `b`, if any."""
        return next((row for row in self.comparisons if (row.a, row.b) == (a, b)), None)

    def against_baseline(self, rung: str, key: str) -> BaselineComparison | None:
        """The row of a rung against a baseline, if any."""
        return next((r for r in self.baseline_comparisons if (r.a, r.b) == (rung, key)), None)

    @property
    def tested_baselines(self) -> list[TestedBaseline]:
        """Baselines with results on minimal pairs or last words, one row per key."""
        pairs = {row.key: row for row in self.baselines if row.minimal_pairs}
        cloze = {row.key: row for row in self.cloze_baselines}
        return [
            TestedBaseline(
                key=key,
                name=(pairs.get(key) or cloze[key]).name,
                minimal_pairs=pairs[key].minimal_pairs if key in pairs else None,
                cloze=cloze.get(key),
            )
            for key in dict.fromkeys([*pairs, *cloze])
        ]
