"""A run's model card: README.md, in the format of model hubs.

    write_card(run)

Every number comes from the run's own files, and missing ones are reported as missing. A result
measured on other weights than the present ones is treated as missing. The card is written when a
training ends and again after each measurement; it depends on the run's files alone, so writing it
twice changes nothing.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Template, Undefined, UndefinedError
from markupsafe import Markup

from escada.budget import Budget
from escada.choices import CODES
from escada.cost.sheet import COMPARED, read_sheet
from escada.errors import EscadaError
from escada.evaluation.task import shown_figures
from escada.evaluation.tasks.documents import TRAIN_SAMPLE
from escada.files import read_json, sha256_file, write_bytes
from escada.report.changes import key_name, settings_of, since_package
from escada.report.data import showable
from escada.report.i18n import Language
from escada.report.schema import BestBaseline
from escada.report.writers.markdown_csv import plain
from escada.report.writers.templates import environment
from escada.runs.checkpoint import has_checkpoint, weights_sha256
from escada.runs.record import read_record
from escada.runs.run import Run
from escada.runs.time_budget import planned_seconds
from escada.spec import Spec
from escada.text.sources.hub import PREFIX
from escada.text.sources.mixture import MIXED
from escada.typed_json import parse

HUB_LICENCES = {
    "CC BY 4.0": "cc-by-4.0",
    "CC BY-SA 4.0": "cc-by-sa-4.0",
    "CC0 1.0": "cc0-1.0",
}
"""Licence identifiers of model hubs; any other licence, or several, is `other`."""
_HUB_LICENCE = re.compile(r"(cc|odc|mit|apache|gpl|lgpl|agpl|gfdl|pddl)[a-z0-9.-]{0,30}")
"""What a data set's card may name already."""
MEASURED = {
    "test": ("test documents", "documentos de teste"),
    "validation": ("validation documents", "documentos de validação"),
    TRAIN_SAMPLE: ("a sample of the training documents", "amostra dos documentos de treino"),
}
BEST_BASELINE = "best-baseline"
"""Name of the result file; `baseline_comparison` writes it when a climb ends."""
UNKNOWN = "not recorded"
_OF_ANY_SHAPE = (
    *(UndefinedError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError),
)
"""What a template raises for JSON whose values are of other types than they should be."""


def write_card(run: Run) -> Path:
    """Write or update the run's README.md, and return its path.

    Raises:
        EscadaError: a file of the run is damaged, or the disk is full.
    """
    data = card_text(run).encode("utf-8")
    path = run.layout.card
    if not path.exists() or path.stat().st_size != len(data) or path.read_bytes() != data:
        write_bytes(path, data)
    return path


def card_text(run: Run) -> str:
    """The card in Markdown, from the run's files alone.

    Raises:
        EscadaError: one of them is damaged.
    """
    try:
        return _template().render(_values(run))
    except _OF_ANY_SHAPE as error:
        raise EscadaError(
            f"a result of the run is damaged: {' '.join(str(error).split())}",
            where=run.layout.evaluation("test").parent,
            fix="remove it and evaluate again",
        ) from error


def _of_defined(work: Callable[..., str]) -> Callable[..., str]:
    """A filter that raises an UndefinedError for a value that is missing."""

    def checked(value: object, *options: object) -> str:
        if isinstance(value, Undefined):
            str(value)  # raises: the environment is strict
        return work(value, *options)

    return checked


@cache
def _template() -> Template:
    # Every text is escaped for Markdown, unless a filter says what else it is; generated text is in
    # fenced blocks (see _shown).
    templates = environment(autoescape=False, finalize=_escaped, keep_trailing_newline=True)
    filters: dict[str, Callable[..., str]] = {
        "whole": _whole,
        "decimal": _decimal,
        "seconds": _seconds,
        "interval": _interval,
        "pt": _portuguese,
        "code": _code,
        "argument": _argument,
        "quoted": _quoted,
    }
    templates.filters |= {name: _of_defined(work) for name, work in filters.items()}
    return templates.get_template("card.md.j2")


def _values(run: Run) -> dict[str, object]:
    record, spec = read_record(run.layout.record), run.spec
    data = _optional(run.layout.data)
    figures = {name: _current(run, run.layout.evaluation(name)) for name in MEASURED}
    samples = _current(run, run.layout.samples)
    licences: dict[str, dict[str, str]] = data.get("licences") or {}
    return {
        "run": run,
        "spec": spec,
        "about": spec.about,
        **_changed(spec),
        "record": record,
        "budget": Budget.parse(record.budget).shown,
        "planned_seconds": planned_seconds(record),
        "cost": read_sheet(run.layout.cost),
        "compared": COMPARED,
        "data": {name: data.get(name) for name in ("training_tokens", "training_bytes")},
        "source": _source(data.get("source")),
        "licences": licences,
        "hub_licence": _hub_licence(licences),
        "environment": _optional(run.layout.environment),
        "measured": MEASURED,
        "figures": figures,
        "stale": [n for n in MEASURED if not figures[n] and run.layout.evaluation(n).exists()],
        "test": figures["test"],
        "best_baseline": _best_baseline(run, figures["test"]),
        "samples": samples,
        "shown": _shown(samples.get("samples", []) if samples else []),
        "guardrails": _guardrails(run, samples),
        "other_tasks": shown_figures(run),
        "weights": weights_sha256(run.layout.checkpoints, "best")
        if has_checkpoint(run.layout.checkpoints)
        else None,
    }


