"""What the report knows: `ladder.json` and the run folders that it names, checked and typed.

Reading is strict where a mistake would show as a wrong figure (a non-finite number, an interval
upside down, a file of another version) and lenient where a climb is merely unfinished: a rung
still in training has no figure, a run without metrics has no curve. What is missing is None here,
and said on the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from escada.errors import EscadaError
from escada.files import read_json, read_json_lines
from escada.report.costs import CostFacts, read_costs
from escada.report.single import RECORD_FILE, ladder_of_run
from escada.report.strict import Facts, Interval, Verdict, check, check_version
from escada.report.tested import (
    BaselineComparisonFacts,
    ClozeBaselineFacts,
    ComparisonFacts,
    GuardrailsFacts,
    PairsFacts,
    SeedFacts,
    ShareFacts,
    TestedBaseline,
)
from escada.spec import About

LADDER_FILE = "ladder.json"


def _by_split(count: object) -> object:
    """A count alone is that of the test documents."""
    return {"test": count} if isinstance(count, int) else count


class TokenizerFacts(Facts):
    """How a rung cuts text."""

    kind: str
    vocab_size: int


class StepFacts(Facts):
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


class RungFacts(Facts):
    """One rung of the ladder; a figure that was not measured is None."""

    name: str
    run: str
    status: str
    tokenizer: TokenizerFacts
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
    cost: CostFacts | None = None
    beats_previous: StepFacts | None = None
    minimal_pairs: PairsFacts | None = None
    cloze: ShareFacts | None = None
    guardrails: GuardrailsFacts | None = None
    other_seeds: tuple[SeedFacts, ...] = ()
    """Further runs of the same recipe; the figures above are those of the first."""

    @property
    def text(self) -> tuple[str | None, str | None]:
        """What was read: figures of two rungs are compared only when this is equal."""
        return self.profile, self.corpus_hash


class BaselineFacts(Facts):
    """A control on the same test documents, such as a character bigram model."""

    key: str
    name: str
    bits_per_byte: float
    ci95: Interval | None = None
    protocol: str | None = None
    minimal_pairs: PairsFacts | None = None


class CorpusFacts(Facts):
    """The text that everything was trained and judged on."""

    source: str | None = None
    hash: str | None = None
    profile: str | None = None
    documents: int | dict[str, int] | None = None
    bytes: dict[str, int] = Field(default_factory=dict)
    licences: dict[str, str | dict[str, str]] | list[str] | str | None = None


class LexiconFacts(Facts):
    """Share of words found in the lexicon (0 to 1), for the ceiling and the floor of samples."""

    lexicon_share: float | None = None


class LadderFacts(Facts):
    """A whole climb."""

    schema_version: int
    created: str | None = None
    preset: str | None = None
    budget: str | None = None
    seed: int | None = None
    corpus: CorpusFacts = CorpusFacts()
    baselines: list[BaselineFacts] = Field(default_factory=list[BaselineFacts])
    human: LexiconFacts | None = None
    noise: LexiconFacts | None = None
    machine: dict[str, Any] = Field(default_factory=dict)
    comparisons: list[ComparisonFacts] = Field(default_factory=list[ComparisonFacts])
    baseline_comparisons: list[BaselineComparisonFacts] = Field(
        default_factory=list[BaselineComparisonFacts]
    )
    cloze_baselines: list[ClozeBaselineFacts] = Field(default_factory=list[ClozeBaselineFacts])
    rungs: list[RungFacts] = Field(min_length=1)

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


class SampleFacts(Facts):
    """One continuation that a model wrote."""

    prompt_id: str
    prompt: str
    text: str
    category: str = ""
    finished: bool | None = None
    bits_per_token: float | None = None


class CurvePoint(Facts):
    """A validation during training; seconds, tokens and FLOPs are of training so far."""

    step: int
    seconds: float
    tokens: float
    flops: float
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a rung's run folder adds to the ladder; an absent file leaves its field empty."""

    folder: Path
    curve: list[CurvePoint] = field(default_factory=list[CurvePoint])
    samples: list[SampleFacts] = field(default_factory=list[SampleFacts])
    sampler: dict[str, Any] = field(default_factory=dict[str, Any])
    environment: dict[str, Any] = field(default_factory=dict[str, Any])
    missing: tuple[str, ...] = ()
    cost: CostFacts | None = None


