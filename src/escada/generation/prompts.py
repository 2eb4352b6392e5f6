"""The 20 Portuguese prompts of `prompts.toml` that every rung is sampled with.

Five are longer than 256 subwords, so that every Transformer of the ladder fills its context.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Prompt:
    """The opening of a text, for a model to continue."""

    id: str
    category: str
    text: str


def load_prompts() -> list[Prompt]:
    """All prompts, in order."""
    file = resources.files("escada.generation").joinpath("prompts.toml")
    tables = tomllib.loads(file.read_text(encoding="utf-8"))["prompt"]
    return [Prompt(**table) for table in tables]
