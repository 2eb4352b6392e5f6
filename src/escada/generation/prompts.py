"""The 20 Portuguese prompts that every rung is sampled with.

They lie in `prompts.toml` beside this file: an id, a category and a text each. Five are longer than
256 subwords, so that every Transformer of the ladder meets the end of its window.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from escada.errors import EscadaError


@dataclass(frozen=True, slots=True)
class Prompt:
    """The opening of a text, for a model to go on with."""

    id: str
    category: str
    text: str


def load_prompts(path: Path | None = None) -> list[Prompt]:
    """The package's prompts, or those of a TOML file of the same form.

    Args:
        path: a file with `[[prompt]]` tables of `id`, `category` and `text`.

    Raises:
        EscadaError: missing file, not TOML, a table without one of the three, or an id twice.
    """
    where = path or "prompts.toml"
    try:
        source = path or resources.files("escada.generation").joinpath("prompts.toml")
        table = tomllib.loads(source.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=where) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EscadaError(f"not a TOML file: {error}", where=where) from error
    entries: list[dict[str, Any]] = table.get("prompt", [])
    if not entries:
        raise EscadaError("no [[prompt]] tables", where=where)
    prompts: list[Prompt] = []
    for number, entry in enumerate(entries, start=1):
        if set(entry) != {"id", "category", "text"} or not all(
            isinstance(value, str) for value in entry.values()
        ):
            raise EscadaError(
                f"prompt {number} needs id, category and text, nothing else", where=where
            )
        prompts.append(Prompt(**entry))
    ids = [prompt.id for prompt in prompts]
    if twice := next((name for name in ids if ids.count(name) > 1), None):
        raise EscadaError(f"prompt id {twice!r} appears twice", where=where)
    return prompts
