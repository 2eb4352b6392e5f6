"""The 20 Portuguese prompts that every rung is sampled with.

They lie in `prompts.toml` beside this file: an id, a category and a text each. Five are longer than
256 subwords, so that every Transformer of the ladder meets the end of its window.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Prompt:
    """The opening of a text, for a model to go on with."""

    id: str
    category: str
    text: str


def load_prompts() -> list[Prompt]:
    """All of them, in their order."""
    file = resources.files("escada.generation").joinpath("prompts.toml")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))["prompt"]
    return [Prompt(**table) for table in tables]
