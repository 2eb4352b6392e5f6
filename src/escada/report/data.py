"""Read a climb for the report: ladder.json and the run folders it names.

    climb = read_climb(folder)

Reading is strict where an error would show as a wrong figure (non-finite numbers, inverted
intervals, files of another version) and lenient where a climb is unfinished: a rung in training has
no figure, a run without metrics no curve. Missing values are None and shown as missing. A single
run's folder is read as a ladder of one rung.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import BaseModel, Field, JsonValue

from escada.budget import Budget
from escada.cost.meter import SCHEMA_VERSION as COST_SCHEMA_VERSION
from escada.errors import EscadaError
from escada.evaluation.published import Publication, Publications
from escada.evaluation.scale import Scale
from escada.evaluation.tasks.acquisition import AcquisitionResult
from escada.evaluation.tasks.samples import SampleRow
from escada.evaluation.tasks.windows import SCHEMA_VERSION as WINDOWS_SCHEMA_VERSION
from escada.evaluation.tasks.windows import WindowsResult
from escada.files import read_json, read_toml
from escada.judge.verdict import Judgement
from escada.report.schema import CostFigures, Ladder, RungRow, SeedRun, Settings
from escada.runs.environment import Environment
from escada.runs.layout import RESTORE, Layout
from escada.runs.log import read_log
from escada.runs.record import check_spec_hash, read_record
from escada.runs.time_budget import planned_seconds
from escada.spec import table_hash
from escada.typed_json import JsonObject, parse

SCHEMA_VERSION = 1
LADDER_FILE = "ladder.json"
RECORD_FILE = "record.json"
SPEC_FILE = "spec.toml"
JUDGE_FILE = "judge/verdict.json"
BESIDE_FILE = "beside.json"
SCALE_FILE = "scale.json"


class _SamplesFile(JsonObject):
    samples: list[SampleRow] = Field(default_factory=list[SampleRow])
    settings: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    seed: int | None = None


class CurvePoint(JsonObject):
    """A validation during training; seconds, tokens and FLOPs are of training so far."""

    step: int
    seconds: float
    tokens: float
    flops: float
    bits_per_byte: float


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Contents of a rung's run folder; an absent file leaves its field empty."""

    folder: Path
    curve: list[CurvePoint] = field(default_factory=list[CurvePoint])
    samples: list[SampleRow] = field(default_factory=list[SampleRow])
    sampler: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    environment: Environment = field(default_factory=Environment)
    missing: tuple[str, ...] = ()
    cost: CostFigures | None = None
    windows: WindowsResult | None = None
    acquisition: AcquisitionResult | None = None


@dataclass(frozen=True, slots=True)
class Climb:
    """A ladder and what lies beside it.

    Attributes:
        ladder: the rows of ladder.json.
        runs: the run folders by the names of their rungs.
        judge: its verdict, if one was asked.
        beside: published figures of others.
        scale: fits of loss against compute for the same corpus and preset, if there are any.
    """

    ladder: Ladder
    runs: Mapping[str, RunFiles]
    judge: Judgement | None = None
    beside: Sequence[Publication] = ()
    scale: Scale | None = None


def read_climb(folder: Path, ladder: Ladder | None = None, scale: Path | None = None) -> Climb:
    """Read everything the report shows of a climb, or of one run.

    Args:
        folder: of the climb or the run.
        ladder: used instead of `folder/ladder.json` while the climb is in progress.
        scale: the folder of its scale.json; None: the climb's own, if it has one.

    Raises:
        EscadaError: no ladder there, an unreadable file, or the scale of something else.
    """
    ladder = ladder or read_ladder(folder)
    runs = {rung.name: read_run(folder, rung) for rung in ladder.rungs}
    found = read_scale(folder) if scale is None else need_scale(scale)
    if found is not None:
        specs = {rung.name: rung.spec_hash for rung in ladder.rungs if rung.spec_hash}
        where = (scale or folder) / SCALE_FILE
        check_scale(found, ladder.corpus.hash, ladder.preset, ladder.budget, specs, where)
    return Climb(ladder, runs, read_judge(folder), read_beside(folder), found)


