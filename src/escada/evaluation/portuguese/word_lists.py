"""Lists of words in word_lists.toml, which says what each is for."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


@cache
def word_list(name: str) -> frozenset[str]:
    """The words of one list."""
    return frozenset(tomllib.loads(word_lists_text())[name].split())


@cache
def word_lists_text() -> str:
    """The whole file, for cache keys."""
    file = resources.files("escada.evaluation.portuguese") / "word_lists.toml"
    return file.read_text(encoding="utf-8")
