"""A rung as data: one strict TOML file declares text, tokenizer, model, training and evaluation.

    spec = load_spec("v5", preset="laptop", overrides=["train.learning_rate=1e-3"])

A spec file is the roadmap's `full` preset; `[presets.NAME]` tables override its values. The result
is resolved (every value present), frozen and hashed: specs with the same hash train the same model
from the same seed and data. For an unknown key the error suggests the closest known one.

The `[model]` table is defined by the module that its `kind` names: `kind = "transformer"` is
`escada.models.transformer`, a dotted name any module beside the spec file or on the path. The
module is imported when a spec is loaded, and defines `Config` (a `ModelConfig`) and `Model`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, SerializeAsAny

from escada.budget import Budget, BudgetField, Warmup, WarmupField
from escada.errors import EscadaError, nearest
from escada.extensions import ExtensionPoint, add_folder, trust
from escada.files import content_hash
from escada.toml_tables import StrictTable, Table, field_keys, overlay, parse_assignment, validated

SCHEMA_VERSION = 1
FULL = "full"
"""The preset of a spec file without overrides."""


class Bilingual(StrictTable):
    """A sentence for the report in both of its languages."""

    en: str
    pt: str


class About(StrictTable):
    """What a rung is for. Not part of the hash."""

    title: Bilingual
    objective: Bilingual
    expected: Bilingual
    changes: Bilingual | None = None
    """The author's note; what changed is derived from the specs (`escada.report.changes`)."""
    tests: tuple[str, ...] = ()
    """Keys that the objective is about, such as `model.dropout`: one that equals the followed
    rung's is not judged."""
    follows: str | None = None
    """The rung that this one is compared with."""
    also_against: tuple[str, ...] = ()
    """Further rungs to compare with, such as an earlier best."""


TESTABLE = ("tokenizer.", "model.", "train.")
"""Tables whose keys `About.tests` may name."""


class TextSpec(StrictTable):
    """How documents are cleaned."""

    profile: Literal["reference", "roadmap"] = "reference"


class TokenizerSpec(StrictTable):
    """How text becomes ids."""

    kind: str
    """`characters`, `bytes`, `bpe`, `unigram`, or a module on the path."""
    vocab_size: int | None = Field(default=None, ge=260, le=65_536)
    """Size with special tokens and byte pieces, for `bpe` and `unigram` only."""
    min_count: int = Field(default=3, ge=1)
    """`characters`: those seen fewer times in training become UNK."""
    character_coverage: float = Field(default=0.9995, gt=0.9, le=1.0)
    """`bpe`, `unigram`: share of training characters with their own piece; others become bytes."""


class ModelConfig(StrictTable):
    """Base class of `[model]` tables, extended by each model's module."""

    kind: str


Share = Annotated[float, Field(ge=0, lt=1)]


def _auto_or_bool(value: object) -> object:
    if value != "auto" and not isinstance(value, bool):
        raise ValueError("neither 'auto' nor true nor false")
    return value


AutoOrBool = Annotated[Literal["auto"] | bool, BeforeValidator(_auto_or_bool)]


class Rates(StrictTable):
    """Initial learning rates by role (`escada.models.roles`); None: `train.learning_rate`."""

    matrices: float | None = Field(default=None, gt=0)
    embeddings: float | None = Field(default=None, gt=0)
    tables: float | None = Field(default=None, gt=0)
    output: float | None = Field(default=None, gt=0)
    vectors: float | None = Field(default=None, gt=0)