def read_ladder(folder: Path) -> Ladder:
    """Read `folder/ladder.json`; a single run's folder is read as a ladder of one rung.

    Further seeds of a rung are merged into the row of its first.

    Raises:
        EscadaError: no such file, another schema version, or an invalid value.
    """
    if (folder / LADDER_FILE).is_file():
        return by_rung(read_rows(folder), folder / LADDER_FILE)
    if (folder / RECORD_FILE).is_file():
        return ladder_of_run(folder)
    raise EscadaError(
        f"no {LADDER_FILE} here",
        where=folder,
        fix="name the --out of an `escada climb`, or a run's folder",
    )


def read_rows(folder: Path) -> Ladder:
    """`folder/ladder.json` as written: one row per run.

    Settings, which older ladders lack, are read from the run folders that are there.

    Raises:
        EscadaError: see `read_ladder`.
    """
    path = folder / LADDER_FILE
    ladder = _read(Ladder, path)
    for rung in ladder.rungs:
        _check_step(rung, path)
    rungs = [rung if rung.settings else _with_settings(rung, folder) for rung in ladder.rungs]
    return ladder.model_copy(update={"rungs": rungs})


def _with_settings(rung: RungRow, folder: Path) -> RungRow:
    path = folder / rung.run / SPEC_FILE
    found = _settings(_spec(path, rung.spec_hash))
    settings = check(Settings, found, path) if found else None
    return rung.model_copy(update={"settings": settings})


def _spec(path: Path, spec_hash: str | None) -> Mapping[str, Any]:
    """The tables of a run's spec.toml, empty without one; names of foreign code stay names.

    Raises:
        EscadaError: not the spec that the run was trained with.
    """
    if not path.is_file():
        return {}
    table = read_toml(path, RESTORE)
    check_spec_hash(table_hash(table), spec_hash, path)
    return table


