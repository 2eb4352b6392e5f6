"""What changed between a rung and the one it follows, derived from their resolved specs.

    changed = changed_in(rung, ladder)      # against the run that it is compared with in this climb
    changed.sentence(language)              # "Model: embedding 32 → 48, hidden state 128 → 192."

A rung's prose describes its `full` preset at best; these changes are those of two runs, or of two
rungs under one preset. A change of kind (tokenizer, model, optimizer, schedule) is one change that
carries the new kind's settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, Field, JsonValue

from escada.budget import Warmup
from escada.extensions import ExtensionPoint
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow, Settings
from escada.spec import (
    FULL,
    MODELS,
    OPTIMIZERS,
    SCHEDULES,
    TOKENIZERS,
    ModelConfig,
    Spec,
    TokenizerSpec,
    TrainSpec,
    load_spec,
    read_spec_table,
    rung_names,
)
from escada.typed_json import JsonObject

KINDS: dict[str, ExtensionPoint] = {
    "tokenizer.kind": TOKENIZERS,
    "model.kind": MODELS,
    "train.optimizer": OPTIMIZERS,
    "train.schedule": SCHEDULES,
}
"""Keys that name a module."""
ONLY_FOR: dict[str, tuple[str, tuple[str, ...]]] = {
    "tokenizer.vocab_size": ("tokenizer.kind", ("bpe", "unigram")),
    "tokenizer.min_count": ("tokenizer.kind", ("characters",)),
    "tokenizer.character_coverage": ("tokenizer.kind", ("bpe", "unigram")),
    "train.orthogonal_steps": ("train.optimizer", ("muon",)),
    "train.min_learning_rate_ratio": ("train.schedule", ("cosine",)),
    "train.decay": ("train.schedule", ("trapezoid",)),
}
"""Keys that only some kinds of the package read. A kind from outside may read them all."""
UNTOLD = tuple(
    f"train.{key}" for key in ("micro_batch_sequences", "compile", "shard", "recompute", "keep")
)
"""Keys that decide how fast a step is, or what stays of it, not what it learns."""


TABLES = ("tokenizer", "model", "train")


class Change(JsonObject):
    """A key of the spec whose value differs; None: it has none.

    Attributes:
        settings: of a new kind: values of the keys that the former kind does not have.
        former_settings: of the former kind: values of the keys that the new kind does not have.
    """

    key: str
    before: JsonValue = None
    after: JsonValue = None
    settings: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    former_settings: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    @property
    def table(self) -> str:
        """The table of its key: `tokenizer`, `model` or `train`."""
        return self.key.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Changed:
    """What changed from one rung to another.

    Attributes:
        against: the rung before.
        preset: if that is a rung of the package instead of a run: under which preset.
        parameters: of both models, if known.
    """

    against: str
    preset: str | None
    changes: Sequence[Change]
    parameters: tuple[int, int] | None = None

    def heading(self, language: Language) -> str:
        """`What changed from v3`."""
        key = "changes.since" if self.preset is None else "changes.since_preset"
        return language.say(key, against=self.against, preset=self.preset)

    def sentence(self, language: Language) -> str:
        """All changes, the tokenizer's first."""
        said = [
            f"{language.say(f'changes.{table}')}: {language.separator.join(phrases)}."
            for table in TABLES
            if (phrases := [_phrase(one, language) for one in self.changes if one.table == table])
        ]
        before, after = map(language.compact, self.parameters or (None, None))
        if before != after:
            said.append(language.say("changes.parameters", before=before, after=after))
        return " ".join(said) or language.say("changes.nothing")

    def untested(self, keys: Iterable[str]) -> list[str]:
        """Those of the keys that did not change."""
        changed = [key for one in self.changes for key in (one.key, *one.settings)]
        return [key for key in keys if not any(f"{one}.".startswith(f"{key}.") for one in changed)]


def settings_of(spec: Spec) -> Settings:
    """The settings of a resolved spec."""
    return Settings.model_validate(spec.to_table())


def changed_in(rung: RungRow, ladder: Ladder) -> Changed | None:
    """Against the rung that it is compared with in the ladder, else as `since_package`."""
    step = rung.beats_previous
    name = step.against if step else rung.follows
    other = next((row for row in ladder.rungs if row.name == name), None)
    if rung.settings is None or name is None:
        return None
    if other is None:
        return since_package(rung.settings, name, rung.preset)
    if other.settings is None:
        return None
    counts = (other.parameters, rung.parameters)
    return Changed(
        name,
        None,
        changes(other.settings, rung.settings),
        (counts[0], counts[1]) if counts[0] is not None and counts[1] is not None else None,
    )


def since_package(settings: Settings, follows: str | None, preset: str | None) -> Changed | None:
    """Against a rung of the package under the same preset, whatever the budgets."""
    before = packaged(follows, preset)
    if before is None:
        return None
    budget = {name: value for name, value in settings.train.items() if name == "budget"}
    former = settings_of(before)
    former = former.model_copy(update={"train": former.train | budget})
    return Changed(before.name, before.preset, changes(former, settings))