class TrainSpec(StrictTable):
    """How the weights are trained."""

    budget: BudgetField
    window_tokens: int = Field(ge=2, le=2**20)
    """Predictions per training sequence; targets are the inputs shifted by one."""
    stride_tokens: int = Field(ge=1, le=2**20)
    """Grid of window starts; each epoch tiles the stream from another offset on it."""
    objective: Literal["all", "last"] = "all"
    """Trained positions of a window; `last` reproduces the origin."""
    batch_sequences: int = Field(ge=1, le=2**20)
    """Sequences per optimizer step."""
    micro_batch_sequences: Annotated[int, Field(ge=1)] | Literal["auto"] | None = None
    """Sequences per forward pass; "auto": as many as fit into memory; None: the whole batch, or as
    many as fit."""
    optimizer: str = "adamw"
    """`adam`, `adamw`, `muon`, or a module on the path."""
    learning_rate: float = Field(gt=0)
    rates: Rates = Rates()
    """Initial rates by role, in place of `learning_rate`."""
    orthogonal_steps: int = Field(default=5, ge=1)
    """Newton-Schulz iterations per step of `muon`."""
    betas: tuple[Share, Share] = (0.9, 0.999)
    epsilon: float = Field(default=1e-8, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    """On matrices only: never on norms, biases or embeddings."""
    warmup: WarmupField = Warmup(0, "%")
    schedule: str = "constant"
    """`constant`, `cosine`, `trapezoid`, or a module on the path."""
    min_learning_rate_ratio: float = Field(default=0.1, ge=0, le=1)
    """Final rate of the cosine, relative to the initial one."""
    decay: WarmupField = Warmup(60, "%")
    """The last part of a `trapezoid`, over which the rate falls linearly to zero."""
    clip_norm: float | None = Field(default=None, gt=0)
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: AutoOrBool = "auto"
    """`torch.compile` for the training step: true, false, or "auto" (where it pays)."""
    shard: AutoOrBool = "auto"
    """Divide weights, gradients and optimizer state among the processes (FSDP2): true, false, or
    "auto" (if they take more than half of a device's memory)."""
    keep: Literal["last", "log"] = "last"  # only tells
    """Weights that stay: the last and the best; "log" also keeps those of at most 12 steps, evenly
    spaced in log(step), to measure later what was learned when (`escada.runs.kept`)."""
    recompute: bool = False
    """Keep only the inputs of the model's layers for the backward pass, which repeats each layer's
    forward pass (activation checkpointing): less memory, about a third more time."""
    validations: int = Field(default=10, ge=1)
    """Number of validations, evenly spaced over the training."""
    validation_bytes: int = Field(default=65_536, ge=1)
    """Reference bytes of the sample for scheduled validations (the ruler uses all documents)."""
    early_stopping: int | None = Field(default=None, ge=1)
    """Stop after this many validations without a better loss; None: never."""

    def rate(self, role: str) -> float:
        """The initial rate of a role of `escada.models.roles`."""
        named: float | None = getattr(self.rates, role)
        return self.learning_rate if named is None else named

    @property
    def known_micro_batch(self) -> int | None:
        """The micro-batch, if the spec gives a number."""
        micro = self.micro_batch_sequences
        return micro if isinstance(micro, int) else None


LATER_KEYS = ("compile", "rates", "orthogonal_steps", "decay", "shard", "recompute")
"""Keys of `[train]` added after the first runs."""


class EvaluationSpec(StrictTable):
    """How the ruler reads documents."""

    context_tokens: int | None = Field(default=None, ge=2, le=2**20)
    """Window of models without recurrent state; None: the training window."""


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)]
"""Name of a rung or a preset; part of a run folder's name."""