def read_ladder(folder: Path) -> LadderFacts:
    """Read `folder/ladder.json`; the folder of one run is read as a ladder of one rung.

    Raises:
        EscadaError: no such file, another version, or a figure that cannot be one.
    """
    path = folder / LADDER_FILE
    alone = folder / RECORD_FILE
    if not path.is_file() and alone.is_file():
        table = ladder_of_run(folder)
        check_version(table, alone)
        return check(LadderFacts, table, alone)
    if not path.is_file():
        raise EscadaError(
            f"no {LADDER_FILE} here",
            where=folder,
            fix="name the --out of an `escada climb`, or a run's folder",
        )
    return ladder_of(read_json(path), path)


def ladder_of(table: Mapping[str, Any], where: Path) -> LadderFacts:
    """The content of a ladder.json, checked.

    Raises:
        EscadaError: it is of another version, or a figure cannot be one.
    """
    check_version(table, where)
    ladder = _by_rung(check(LadderFacts, table, where), where)
    for rung in ladder.rungs:
        _check_step(rung, where)
    return ladder


def _by_rung(ladder: LadderFacts, path: Path) -> LadderFacts:
    """One row a rung: further seeds of a rung are put into the row of its first."""
    rows: dict[str, RungFacts] = {}
    for row in ladder.rungs:
        first = rows.get(row.name)
        if first is None:
            rows[row.name] = row
            continue
        seeds = [first.seed, *(other.seed for other in first.other_seeds)]
        if row.seed in seeds:
            raise EscadaError(f"rung {row.name} with seed {row.seed} twice", where=path)
        other = SeedFacts(seed=row.seed, run=row.run, bits_per_byte=row.bits_per_byte)
        rows[row.name] = first.model_copy(update={"other_seeds": (*first.other_seeds, other)})
    return ladder.model_copy(update={"rungs": list(rows.values())})


def _check_step(rung: RungFacts, path: Path) -> None:
    """A verdict must say what its numbers say; a report never argues with its own figures."""
    step = rung.beats_previous
    if step is None or step.ci95 is None:
        return
    low, high = step.ci95
    said = "better" if high < 0 else "worse" if low > 0 else "undecided"
    if step.p_value is not None and step.p_value >= 0.05:
        said = "undecided"
    if said != step.verdict:
        raise EscadaError(
            f"rung {rung.name}: verdict {step.verdict!r} contradicts the interval of its "
            f"difference [{low:g}, {high:g}] and its p-value, which say {said!r}",
            where=path,
        )


def read_curve(path: Path) -> list[CurvePoint]:
    """The validation rows of a `metrics.jsonl`.

    A last line without its newline is one that is being written, and is left out.

    Raises:
        EscadaError: a whole line is not JSON, or a row lacks a number; says which line.
    """
    points: list[CurvePoint] = []
    for number, row in enumerate(read_json_lines(path, unfinished=True), start=1):
        if row.get("kind") == "validation":
            points.append(check(CurvePoint, row, f"{path}:{number}"))
    return points


def read_run(folder: Path, rung: RungFacts) -> RunFacts:
    """What the run folder of a rung holds for the report.

    Raises:
        EscadaError: a file is there and cannot be read; an absent one is named in `missing`.
    """
    run = folder / rung.run
    missing: list[str] = []

    def present(name: str) -> bool:
        found = (run / name).is_file()
        if not found:
            missing.append(name)
        return found

    curve = read_curve(run / "metrics.jsonl") if present("metrics.jsonl") else []
    samples: list[SampleFacts] = []
    sampler: dict[str, Any] = {}
    name = "samples/samples.json"
    if present(name):
        table = read_json(run / name)
        check_version(table, run / name)
        samples = [check(SampleFacts, sample, run / name) for sample in table.get("samples", [])]
        sampler = {**table.get("settings", {}), "seed": table.get("seed")}
    environment = read_json(run / "env.json") if present("env.json") else {}
    cost = rung.cost or read_costs(run / "cost.json")  # ladders before this key have it there only
    return RunFacts(run, curve, samples, sampler, environment, tuple(missing), cost)