def packaged(name: str | None, preset: str | None) -> Spec | None:
    """A rung of the package under a preset; None if there is no such rung or preset."""
    if name is None or preset is None or name not in rung_names():
        return None
    presets = (FULL, *read_spec_table(name)[0].get("presets", {}))
    return load_spec(name, preset=preset) if preset in presets else None


def changes(before: Settings, after: Settings) -> list[Change]:
    """The keys that differ: of tokenizer, model and training, in the spec's order."""
    old, new = _read_values(before), _read_values(after)
    differing = [key for key in dict.fromkeys([*new, *old]) if old.get(key) != new.get(key)]
    switched = [key for key in differing if key in KINDS]
    of_kind = {
        key: kind
        for key in differing
        if (kind := _kind_key(key)) in switched and not (key in old and key in new)
    }
    found = [
        Change(
            key=key,
            before=old.get(key),
            after=new.get(key),
            settings={k: new[k] for k, kind in of_kind.items() if kind == key and k in new},
            former_settings={k: old[k] for k, kind in of_kind.items() if kind == key and k in old},
        )
        for key in differing
        if key not in of_kind
    ]
    return sorted(found, key=lambda change: TABLES.index(change.table))


def _kind_key(key: str) -> str | None:
    """The key of the kind that decides whether this one is read; None: nothing does."""
    if key in KINDS:
        return None
    if (only := _only_for(key)) is not None:
        return only[0]
    return "model.kind" if key.startswith("model.") else None


def _only_for(key: str) -> tuple[str, tuple[str, ...]] | None:
    return ONLY_FOR.get(".".join(key.split(".")[:2]))


def _read_values(settings: Settings) -> dict[str, JsonValue]:
    """Every value that is read, by its full key; what an older spec lacks has its default."""
    defaults = _defaults(str(settings.model.get("kind")))
    given = {"tokenizer": settings.tokenizer, "model": settings.model, "train": settings.train}
    known = dict(_leaves(defaults))
    values = dict(_leaves({table: defaults[table] | given[table] for table in TABLES}))

    def is_read(key: str) -> bool:
        if (only := _only_for(key)) is None:
            return key not in UNTOLD
        chosen = str(values.get(only[0]))
        if KINDS[only[0]].is_ours(chosen):
            return chosen in only[1]
        return values[key] != known.get(key)

    return {key: value for key, value in values.items() if is_read(key)}


def _defaults(model_kind: str) -> dict[str, dict[str, JsonValue]]:
    """The defaults of each table in the order of its keys; None for those that need a value."""
    ours = MODELS.is_ours(model_kind)
    config: type[ModelConfig] = MODELS.load(model_kind).Config if ours else ModelConfig
    sections: tuple[type[BaseModel], ...] = (TokenizerSpec, config, TrainSpec)
    known = [section.model_construct().model_dump(mode="json") for section in sections]
    return {
        table: {name: defaults.get(name) for name in section.model_fields}
        for table, section, defaults in zip(TABLES, sections, known, strict=True)
    }


def _leaves(table: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, JsonValue]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def key_name(key: str, language: Language) -> str:
    """A key in words; of kinds from outside the package, the key itself."""
    return language.messages.get(f"changes.name.{key}", key)


def _phrase(change: Change, language: Language) -> str:
    key, before, after = change.key, change.before, change.after
    if key in KINDS:
        # A recurrent model is called by its cell.
        kinds = [
            _value(key, own.get("model.cell", kind), language)
            for kind, own in ((before, change.former_settings), (after, change.settings))
        ]
        said = language.say("changes.switch", before=kinds[0], after=kinds[1])
        known = dict(_leaves(_defaults(str(after))))
        shown = [
            _setting(name, value, language)
            for name, value in change.settings.items()
            if name != "model.cell" and value != known.get(name)
        ]
        return f"{said} ({language.separator.join(shown)})" if shown else said
    name = key_name(key, language)
    if after is None:
        return language.say("changes.without", name=name)
    if before is None or isinstance(after, bool):
        added = _setting(key, after, language)
        return added if isinstance(after, bool) else language.say("changes.with", name=added)
    return f"{name} {_value(key, before, language)} → {_value(key, after, language)}"


def _setting(key: str, value: JsonValue, language: Language) -> str:
    name = key_name(key, language)
    if isinstance(value, bool):
        return language.say("changes.with" if value else "changes.without", name=name)
    return f"{name} {_value(key, value, language)}"


def _value(key: str, value: JsonValue, language: Language) -> str:
    if isinstance(value, list):
        return f"({language.separator.join(_value(key, one, language) for one in value)})"
    if isinstance(value, int | float):
        return language.short(value)
    text = str(value)
    if key == "train.budget":
        return language.budget(text)
    if key in ("train.warmup", "train.decay"):
        return _part_of_training(text, language)
    return language.messages.get(f"changes.value.{text}", text)


def _part_of_training(text: str, language: Language) -> str:
    """`5 %`, `2,000 steps`."""
    part = Warmup.parse(text)
    return (
        language.budget(text) if part.unit == "steps" else f"{language.short(part.amount)}\u202f%"
    )
