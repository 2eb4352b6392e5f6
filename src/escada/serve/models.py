"""The runs that are served, by model name.

models = open_models([Path("climb")], weights=["v5=bf16"])
models["v5"].batch
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from escada.errors import EscadaError, nearest
from escada.evaluation.task import ruler_context
from escada.files import read_json
from escada.generation.batch import Batch
from escada.generation.pieces import PieceTable
from escada.generation.weights import choose_weights
from escada.inside.look import views_of
from escada.inside.views import Views
from escada.report.changes import Changed, changes, settings_of, since_package
from escada.report.i18n import Language
from escada.runs.device import resolve_device
from escada.runs.layout import RESTORE
from escada.runs.run import Run, find_runs, open_run, runs_of_climb
from escada.serve.errors import ApiError
from escada.serve.kept import KeptSteps, read_kept
from escada.serve.schema import LadderRung, RungText, RungTokenizer
from escada.spec import Bilingual, rung_names
from escada.text.tokenizers import Tokenizer
from escada.typed_json import Interval, JsonObject, parse

LADDER = "ladder.json"


@dataclass(eq=False)
class LoadedModel:
    """A served model.

    Attributes:
        batch: its decoder; to be used by the scheduler's thread only.
        profile: cleaning profile of the run, applied to prompts too.
        created: Unix time of the run.
        fingerprint: identifies run and weights.
        ruler_context: the ruler's window for a stateless model, in tokens; None: the model's own.
        kept: what it wrote at the kept steps of its training; None where none were measured.
        pieces: text of its tokens, for the threads that build responses.
    """

    name: str
    tokenizer: Tokenizer
    batch: Batch
    profile: str
    created: int
    fingerprint: str
    rung: LadderRung
    ruler_context: int | None = None
    kept: KeptSteps | None = None
    pieces: PieceTable = field(init=False)

    def __post_init__(self) -> None:
        self.pieces = PieceTable(self.tokenizer)


def find_model(models: Mapping[str, LoadedModel], name: str) -> LoadedModel:
    """A model by name; an ApiError (404) if there is none."""
    if name not in models:
        raise ApiError(
            404,
            f"The model {name!r} does not exist; there are: {', '.join(models)}.",
            param="model",
            code="model_not_found",
        )
    return models[name]


def open_models(
    paths: Sequence[Path],
    *,
    weights: Sequence[str] = (),
    max_rows: int = 64,
    device: str = "auto",
) -> dict[str, LoadedModel]:
    """Load runs, and all finished rungs of climbs; models by name, in the order given.

    Args:
        paths: run folders, or folders that hold runs.
        weights: `KIND` for every model or `NAME=KIND` for one; see `choose_weights`.
        max_rows: of each model's batch.

    Raises:
        EscadaError: no run, two of the same name, or weights of an unavailable kind.
    """
    runs = named([run for path in paths for run in runs_at(path)])
    kinds = _weights_by_name(weights, list(runs))
    where = resolve_device(device)
    return {
        name: _open(name, run, kinds[name], max_rows, where, list(runs.values()))
        for name, run in runs.items()
    }


def runs_at(path: Path) -> list[Run]:
    """The run of a folder, or the finished runs of a climb's folder.

    In a folder without `ladder.json`, all finished runs except dry runs are taken.

    Raises:
        EscadaError: no run there.
    """
    if (path / LADDER).exists():
        runs = runs_of_climb(path / LADDER)
    elif (path / "record.json").exists():
        return [open_run(path)]
    else:
        order = rung_names()
        runs = [run for run in find_runs(path) if not run.record.dry_run]
        runs.sort(key=lambda run: order.index(run.spec.name) if run.spec.name in order else 99)
    runs = [run for run in runs if run.finished]
    if not runs:
        raise EscadaError(
            "no run to serve here", where=path, fix="give a run's folder, or a climb's with runs"
        )
    return runs


def named(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by rung name, or by rung and seed (`v5-seed1`) if a rung has several.

    Raises:
        EscadaError: two runs of one rung and one seed.
    """
    paths: dict[Path, Run] = {run.path.resolve(): run for run in runs}
    distinct = list(paths.values())
    counts = Counter(run.spec.name for run in distinct)
    by_name: dict[str, Run] = {}
    for run in distinct:
        rung = run.spec.name
        name = rung if counts[rung] == 1 else f"{rung}-seed{run.seed}"
        if name in by_name:
            raise EscadaError(
                f"two runs of {rung} with seed {run.seed}: {by_name[name].name} and {run.name}",
                where=run.path,
                fix="serve one of them",
            )
        by_name[name] = run
    return by_name