class Spec(StrictTable):
    """A resolved rung."""

    schema_version: Literal[1] = 1
    name: Name
    preset: Name = FULL
    about: About
    text: TextSpec = TextSpec()
    tokenizer: TokenizerSpec
    model: SerializeAsAny[ModelConfig]
    train: TrainSpec
    evaluation: EvaluationSpec = EvaluationSpec()

    def to_table(self) -> Table:
        """The spec as plain JSON values, which `parse_spec` reads back."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def hash(self) -> str:
        """See `table_hash`."""
        return table_hash(self.to_table())

    def with_micro_batch(self, sequences: int) -> Spec:
        """The same rung with another micro-batch."""
        update = {"micro_batch_sequences": sequences}
        return self.model_copy(update={"train": self.train.model_copy(update=update)})

    def with_budget(self, budget: Budget) -> Spec:
        """The same rung with another budget."""
        return self.model_copy(update={"train": self.train.model_copy(update={"budget": budget})})


def table_hash(table: Mapping[str, Any]) -> str:
    """SHA-256 of a resolved spec, read from a file or not: of everything but the prose.

    Keys in `LATER_KEYS` count only if used, so that earlier runs keep their hash; `train.keep`,
    which changes no weight, never counts.
    """
    counted = {name: value for name, value in table.items() if name != "about"}
    if isinstance(train := table.get("train"), Mapping):
        unused = TrainSpec.model_construct().model_dump(
            mode="json", exclude_none=True, include=set(LATER_KEYS)
        )
        counted["train"] = {
            name: value
            for name, value in cast("Mapping[str, Any]", train).items()
            if name not in unused or value != unused[name]
            if name != "keep"  # only tells
        }
    return content_hash(counted)


MODELS = ExtensionPoint(
    "escada.models",
    "model kind",
    offers=("Config", "Model"),
    where="model.kind",
    page="docs/adding-a-rung.md",
    in_folders=True,
)
OPTIMIZERS = ExtensionPoint(
    "escada.training.optimizers",
    "optimizer",
    offers=("build",),
    where="train.optimizer",
    in_folders=True,
)
SCHEDULES = ExtensionPoint(
    "escada.training.schedules",
    "schedule",
    offers=("factor",),
    where="train.schedule",
    in_folders=True,
)
TOKENIZERS = ExtensionPoint(
    "escada.text.tokenizers",
    "tokenizer",
    offers=("train", "load"),
    where="tokenizer.kind",
    in_folders=True,
)


def chosen(spec: Spec) -> list[tuple[ExtensionPoint, str]]:
    """The modules named by a spec, whose code affects the weights."""
    return [
        (MODELS, spec.model.kind),
        (OPTIMIZERS, spec.train.optimizer),
        (SCHEDULES, spec.train.schedule),
        (TOKENIZERS, spec.tokenizer.kind),
    ]


def parse_spec(table: Mapping[str, Any], where: object) -> Spec:
    """Validate a resolved table (presets already applied).

    Raises:
        EscadaError: names the key, the file and, for an unknown key, the closest known one.
    """
    sections = dict(table)
    found: object = sections.get("model")
    model_table = cast(Table, found if isinstance(found, dict) else {})
    if "kind" not in model_table:
        raise EscadaError("the spec has no model.kind", where=where, fix="add [model] kind = …")
    # The model comes last: its module imports torch, and a typo should not wait for that.
    model_keys = [f"model.{key}" for key in model_table]
    written = list(dict.fromkeys([*field_keys(Spec), *model_keys]))
    plain = {"model": ModelConfig(kind=str(model_table["kind"]))}
    validated(Spec, sections | plain, where, written)
    module = MODELS.load(str(model_table["kind"]))
    config_type = cast(type[ModelConfig], module.Config)
    known = list(dict.fromkeys([*field_keys(Spec), *field_keys(config_type, "model.")]))
    config = validated(config_type, model_table, where, known, key="model")
    spec = validated(Spec, sections | {"model": config}, where, known)
    _check_together(spec, where)
    _check_tests(spec, [key for key in known if key.startswith(TESTABLE)], where)
    return spec


def _check_tests(spec: Spec, known: Sequence[str], where: object) -> None:
    for key in spec.about.tests:
        if key not in known:
            raise EscadaError(
                f"about.tests: unknown key {key!r}", where=where, fix=nearest(key, known)
            )


def _check_together(spec: Spec, where: object) -> None:
    for place, name in chosen(spec):
        if not place.is_ours(name):
            place.load(name)
    tokenizer, train = spec.tokenizer, spec.train
    subwords = tokenizer.kind in ("bpe", "unigram")
    if subwords and tokenizer.vocab_size is None:
        raise EscadaError(
            f"tokenizer.vocab_size is needed for {tokenizer.kind!r}",
            where=where,
            fix="for example 4096",
        )
    if tokenizer.kind in ("characters", "bytes") and tokenizer.vocab_size is not None:
        raise EscadaError(
            f"tokenizer.vocab_size has no meaning for {tokenizer.kind!r}",
            where=where,
            fix="remove it",
        )
    micro = train.micro_batch_sequences
    if isinstance(micro, int) and train.batch_sequences % micro:
        raise EscadaError(
            f"train.batch_sequences {train.batch_sequences} is not a multiple of "
            f"train.micro_batch_sequences {micro}",
            where=where,
            fix="choose a divisor",
        )
    context = getattr(spec.model, "context_tokens", None)
    if isinstance(context, int) and train.window_tokens > context:
        raise EscadaError(
            f"train.window_tokens {train.window_tokens} exceeds model.context_tokens {context}",
            where=where,
            fix="lower the one or raise the other",
        )


@cache
def _follows() -> dict[str, str | None]:
    """The predecessor of each rung of the package."""
    files = resources.files("escada.rungs").iterdir()
    return {
        file.name.removesuffix(".toml"): tomllib.loads(file.read_text("utf-8"))["about"].get(
            "follows"
        )
        for file in sorted(files, key=lambda file: file.name)
        if file.name.endswith(".toml")
    }


def rung_names() -> list[str]:
    """The rungs of the package, each after the one that it follows, then by name."""
    follows = _follows()

    def in_order(names: list[str]) -> Iterator[str]:
        for name in names:
            yield name
            yield from in_order([above for above, below in follows.items() if below == name])

    return list(in_order([name for name, below in follows.items() if below not in follows]))


TOP_OF_LADDER = "v_next_counts"
"""A climb takes this rung and those that lead to it, unless others are named."""


def steps_to(rung: str) -> list[str]:
    """A rung of the package and its predecessors, the lowest first."""
    below = _follows()[rung]
    return [*(steps_to(below) if below else ()), rung]


def read_spec_table(rung: str) -> tuple[Table, str]:
    """The raw table of a rung of the package or of a spec file, and its location.

    Raises:
        EscadaError: unknown rung, missing file, or not TOML.
    """
    if _is_file(rung):
        path = Path(rung)
        where = str(path)
        try:
            data = path.read_bytes()
        except IsADirectoryError as error:
            fix = "check the path: name a .toml file"
            raise EscadaError(
                "spec file not found: this is a folder", where=path, fix=fix
            ) from error
        except FileNotFoundError as error:
            fix = "check the path, or name a rung: " + ", ".join(rung_names())
            raise EscadaError("spec file not found", where=path, fix=fix) from error
    else:
        if rung not in rung_names():
            raise EscadaError(f"unknown rung {rung!r}", fix=_rung_fix(rung))
        where = f"rung {rung}"
        data = resources.files("escada.rungs").joinpath(f"{rung}.toml").read_bytes()
    try:
        return tomllib.loads(data.decode("utf-8")), where
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EscadaError(f"not a TOML file: {error}", where=where, fix="fix it") from error


def _is_file(rung: str) -> bool:
    return rung.endswith(".toml") or "/" in rung


def _rung_fix(rung: str) -> str:
    if Path(f"{rung}.toml").is_file():
        return f"do you mean the file {rung}.toml?"
    return nearest(rung, rung_names()) + " (a spec file ends in .toml)"


def _preset_fix(preset: str, known: list[str], where: str) -> str:
    near = nearest(preset, known)
    if "?" in near:
        return near
    return f"give --preset {known[0]}, or add a table [presets.{preset}] with what it changes"


def load_spec(rung: str, *, preset: str = FULL, overrides: Sequence[str] = ()) -> Spec:
    """Load and resolve a rung: its file, then the preset, then the `KEY=VALUE` overrides.

    The modules that it names are the caller's own: they are imported, from the file's folder too.

    Args:
        rung: a name from `rung_names()` or the path of a `.toml` file.
        preset: `full`, or a table of `[presets]` in the file.
        overrides: such as `train.learning_rate=3e-4`.

    Raises:
        EscadaError: see `read_spec_table` and `parse_spec`; or an unknown preset.
    """
    table, where = read_spec_table(rung)
    presets = cast(Table, table.pop("presets", {}))
    if preset != FULL:
        if preset not in presets:
            raise EscadaError(
                f"unknown preset {preset!r}; there are: {', '.join([FULL, *presets])}",
                where=where,
                fix=_preset_fix(preset, [FULL, *presets], where),
            )
        table = overlay(table, presets[preset])
    for text in overrides:
        key, value = parse_assignment(text, "--set", "train.learning_rate=3e-4")
        if key.partition(".")[0] == "preset":
            raise EscadaError(f"--set {text!r} chooses no preset", fix="use --preset NAME")
        for part in reversed(key.split(".")):
            value = {part: value}
        table = overlay(table, value)
    if own := _external(table):
        trust(*own)
        if _is_file(rung):
            add_folder(Path(rung).resolve().parent)
    return parse_spec(overlay(table, {"preset": preset}), where)


def _external(table: Table) -> list[str]:
    """The modules from outside the package that a table of a spec names."""
    found: list[str] = []
    for place in (MODELS, OPTIMIZERS, SCHEDULES, TOKENIZERS):
        section, _, key = place.where.partition(".")
        part: object = table.get(section)
        name = cast(Table, part).get(key) if isinstance(part, dict) else None
        if isinstance(name, str) and not place.is_ours(name):
            found.append(name)
    return found
