"""Phrases: removes documents that contain one of a list, such as slogans of spam.

`phrases=list.txt`: a phrase a line, in UTF-8. Words are compared, without case and signs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.streams import lines

_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Phrases:
    """Removes documents with one of `phrases`: case-folded words, separated by spaces."""

    phrases: tuple[str, ...]

    def __call__(self, document: Document) -> Document | str:
        """See `Filter`."""
        words, by_first = words_of(document.text), _by_first_word(self.phrases)
        for start, word in enumerate(words):
            for phrase in by_first.get(word, ()):
                if words[start : start + len(phrase)] == phrase:
                    return f"contains {' '.join(phrase)!r}"
        return document


def words_of(text: str) -> list[str]:
    """The words of a text, case-folded, without signs."""
    return _WORD.findall(text.casefold())


@cache
def _by_first_word(phrases: tuple[str, ...]) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for phrase in phrases:
        words = phrase.split(" ")
        found.setdefault(words[0], []).append(words)
    return found


def build(value: str | None) -> Phrases:
    """The path of the list.

    Raises:
        EscadaError: no such file, or no word in it.
    """
    if not value:
        fix = "give one: phrases=list.txt, a phrase a line"
        raise EscadaError("the filter has no list", where="--filter phrases", fix=fix)
    path = Path(value).expanduser()
    phrases = {" ".join(words_of(line)) for line in lines(path)} - {""}
    if not phrases:
        raise EscadaError("the list of phrases is empty", where=path, fix="write a phrase a line")
    return Phrases(tuple(sorted(phrases)))
