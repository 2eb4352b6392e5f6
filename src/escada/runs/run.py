"""A run: one training with its folder.

    run = open_run(Path("runs/2026-11-23-v5-laptop-3fa9c1"))
    model, tokenizer = run.load_model("best"), run.tokenizer

A run's key is a hash of all that decides the result (spec, seed, data, code); a climb recognises a
finished run by it, never by a date.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import tomli_w
import torch

from escada.code_hash import bare_code, code_hash, imports_of
from escada.errors import EscadaError, nearest
from escada.extensions import UntrustedError, add_folder, trusts_all
from escada.files import (
    check_tokenizer_sizes,
    content_hash,
    new_directory,
    read_json,
    read_toml,
    utc_now,
    write_sealed_json,
    write_text,
)
from escada.models.contract import LanguageModel, build_model
from escada.runs.checkpoint import Which, load_checkpoint, load_weights, weights_sha256
from escada.runs.environment import environment
from escada.runs.layout import RESTORE, Layout, read_whole
from escada.runs.model_code import deciding_code
from escada.runs.record import (
    SCHEMA_VERSION,
    RecordedTokenizer,
    RunRecord,
    check_spec_hash,
    read_record,
)
from escada.spec import MODELS, Spec, chosen, parse_spec
from escada.text.tokenizers import Tokenizer, load_tokenizer
from escada.typed_json import JsonObject, parse

DECIDES_WEIGHTS = (
    *("escada.spec", "escada.toml_tables", "escada.budget", "escada.models", "escada.training"),
    *("escada.text.tokenizers", "escada.text.token_cache", "escada.text.shards"),
    *("escada.text.batches", "escada.text.permutation"),
)
ONLY_TELLS = (
    *(f"escada.training.{name}" for name in ("launch", "memory", "metrics", "plan")),
    "escada.models.packed_linear",
)
"""Modules of these that change no weight: logging, planning, or decoding only."""


def training_code_hash(spec: Spec) -> str:
    """Hash of the code that decides the weights; for external models see `deciding_code`."""
    ours: list[str] = []
    theirs: list[str] = []
    for place, name in chosen(spec):
        if (file := place.file(name)) is None:
            ours.append(place.module_name(name))
        else:
            ours += imports_of(file)
            source = file.read_text(encoding="utf-8")
            theirs.append(deciding_code(source) if place is MODELS else bare_code(file))
    return content_hash(
        [
            code_hash("escada.training.run", *ours, within=DECIDES_WEIGHTS, without=ONLY_TELLS),
            theirs,
        ]
    )


def run_key(
    spec: Spec,
    *,
    seed: int,
    corpus_hash: str,
    warm_start: str | None = None,
    continued: str | None = None,
) -> str:
    """Identity of a training: equal keys give equal weights (on one machine).

    A training that keeps further weights has a key of its own, so that a run without them does not
    pass for it.
    """
    keep = spec.train.keep
    return content_hash(
        ({"continued": continued} if continued else {})
        | ({"keep": keep} if keep != "last" else {})
        | {
            "spec": spec.hash,
            "seed": seed,
            "corpus": corpus_hash,
            "warm_start": warm_start,
            "code": training_code_hash(spec),
        }
    )


@dataclass
class Run:
    """An open run. `record` is a copy of record.json; `update` writes it back."""

    layout: Layout
    spec: Spec
    record: RunRecord = field(repr=False)
    _loaded: dict[Which, str] = field(default_factory=dict[Which, str], repr=False, compare=False)

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.layout.path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def seed(self) -> int:
        """Seed of weights, batches and dropout."""
        return self.record.seed

    @property
    def finished(self) -> bool:
        """Whether the training is complete."""
        return self.record.status == "finished"

    @property
    def corpus_hash(self) -> str:
        """Hash of the training corpus."""
        return self.record.corpus_hash

    @property
    def data_path(self) -> Path:
        """Folder of the training corpus."""
        return Path(str(read_whole(self.layout.data, ("path",))["path"]))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The run's own copy of the tokenizer."""
        return open_tokenizer(self.layout.tokenizer)

    def new_model(self) -> LanguageModel:
        """The untrained model, from the run's seed."""
        return build_model(self.spec.model, self.tokenizer.vocab_size, self.seed)

    def load_model(
        self, which: Which = "best", device: torch.device | str = "cpu"
    ) -> LanguageModel:
        """A trained model in evaluation mode.

        Raises:
            EscadaError: no checkpoint, damaged, or of another spec.
        """
        checkpoint = load_checkpoint(
            self.layout.checkpoints,
            which,
            spec_hash=self.spec.hash,
            device=torch.device(device),
        )
        model = self.new_model().to(device)
        load_weights(model, checkpoint.weights, self.path)
        if checkpoint.weights_sha256:
            self._loaded[which] = checkpoint.weights_sha256
        return model.eval()

    def weights_sha256(self, which: Which) -> str:
        """SHA-256 of the weights that `load_model` loaded last, else of the checkpoint as it is.

        They differ when the run is trained meanwhile.

        Raises:
            EscadaError: no checkpoint, or damaged.
        """
        return self._loaded.get(which) or weights_sha256(self.layout.checkpoints, which)

    def update(self, **values: object) -> None:
        """Change values of record.json."""
        self.record = self.record.model_copy(update=values)
        write_sealed_json(self.layout.record, self.record.to_json())


