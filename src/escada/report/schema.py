"""The JSON that the report reads: ladder.json, and what it takes from the folder of a run.

Every class is one JSON object: numbers are finite, intervals upright, and keys that the report does
not show are ignored. A figure that was not measured, or could not be known, is None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, JsonValue

from escada.evaluation.task import Figure, Interval
from escada.evaluation.tasks.cloze import ClozeResult
from escada.evaluation.tasks.minimal_pairs import PairsResult
from escada.guardrails.task import GuardrailsResult
from escada.report.results import (
    BaselineComparison,
    ClozeBaseline,
    ComparisonRow,
    JsonObject,
    SeedRun,
    TestedBaseline,
    Verdict,
)
from escada.spec import About


class TokenCounts(JsonObject):
    """Tokens of the stream read at least once, input tokens read, and predictions trained."""

    unique: int
    seen: int
    trained: int


class PlannedCost(JsonObject):
    """What the plan had said, as far as it did."""

    hours: float | None = None
    kwh: float | None = None
    usd: float | None = None
    brl: float | None = None
    memory_bytes: float | None = None


class CostSheet(JsonObject):
    """A cost sheet; what could not be known is None."""

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
    predicted: PlannedCost | None = None


def _by_split(count: object) -> object:
    """A count alone is that of the test documents."""
    return {"test": count} if isinstance(count, int) else count


class TokenizerSummary(JsonObject):
    """How a rung cuts text."""

    kind: str
    vocab_size: int


class StepComparison(JsonObject):
    """A rung set beside the one that it follows, paired by document.

    `difference` is this rung's bits per byte less the other's: negative is better.
    """

    against: str
    difference: float
    ci95: Interval | None
    verdict: Verdict
    p_value: float | None = None
    scope: str = "run"
    sources_disagree: bool = False


class RungRow(JsonObject):
    """One rung of the ladder; a figure that was not measured is None."""

    name: str
    run: str
    status: str
    tokenizer: TokenizerSummary
    follows: str | None = None
    about: About | None = None
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
    by_source: dict[str, float] = Field(default_factory=dict)
    validation_bits_per_byte: float | None = None
    train_bits_per_byte: float | None = None
    training_tokens: float | None = None
    training_bytes: float | None = None
    training_flops: float | None = None
    training_seconds: float | None = None
    budget_seconds: float | None = None
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
    cost: CostSheet | None = None
    beats_previous: StepComparison | None = None
    minimal_pairs: PairsResult | None = None
    cloze: ClozeResult | None = None
    guardrails: GuardrailsResult | None = None
    tasks: dict[str, list[Figure]] = Field(default_factory=dict[str, list[Figure]])
    """Figures of tasks from outside the package, by the names of the tasks."""
    other_seeds: tuple[SeedRun, ...] = ()
    """Further runs of the same recipe; the figures above are those of the first."""

    @property
    def text(self) -> tuple[str | None, str | None]:
        """What was read: figures of two rungs are compared only when this is equal."""
        return self.profile, self.corpus_hash


class BaselineRow(JsonObject):
    """A control on the same test documents, such as a character bigram model."""

    key: str
    name: str
    bits_per_byte: float
    ci95: Interval | None = None
    protocol: str | None = None
    minimal_pairs: PairsResult | None = None


class CorpusSummary(JsonObject):
    """The text that everything was trained and judged on."""

    source: str | None = None
    hash: str | None = None
    profile: str | None = None
    documents: int | dict[str, int] | None = None
    bytes: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, str | dict[str, str]] | list[str] | str | None = None


class LexiconShare(JsonObject):
    """Share of words found in the lexicon (0 to 1), for the ceiling and the floor of samples."""

    lexicon_share: float | None = None


class Ladder(JsonObject):
    """A whole climb."""

    schema_version: int
    created: str | None = None
    preset: str | None = None
    budget: str | None = None
    seed: int | None = None
    corpus: CorpusSummary = CorpusSummary()
    baselines: list[BaselineRow] = Field(default_factory=list[BaselineRow])
    human: LexiconShare | None = None
    noise: LexiconShare | None = None
    machine: dict[str, JsonValue] = Field(default_factory=dict)
    comparisons: list[ComparisonRow] = Field(default_factory=list[ComparisonRow])
    baseline_comparisons: list[BaselineComparison] = Field(default_factory=list[BaselineComparison])
    cloze_baselines: list[ClozeBaseline] = Field(default_factory=list[ClozeBaseline])
    rungs: list[RungRow] = Field(min_length=1)

    @property
    def tested_baselines(self) -> list[TestedBaseline]:
        """Baselines that answered the minimal pairs or the last words, a row for each key."""
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


class WrittenSample(JsonObject):
    """One continuation that a model wrote."""

    prompt_id: str
    prompt: str
    text: str
    category: str = ""
    finished: bool | None = None
    bits_per_token: float | None = None


class Machine(JsonObject):
    """The computer of a run, as its env.json names it."""

    cpu: str | None = None
    cores: int | None = None
    memory_bytes: float | None = None
    gpus: tuple[str, ...] = ()
    packages: dict[str, str | None] = Field(default_factory=dict)
    git: dict[str, JsonValue] | None = None

    @property
    def git_commit(self) -> str | None:
        """Of the source tree that ran, where that was known."""
        commit = (self.git or {}).get("commit")
        return str(commit) if commit else None

    @property
    def processor(self) -> str:
        """The GPUs, or the CPU where there is none; empty if unknown."""
        return ", ".join(self.gpus) or self.cpu or ""


class CurvePoint(JsonObject):
    """A validation during training; seconds, tokens and FLOPs are of training so far."""

    step: int
    seconds: float
    tokens: float
    flops: float
    bits_per_byte: float
