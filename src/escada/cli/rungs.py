"""`escada rungs`: what the ladder is made of, and what changes from rung to rung."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from escada.choices import Code
from escada.cli.shared import options
from escada.terminal import echo_json, echo_text

if TYPE_CHECKING:
    from escada.report.changes import Changed
    from escada.report.i18n import Language
    from escada.spec import About


_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX lets one overrule the other."""


def rungs(
    lang: Annotated[
        Code | None,
        typer.Option(help="Without it, the language of your locale."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Explain each rung: what it is for; per preset its size, and what changes from which rung."""
    from escada.cost.tokens import training_text
    from escada.report.changes import Changed, changes, packaged, settings_of
    from escada.report.i18n import Language
    from escada.spec import FULL, load_spec, read_spec_table, rung_names
    from escada.training.memory import shape_of

    shown_in = Language.load(language(lang))
    rows: list[dict[str, object]] = []
    for name in rung_names():
        sizes: dict[str, int] = {}
        changed: dict[str, Changed] = {}
        presets = (FULL, *read_spec_table(name)[0].get("presets", {}))
        for preset in presets:
            spec = load_spec(name, preset=preset)
            # With the vocabulary that the default corpus gives it.
            vocab_size = training_text(spec, None).vocab_size
            sizes[preset] = shape_of(spec, vocab_size).parameter_count()
            if before := packaged(spec.about.follows, preset):
                found = changes(settings_of(before), settings_of(spec))
                changed[preset] = Changed(before.name, preset, found)
        about = load_spec(name).about
        if not json:
            echo_text(_lines(name, about, sizes, changed, shown_in))
        told = {
            preset: [change.model_dump(mode="json") for change in one.changes]
            for preset, one in changed.items()
        }
        table = {"name": name, "presets": list(presets), "parameters": sizes, "changed": told}
        rows.append({**table, **about.model_dump(mode="json")})
    if json:
        echo_json({"schema_version": 1, "rungs": rows})


def _lines(
    name: str,
    about: About,
    parameters: Mapping[str, int],
    changed: Mapping[str, Changed],
    language: Language,
) -> str:
    """What it is and why; its author's note; for each preset its size and what changes."""
    title, objective = (getattr(text, language.code) for text in (about.title, about.objective))
    lines = [f"{name:8} {title}. {objective}"]
    if about.changes:
        lines.append(getattr(about.changes, language.code))
    for preset, size in parameters.items():
        millions = language.number(size / 1e6, 2)
        line = language.say("changes.size", preset=preset, millions=millions)
        if found := changed.get(preset):
            line += " " + language.say(
                "changes.from", against=found.against, changes=found.sentence(language)
            )
        lines.append(line)
    return f"\n{'':8} ".join(lines)


def language(chosen: Code | None, environment: Mapping[str, str] = os.environ) -> Code:
    """What the user chose; else that of the locale, and English where it is neither."""
    if chosen is not None:
        return chosen
    locale = next((environment[name] for name in _LOCALE if environment.get(name)), "")
    return "pt" if locale.lower().startswith("pt") else "en"
