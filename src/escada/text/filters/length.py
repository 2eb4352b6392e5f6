"""Length: `length=200` removes documents of fewer characters, `length=200:100000` longer ones too.

`--min-characters` is the same minimum with a count of its own in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass

from escada.errors import EscadaError
from escada.text.documents import Document
from escada.text.filters.values import number

ORIGIN_CHARACTERS = 200
"""The origin's minimum."""


@dataclass(frozen=True)
class Length:
    """Removes documents below `least` or above `most` characters; None: no maximum."""

    least: int = ORIGIN_CHARACTERS
    most: int | None = None

    def __call__(self, document: Document) -> Document | str:
        """See `Filter`."""
        n = len(document.text)
        if n < self.least or (self.most is not None and n > self.most):
            return f"{n:,} characters"
        return document


def build(value: str | None) -> Length:
    """`MIN` or `MIN:MAX`.

    Raises:
        EscadaError: no numbers, or an empty range.
    """
    if value is None:
        return Length()
    least, sign, most = value.partition(":")
    found = [
        int(number(part, "length", "length=200:100000")) for part in (least or "0", most or "0")
    ]
    if sign and most and found[1] < found[0]:
        fix = "give the minimum first"
        raise EscadaError(f"nothing is {value} long", where="--filter length", fix=fix)
    return Length(found[0], found[1] if sign and most else None)
