"""What the report knows: `ladder.json` and the run folders that it names, checked and typed.

Reading is strict where a mistake would show as a wrong figure (a non-finite number, an interval
upside down, a file of another version) and lenient where a climb is merely unfinished: a rung
still in training has no figure, a run without metrics has no curve. What is missing is None here,
and said on the page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from escada.errors import EscadaError
from escada.files import read_json
from escada.report.single import RECORD_FILE, ladder_of_run
from escada.spec import About

SCHEMA_VERSION = 1
LADDER_FILE = "ladder.json"

Verdict = Literal["better", "worse", "undecided"]


def _upright(interval: tuple[float, float]) -> tuple[float, float]:
    if interval[0] > interval[1]:
        raise ValueError(f"interval upside down: {interval[0]} > {interval[1]}")
    return interval


def _by_split(count: object) -> object:
    """A count alone is that of the test documents."""
    return {"test": count} if isinstance(count, int) else count


Interval = Annotated[tuple[float, float], AfterValidator(_upright)]
"""Low and high end of a 95 % interval."""


class Facts(BaseModel):
    """A JSON object of the ladder: finite numbers only; keys that are not shown are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


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
    ci95: Interval
    verdict: Verdict


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
    beats_previous: StepFacts | None = None

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
    rungs: list[RungFacts] = Field(min_length=1)


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


_F = TypeVar("_F", bound=Facts)


def check(kind: type[_F], value: object, where: object) -> _F:
    """One JSON value as facts.

    Raises:
        EscadaError: names the file, the key and the first problem.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise EscadaError(f"{key}: {message}", where=where) from error


def check_version(table: Mapping[str, Any], where: Path) -> None:
    """Refuse a file that another version of escada wrote.

    Raises:
        EscadaError: `schema_version` is absent or another one.
    """
    found = table.get("schema_version")
    if found != SCHEMA_VERSION:
        raise EscadaError(
            f"schema_version {found!r} is not {SCHEMA_VERSION}",
            where=where,
            fix="write it again with this version of escada",
        )


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
    table = read_json(path)
    check_version(table, path)
    ladder = check(LadderFacts, table, path)
    names = [rung.name for rung in ladder.rungs]
    if len(set(names)) < len(names):
        raise EscadaError("two rungs of one name", where=path)
    for rung in ladder.rungs:
        _check_step(rung, path)
    return ladder


def _check_step(rung: RungFacts, path: Path) -> None:
    """A verdict must say what its numbers say; a report never argues with its own figures."""
    step = rung.beats_previous
    if step is None:
        return
    low, high = step.ci95
    said = "better" if high < 0 else "worse" if low > 0 else "undecided"
    if said != step.verdict:
        raise EscadaError(
            f"rung {rung.name}: verdict {step.verdict!r} contradicts the interval of its "
            f"difference [{low:g}, {high:g}], which says {said!r}",
            where=path,
        )


def read_curve(path: Path) -> list[CurvePoint]:
    """The validation rows of a `metrics.jsonl`.

    A last line without its newline is one that is being written, and is left out.

    Raises:
        EscadaError: a whole line is not JSON, or a row lacks a number; says which line.
    """
    points: list[CurvePoint] = []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    for number, line in enumerate(lines[:-1], start=1):
        where = f"{path}, line {number}"
        try:
            row: Any = json.loads(line) if line.strip() else {}
        except json.JSONDecodeError as error:
            raise EscadaError("not a JSON line", where=where) from error
        table = cast(dict[str, Any], row) if isinstance(row, dict) else {}
        if table.get("kind") == "validation":
            points.append(check(CurvePoint, table, where))
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
    return RunFacts(run, curve, samples, sampler, environment, tuple(missing))