def _weights_by_name(options: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    kinds = dict.fromkeys(names, "fp32")
    for option in sorted(options, key=lambda text: "=" in text):  # for one model: last, to override
        name, equals, kind = option.rpartition("=")
        if equals and name not in kinds:
            raise EscadaError(f"no model {name!r} is served", where="--weights",
                              fix=nearest(name, names))  # fmt: skip
        kinds.update({name: kind} if equals else dict.fromkeys(names, kind))
    return kinds


def _open(
    name: str, run: Run, weights: str, max_rows: int, device: Any, served: Sequence[Run]
) -> LoadedModel:
    model = run.load_model(device=device)
    weights = choose_weights(weights, model, max_rows)
    try:
        batch = Batch(model, run.tokenizer, weights=weights, max_rows=max_rows)
    except EscadaError as error:
        raise EscadaError(f"{name}: {error.what}", where=error.where, fix=error.fix) from error
    return LoadedModel(
        name=name,
        tokenizer=run.tokenizer,
        batch=batch,
        profile=run.spec.text.profile,
        created=_created(run),
        fingerprint=f"escada-{run.record.key[:12]}-{weights}",
        rung=ladder_rung(
            run,
            name,
            context_tokens=model.context_tokens,
            weights=weights,
            inside=views_of(batch.model),
            served=served,
        ),
        ruler_context=ruler_context(run),
        kept=read_kept(run),
    )


def _changes(run: Run, served: Sequence[Run]) -> Bilingual | None:
    """What changed from the rung that it follows, else the author's note."""
    spec = run.spec
    follows = spec.about.follows
    if follows is None:
        return spec.about.changes
    other = next((one.spec for one in served if one.spec.name == follows), None)
    if other is None:
        changed = since_package(settings_of(spec), follows, spec.preset)
    else:
        changed = Changed(follows, None, changes(settings_of(other), settings_of(spec)))
    if changed is None:
        return spec.about.changes
    english, portuguese = (
        f"{changed.heading(language)}. {changed.sentence(language)}"
        for language in (Language.load("en"), Language.load("pt"))
    )
    return Bilingual(en=english, pt=portuguese)


def _created(run: Run) -> int:
    """Seconds since 1970."""
    try:
        return int(datetime.fromisoformat(run.record.created).timestamp())
    except (ValueError, OverflowError) as error:
        what = f"damaged: created: {run.record.created!r} is no date"
        raise EscadaError(what, where=run.layout.record, fix=RESTORE) from error


class _Figures(JsonObject):
    """What the playground shows of the test documents."""

    bits_per_byte: float | None = None
    ci95: Interval | None = None


def ladder_rung(
    run: Run,
    name: str,
    *,
    context_tokens: int | None,
    weights: str,
    inside: Views,
    served: Sequence[Run] = (),
) -> LadderRung:
    """A rung's description for the playground; `served` are all runs there."""
    about, record = run.spec.about, run.record
    path = run.layout.evaluation("test")
    test = parse(_Figures, read_json(path), path) if path.exists() else _Figures()
    return LadderRung(
        name=name,
        rung=run.spec.name,
        preset=run.spec.preset,
        seed=run.seed,
        title=about.title,
        follows=about.follows,
        about=RungText(
            objective=about.objective, changes=_changes(run, served), expected=about.expected
        ),
        parameters=record.parameters,
        bits_per_byte=test.bits_per_byte,
        interval=test.ci95,
        context_tokens=context_tokens,
        tokenizer=RungTokenizer(kind=record.tokenizer.kind, vocab_size=record.tokenizer.vocab_size),
        training_tokens=record.training_tokens,
        training_seconds=record.training_seconds,
        hash=record.key,
        run=run.name,
        weights=weights,
        inside=inside,
        kept=run.layout.evaluation("acquisition").exists(),
    )
