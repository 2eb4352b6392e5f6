"""Phrases: removes documents that contain one of a list, such as slogans of spam.

`phrases=list.txt`: a phrase a line, in UTF-8. Case does not count, and a phrase is found as whole
words only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.sources.streams import lines


@dataclass(frozen=True)
class Phrases:
    """Removes documents with one of `phrases`, which are case-folded."""

    phrases: tuple[str, ...]

    def __call__(self, document: Document) -> Document | str:
        """See `Filter`."""
        found = _pattern(self.phrases).search(document.text.casefold())
        return f"contains {found[0]!r}" if found else document


@cache
def _pattern(phrases: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(phrases, key=lambda phrase: (-len(phrase), phrase))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def build(value: str | None) -> Phrases:
    """The path of the list.

    Raises:
        EscadaError: no such file, or nothing in it.
    """
    if not value:
        fix = "give one: phrases=list.txt, a phrase a line"
        raise EscadaError("the filter has no list", where="--filter phrases", fix=fix)
    path = Path(value).expanduser()
    phrases = {line.strip().casefold() for line in lines(path)} - {""}
    if not phrases:
        raise EscadaError("the list of phrases is empty", where=path, fix="write a phrase a line")
    return Phrases(tuple(sorted(phrases)))
