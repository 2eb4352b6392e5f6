"""`escada rungs`: what the ladder is made of, each rung in two lines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from escada.choices import Code
from escada.cli.shared import options
from escada.terminal import echo_json, echo_text

if TYPE_CHECKING:
    from escada.spec import About


_WORDS: dict[Code, tuple[str, str]] = {"en": ("Parameters", "."), "pt": ("Parâmetros", ",")}
"""What the numbers are called, and their decimal sign."""


_LOCALE = ("LC_ALL", "LC_MESSAGES", "LANG")
"""In the order in which POSIX lets one overrule the other."""


def rungs(
    lang: Annotated[
        Code | None,
        typer.Option(help="Without it, the language of your locale."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Explain each rung in two lines: how large it is, what it changes, and why."""
    from escada.cost.tokens import training_text
    from escada.spec import FULL, About, load_spec, read_spec_table, rung_names
    from escada.training.memory import shape_of

    code = language(lang)
    rows: list[dict[str, object]] = []
    for name in rung_names():
        table, _ = read_spec_table(name)
        about = About.model_validate(table["about"])
        sizes: dict[str, int] = {}
        for preset in (FULL, *table.get("presets", {})):
            spec = load_spec(name, preset=preset)
            # With the vocabulary that the default corpus gives it.
            vocab_size = training_text(spec, None).vocab_size
            sizes[preset] = shape_of(spec, vocab_size).parameter_count()
        if not json:
            echo_text(_two_lines(name, about, sizes, code))
        sized = {"name": name, "presets": list(sizes), "parameters": sizes}
        rows.append({**sized, **about.model_dump(mode="json")})
    if json:
        echo_json({"schema_version": 1, "rungs": rows})


def _two_lines(name: str, about: About, parameters: dict[str, int], code: Code) -> str:
    """What it is and what is new; why, and how large it is."""
    title, changes, objective = (
        getattr(text, code) for text in (about.title, about.changes, about.objective)
    )
    called, decimal = _WORDS[code]
    sizes = ", ".join(
        f"{size / 1e6:.2f} M ({preset})".replace(".", decimal, 1)
        for preset, size in parameters.items()
    )
    return f"{name:8} {title}: {changes}\n{'':8} {objective} {called}: {sizes}."


def language(chosen: Code | None, environment: Mapping[str, str] = os.environ) -> Code:
    """What the user chose; else that of the locale, and English where it is neither."""
    if chosen is not None:
        return chosen
    locale = next((environment[name] for name in _LOCALE if environment.get(name)), "")
    return "pt" if locale.lower().startswith("pt") else "en"