def _changed(spec: Spec) -> dict[str, object]:
    """What changed from the rung that it follows, by language, and keys that were not tested."""
    changed = since_package(settings_of(spec), spec.about.follows, spec.preset)
    if changed is None:
        return {"changed": None, "untested": {}}
    languages = [Language.load(code) for code in CODES]
    untested = changed.untested(spec.about.tests)
    return {
        "changed": {t.code: changed.sentence(t) for t in languages},
        "untested": {
            t.code: t.names([key_name(key, t) for key in untested]) for t in languages if untested
        },
    }


Json = Mapping[str, Any]
"""A file as it is: those of earlier versions lack some keys, which the card then omits."""


def _optional(path: Path) -> Json:
    return read_json(path) if path.exists() else {}


def _current(run: Run, path: Path) -> Json | None:
    """A result, if it exists and was measured on the run's present weights."""
    found = _optional(path)
    which = found.get("weights")
    if which not in ("best", "last") or not has_checkpoint(run.layout.checkpoints):
        return None
    return (
        found
        if found.get("weights_sha256") == weights_sha256(run.layout.checkpoints, which)
        else None
    )


def _best_baseline(run: Run, test: Json | None) -> BestBaseline | None:
    """The comparison with the best baseline, if it is of the same documents as `test`."""
    path = run.layout.evaluation(BEST_BASELINE)
    if test is None or _current(run, path) is None:
        return None
    found = parse(BestBaseline, read_json(path), path)
    return found if found.corpus_hash == test["corpus_hash"] else None


def _shown(samples: Sequence[Mapping[str, str]]) -> list[dict[str, Markup]]:
    """The first sample of each prompt category, with a fence that its text cannot close."""
    firsts: dict[str, dict[str, Markup]] = {}
    for sample in samples:
        text = showable(f"{sample['prompt']}⟩{sample['text']}")
        tildes = max((len(run) for run in re.findall("~+", text)), default=0)
        fence = "~" * max(3, tildes + 1)
        shown = {"text": Markup(text), "fence": Markup(fence)}  # as they are
        firsts.setdefault(sample["category"], shown)
    return list(firsts.values())


def _guardrails(run: Run, samples: Json | None) -> Json | None:
    """The guardrail results, if they are of these samples."""
    found = _optional(run.layout.evaluation("guardrails"))
    if samples is None or found.get("samples", {}).get("sha256") != sha256_file(run.layout.samples):
        return None
    return found


def _source(name: object) -> str:
    """A source's name; of a user's files, without their directories."""
    if not name:
        return UNKNOWN
    parts = str(name).split(MIXED)
    return MIXED.join(one if one.startswith(PREFIX) else Path(one).name for one in parts)


def _hub_licence(licences: dict[str, dict[str, str]]) -> str:
    names = {licence["name"] for licence in licences.values()}
    name = names.pop() if len(names) == 1 else ""
    return HUB_LICENCES.get(name, name if _HUB_LICENCE.fullmatch(name) else "other")


def _whole(number: float | None) -> str:
    return UNKNOWN if number is None else f"{number:,.0f}"


def _decimal(number: float | None, places: int = 3) -> str:
    return UNKNOWN if number is None else f"{number:.{places}f}"


def _seconds(number: float | None) -> str:
    if number is None:
        return UNKNOWN
    return f"{number:.0f} s" if number < 600 else f"{number / 3600:.1f} h ({number:,.0f} s)"


def _interval(ends: list[float] | None) -> str:
    return "none: fewer than two groups" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f}"


def _portuguese(text: str) -> str:
    """Swap the decimal point and the thousands separator: 1.234,5."""
    return text.translate(str.maketrans(",.", ".,"))


def _escaped(value: object) -> object:
    """A text on one line, escaped for Markdown; other values, and `Markup`, as they are."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(_line(value))
    return value


def _code(text: object) -> Markup:
    """The inside of `code`, which no text can leave."""
    return Markup(_line(text).replace("`", ""))


def _argument(name: object) -> Markup:
    """One word of a shell's line."""
    return Markup(shlex.quote(_line(name)))


def _quoted(name: object) -> Markup:
    """A string of Python."""
    return Markup(json.dumps(_line(name), ensure_ascii=False))


def _line(text: object) -> str:
    return showable(re.sub(r"\s+", " ", str(text)))
