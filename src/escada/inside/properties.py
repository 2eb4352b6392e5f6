"""Which tokens of a text have a property that a cell may follow.

A token has the property of its last character; a token that completes no character (a byte inside
one) has that of the character before.

| property | yes, or how much |
|---|---|
| `quotation` | from an opening quotation mark up to the closing one; a line's end ends it too |
| `parenthesis` | from `(` up to `)` |
| `after_space` | the first character of a word, or of the text |
| `in_name` | a word with a capital that does not begin a sentence |
| `line_position` | characters since the beginning of the line |
| `word_position` | characters since the last space |
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from escada.inside.reading import ReadText
from escada.inside.views import Property

YES_OR_NO: tuple[Property, ...] = ("quotation", "parenthesis", "after_space", "in_name")
_NAME = re.compile(r"(?<=[^\s.!?…:“”\"«»(\[–—-] )[A-ZÀ-ÖØ-Þ][^\W\d_]+")
"""A capitalised word after a space after something that does not end a sentence."""


def property_of(name: Property, read: ReadText) -> NDArray[np.float64]:
    """The property of every token after BOS: 0 or 1, or a number of characters; (T - 1,)."""
    of_characters = _CHARACTERS[name](read.text)
    at = np.maximum(np.array(read.ends[1:], dtype=np.int64) - 1, 0)
    if name == "after_space":  # of any character that the token completes
        summed = np.concatenate([[0.0], np.cumsum(of_characters)])
        starts = np.array(read.starts[1:], dtype=np.int64)
        return np.minimum(summed[at + 1] - summed[np.minimum(starts, at + 1)], 1.0)
    return of_characters[at] if len(of_characters) else np.zeros(len(at))


def _enclosed(text: str, opening: str, closing: str, either: str = "") -> NDArray[np.float64]:
    inside = np.zeros(len(text))
    open_now = False
    for place, character in enumerate(text):
        if character in opening or (character in either and not open_now):
            open_now = True
        elif character in closing or character in either or character == "\n":
            open_now = False
        inside[place] = open_now
    return inside


def _quotation(text: str) -> NDArray[np.float64]:
    return _enclosed(text, "“«", "”»", '"')


def _parenthesis(text: str) -> NDArray[np.float64]:
    return _enclosed(text, "(", ")")


def _after_space(text: str) -> NDArray[np.float64]:
    before = f" {text}"
    begins = [old.isspace() and not new.isspace() for old, new in zip(before, text, strict=False)]
    return np.array(begins, dtype=np.float64)


def _in_name(text: str) -> NDArray[np.float64]:
    inside = np.zeros(len(text))
    for match in _NAME.finditer(text):
        inside[match.start() : match.end()] = 1
    return inside


def _line_position(text: str) -> NDArray[np.float64]:
    return _since(text, r"\n")


def _word_position(text: str) -> NDArray[np.float64]:
    return _since(text, r"\s")


def _since(text: str, is_end: str) -> NDArray[np.float64]:
    counted = np.zeros(len(text))
    since = 0
    for place, character in enumerate(text):
        since = 0 if re.match(is_end, character) else since + 1
        counted[place] = since
    return counted


_CHARACTERS: dict[Property, Callable[[str], NDArray[np.float64]]] = {
    "quotation": _quotation,
    "parenthesis": _parenthesis,
    "after_space": _after_space,
    "in_name": _in_name,
    "line_position": _line_position,
    "word_position": _word_position,
}