class _OfClimb(JsonObject):
    run: str


class _Ladder(JsonObject):
    rungs: list[_OfClimb]


def runs_of_climb(ladder: Path) -> list[Run]:
    """The runs that a climb's ladder.json names, in its order.

    Raises:
        EscadaError: the file or a run is damaged, or a run is missing.
    """
    rows = parse(_Ladder, read_whole(ladder, ("rungs",)), ladder).rungs
    return [open_run(ladder.parent / row.run) for row in rows]


def open_tokenizer(folder: Path) -> Tokenizer:
    """Load a tokenizer that others may have made.

    Raises:
        EscadaError: no tokenizer there, or its files are too large, damaged or of another version.
    """
    check_tokenizer_sizes(folder)
    try:
        return load_tokenizer(folder)
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
        what = f"not a tokenizer: {' '.join(str(error).split()) or type(error).__name__}"
        raise EscadaError(what, where=folder, fix=RESTORE) from error


def module_folders(spec: Spec) -> list[str]:
    """The folders of the modules from outside the package that a spec names."""
    folders = {place.folder(name) for place, name in chosen(spec)}  # None for modules of ours
    return sorted(str(folder) for folder in folders if folder is not None)


def create_run(
    out: Path,
    spec: Spec,
    tokenizer: Tokenizer,
    *,
    seed: int,
    key: str,
    data: Mapping[str, object],
    recorded: Mapping[str, object],
    suffix: str = "",
) -> Run:
    """Make a run's folder below `out`, atomically.

    Args:
        data: for data.json: `path`, `corpus_hash`, `stream_hash`, …
        recorded: further values of record.json, needed to resume.

    Raises:
        EscadaError: the folder exists, or cannot be written.
    """
    today = datetime.date.today().isoformat()
    path = out / f"{today}-{spec.name}-{spec.preset}-{key[:6]}{suffix}"
    if path.exists():
        raise EscadaError(
            "run folder exists",
            where=path,
            fix=f"go on with `escada resume {path}`, or choose another --out or --seed",
        )
    record = RunRecord.model_validate(
        {
            "schema_version": SCHEMA_VERSION,
            "key": key,
            "name": spec.name,
            "preset": spec.preset,
            "seed": seed,
            "status": "training",
            "spec_hash": spec.hash,
            "corpus_hash": data["corpus_hash"],
            "tokenizer": RecordedTokenizer(
                kind=tokenizer.kind, vocab_size=tokenizer.vocab_size, hash=tokenizer.hash
            ),
            "budget": str(spec.train.budget),
            "module_folders": module_folders(spec),
            "created": utc_now(),
            **recorded,
        }
    )
    with new_directory(path) as folder:
        layout = Layout(folder)
        header = f"# Resolved by escada; sha256 of its content: {spec.hash}\n"
        write_text(layout.spec, header + tomli_w.dumps(spec.to_table()))
        write_sealed_json(layout.record, record.to_json())
        write_sealed_json(layout.environment, environment().model_dump(mode="json"))
        write_sealed_json(layout.data, {"schema_version": SCHEMA_VERSION, **data})
        tokenizer.save(layout.tokenizer)
    return Run(Layout(path), spec, record)


def open_run(path: Path) -> Run:
    """Open a run's folder.

    Raises:
        EscadaError: not a run, damaged, of another schema, or its spec was edited.
        UntrustedError: it names code from outside escada, which the user did not (`extensions`).
    """
    layout = Layout(path)
    if not layout.record.exists():
        siblings = [folder.name for folder in _run_folders(path.parent)]
        near = nearest(path.name, siblings)
        hint = near if "?" in near else f"`escada runs {path.parent}` lists those below it"
        raise EscadaError("not a run folder", where=path, fix=hint)
    record = read_record(layout.record)
    if trusts_all():
        for folder in record.module_folders:
            add_folder(Path(folder))
    try:
        spec = parse_spec(read_toml(layout.spec, RESTORE), layout.spec)
    except UntrustedError as error:
        raise UntrustedError(error.what, where=layout.spec, fix=error.fix) from None
    check_spec_hash(spec.hash, record.spec_hash, layout.spec)
    return Run(layout, spec, record)


def find_runs(folder: Path, key: str | None = None) -> Iterator[Run]:
    """The runs directly below a folder, sorted by name; with `key`, others are not opened."""
    for path in _run_folders(folder):
        if key is None or read_json(Layout(path).record).get("key") == key:
            yield open_run(path)


def run_of(folder: Path, key: str, *, dry_run: bool = False) -> Run | None:
    """The run of a key below a folder, a finished one first."""
    candidates = [run for run in find_runs(folder, key) if run.record.dry_run == dry_run]
    return max(candidates, key=lambda run: (run.finished, run.name), default=None)


def _run_folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [
        path
        for path in sorted(folder.iterdir())
        if not path.name.startswith(".") and Layout(path).record.exists()
    ]