def _settings(spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The `Settings` of a run's spec.toml, if it has them."""
    tables = {table: spec[table] for table in Settings.model_fields if table in spec}
    return tables if len(tables) == len(Settings.model_fields) else None


def by_rung(ladder: Ladder, path: Path) -> Ladder:
    """One row per rung: further seeds are merged into the row of its first.

    Raises:
        EscadaError: a rung has a seed twice.
    """
    rows: dict[str, RungRow] = {}
    for row in ladder.rungs:
        first = rows.get(row.name)
        if first is None:
            rows[row.name] = row
            continue
        seeds = [first.seed, *(other.seed for other in first.other_seeds)]
        if row.seed in seeds:
            raise EscadaError(f"rung {row.name} with seed {row.seed} twice", where=path)
        other = SeedRun(seed=row.seed, run=row.run, bits_per_byte=row.bits_per_byte)
        rows[row.name] = first.model_copy(update={"other_seeds": (*first.other_seeds, other)})
    return ladder.model_copy(update={"rungs": list(rows.values())})


def _check_step(rung: RungRow, path: Path) -> None:
    """Check that a step's verdict agrees with its interval and p-value."""
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


def ladder_of_run(folder: Path, run: str = ".") -> Ladder:
    """One run, finished or not, as a ladder of one rung.

    `run` is its path relative to the ladder's folder.

    Raises:
        EscadaError: a file of the run is not valid JSON or TOML, or a value is invalid.
    """
    path = folder / RECORD_FILE
    record = read_record(path)
    recorded = record.to_json()

    def there(name: str) -> dict[str, JsonValue]:
        return read_json(folder / name) if (folder / name).is_file() else {}

    spec = _spec(folder / SPEC_FILE, record.spec_hash)
    test = there("evaluation/test.json")
    about = dict(spec.get("about", {}))
    rung = {
        **recorded,
        **{key: value for key, value in test.items() if key not in ("key", "tokens_per_second")},
        "run": run,
        "follows": about.get("follows"),
        "about": about or None,
        "settings": _settings(spec),
        "planned_seconds": planned_seconds(record),
        "validation_bits_per_byte": there("evaluation/validation.json").get("bits_per_byte"),
        "evaluation_tokens_per_second": test.get("tokens_per_second"),
        "unknown_characters": test.get("unknown", {}),
        "lexicon_share": there("samples/samples.json").get("lexicon_share"),
        "train_bits_per_byte": there("evaluation/train-sample.json").get("bits_per_byte"),
        "minimal_pairs": there("evaluation/pairs.json") or None,
        "cloze": there("evaluation/cloze.json") or None,
        "guardrails": there("evaluation/guardrails.json") or None,
        "precision": record.precision.name,
        "device": record.setup.device,
    }
    ladder = {
        **{key: recorded[key] for key in ("schema_version", "created", "preset", "budget", "seed")},
        "corpus": {
            "hash": record.corpus_hash,
            "profile": test.get("profile"),
            **{key: {"test": test[key]} for key in ("documents", "bytes") if key in test},
        },
        "rungs": [rung],
    }
    return check(Ladder, ladder, path)


def read_curve(run: Layout) -> list[CurvePoint]:
    """The validation rows of a run's log; see `read_log`.

    Raises:
        EscadaError: the log is damaged, or a row lacks a number; names the line.
    """
    points: list[CurvePoint] = []
    path = run.metrics
    for number, row in enumerate(read_log(run), start=1):
        if row.get("kind") == "validation":
            points.append(check(CurvePoint, row, f"{path}:{number}"))
    return points


def read_run(folder: Path, rung: RungRow) -> RunFiles:
    """Read a rung's run folder; absent files are listed in `missing`.

    Raises:
        EscadaError: a file exists but cannot be read.
    """
    run = folder / rung.run
    missing: list[str] = []

    def present(name: str) -> bool:
        found = (run / name).is_file()
        if not found:
            missing.append(name)
        return found

    curve = read_curve(Layout(run)) if present("metrics.jsonl") else []
    samples: list[SampleRow] = []
    sampler: dict[str, JsonValue] = {}
    name = "samples/samples.json"
    if present(name):
        table = read_json(run / name)
        check_version(table, run / name)
        found = check(_SamplesFile, table, run / name)
        samples, sampler = found.samples, {**found.settings, "seed": found.seed}
    environment = Environment()
    if present("env.json"):
        environment = check(Environment, read_json(run / "env.json"), run / "env.json")
    cost = rung.cost or read_costs(run / "cost.json")  # ladders before this key have it there only
    windows = _read_windows(run / "evaluation" / "windows-test.json")
    kept = run / "evaluation" / "acquisition.json"
    acquisition = _read(AcquisitionResult, kept) if kept.is_file() else None
    return RunFiles(
        run, curve, samples, sampler, environment, tuple(missing), cost, windows, acquisition
    )


def _read_windows(path: Path) -> WindowsResult | None:
    """The result of the window protocol; None if there is none, or it is of another version."""
    table = read_json(path) if path.is_file() else {}
    if table.get("schema_version") != WINDOWS_SCHEMA_VERSION:
        return None
    return check(WindowsResult, table, path)


def read_costs(path: Path) -> CostFigures | None:
    """The cost sheet at `path`; None if there is none, or it is of an older version.

    Raises:
        EscadaError: it exists but cannot be read.
    """
    table = read_json(path) if path.is_file() else {}
    if table.get("schema_version") != COST_SCHEMA_VERSION or "hours" not in table:
        return None
    return check(CostFigures, table, path)


def read_judge(folder: Path) -> Judgement | None:
    """The judge's verdict on a climb; None when nobody asked one.

    Raises:
        EscadaError: the file exists but cannot be read.
    """
    path = folder / JUDGE_FILE
    return _read(Judgement, path) if path.is_file() else None


def read_beside(folder: Path) -> Sequence[Publication]:
    """The published figures of others that are kept beside a climb.

    Raises:
        EscadaError: the file exists but is not one that escada wrote.
    """
    path = folder / BESIDE_FILE
    if not path.is_file():
        return ()
    table = read_json(path)
    if "kind" not in table:
        raise EscadaError("not written by escada", where=path, fix="move it away")
    return check(Publications, table, path).publications


def read_scale(folder: Path) -> Scale | None:
    """`folder/scale.json`; None if there is none.

    Raises:
        EscadaError: the file exists but cannot be read.
    """
    path = folder / SCALE_FILE
    return _read(Scale, path) if path.is_file() else None


def need_scale(folder: Path) -> Scale:
    """As `read_scale`; an EscadaError where there is none."""
    if (found := read_scale(folder)) is None:
        raise EscadaError(f"no {SCALE_FILE} here", where=folder, fix="name an `escada scale` --out")
    return found


def check_scale(
    scale: Scale,
    corpus_hash: str | None,
    preset: str | None,
    budget: str | None,
    specs: Mapping[str, str],
    where: Path,
) -> None:
    """Raise an EscadaError unless a scale is of a climb's corpus, preset and settings.

    `specs` are the hashes of the climb's specs by rung. They include the budget, so that only runs
    of the same one can be told to have other settings.
    """
    fix = "name the --out of an `escada scale` of the same, or move the file away"
    if (scale.corpus_hash, scale.preset) != (corpus_hash, preset):
        what = "this scale is of another corpus or preset than the climb"
        raise EscadaError(what, where=where, fix=fix)
    asked = Budget.parse(budget) if budget else None
    for run in scale.runs:
        same_budget = asked is not None and asked == Budget(run.budget_flops, "flop")
        if same_budget and not run.size and specs.get(run.rung, run.spec_hash) != run.spec_hash:
            what = f"this scale is of a {run.rung} with other settings than the climb's"
            raise EscadaError(what, where=where, fix=fix)


_Object = TypeVar("_Object", bound=BaseModel)


def check(kind: type[_Object], value: object, where: object) -> _Object:
    """Validate a JSON value as that kind of object, after making its strings printable.

    Raises:
        EscadaError: names the file, the key and the first problem.
    """
    return parse(kind, _showable_json(value), where)


def _read(kind: type[_Object], path: Path) -> _Object:
    """A file of this schema version."""
    table = read_json(path)
    check_version(table, path)
    return check(kind, table, path)


_CONTROLS = {*range(0x20), *range(0x7F, 0xA0)} - {ord("\t"), ord("\n")}
_SURROGATES = range(0xD800, 0xE000)
_DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_NOT_SHOWABLE = dict.fromkeys((*_CONTROLS, *_SURROGATES, *_DIRECTIONS), "\ufffd")
"""Characters that UTF-8 cannot encode, SVG forbids, or that change the text direction."""


def showable(text: str) -> str:
    """Text with unprintable characters replaced by U+FFFD."""
    return text.translate(_NOT_SHOWABLE)


def _showable_json(value: object) -> object:
    if isinstance(value, str):
        return showable(value)
    if isinstance(value, dict):
        table = cast(dict[str, object], value)
        return {showable(key): _showable_json(inner) for key, inner in table.items()}
    if isinstance(value, list):
        return [_showable_json(inner) for inner in cast(list[object], value)]
    return value


def check_version(table: Mapping[str, object], where: Path) -> None:
    """Refuse a file of another schema version.

    Raises:
        EscadaError: `schema_version` is absent or different.
    """
    found = table.get("schema_version")
    if found != SCHEMA_VERSION:
        raise EscadaError(
            f"schema_version {found!r} is not {SCHEMA_VERSION}",
            where=where,
            fix="write it again with this version of escada",
        )
