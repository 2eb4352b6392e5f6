"""Lists of words in word_lists.toml, which says what each is for."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


@cache
def word_list(name: str) -> frozenset[str]:
    """The words of one list."""
    file = resources.files("escada.evaluation.portuguese") / "word_lists.toml"
    return frozenset(tomllib.loads(file.read_text(encoding="utf-8"))[name].split())
