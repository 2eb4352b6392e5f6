"""`escada rungs`: what the ladder is made of, each rung in two lines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from escada.choices import Code
from escada.cli.shared import options
from escada.cli.shared.language import language
from escada.terminal import echo_json, echo_text

if TYPE_CHECKING:
    from escada.spec import About


@dataclass(frozen=True, slots=True)
class _Row:
    """A rung.

    Attributes:
        name: of the rung.
        about: what it sets out to do.
        parameters: by preset, with the vocabulary that the default corpus gives it.
    """

    name: str
    about: About
    parameters: dict[str, int]


_WORDS: dict[Code, tuple[str, str]] = {"en": ("Parameters", "."), "pt": ("Parâmetros", ",")}
"""What the numbers are called, and their decimal sign."""


def rungs(
    lang: Annotated[
        Code | None,
        typer.Option(help="Without it, the language of your locale."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Explain each rung in two lines: how large it is, what it changes, and why."""
    code = language(lang)
    rows = _rows()
    if not json:
        for row in rows:
            echo_text(_two_lines(row, code))
        return
    found = [
        {
            "name": row.name,
            "presets": list(row.parameters),
            "parameters": row.parameters,
            **row.about.model_dump(mode="json"),
        }
        for row in rows
    ]
    table = {"schema_version": 1, "rungs": found}
    echo_json(table)


def _rows() -> list[_Row]:
    from escada.cost.tokens import training_text
    from escada.spec import FULL, About, load_spec, read_spec_table, rung_names
    from escada.training.memory import shape_of

    rows: list[_Row] = []
    for name in rung_names():
        table, _ = read_spec_table(name)
        sizes: dict[str, int] = {}
        for preset in (FULL, *table.get("presets", {})):
            spec = load_spec(name, preset=preset)
            vocab_size = training_text(spec, None).vocab_size
            sizes[preset] = shape_of(spec, vocab_size).parameter_count()
        rows.append(_Row(name, About.model_validate(table["about"]), sizes))
    return rows


def _two_lines(row: _Row, code: Code) -> str:
    """What it is and what is new; why, and how large it is."""
    about = row.about
    title, changes, objective = (
        getattr(text, code) for text in (about.title, about.changes, about.objective)
    )
    called, decimal = _WORDS[code]
    sizes = ", ".join(
        f"{size / 1e6:.2f} M ({preset})".replace(".", decimal, 1)
        for preset, size in row.parameters.items()
    )
    return f"{row.name:8} {title}: {changes}\n{'':8} {objective} {called}: {sizes}."
