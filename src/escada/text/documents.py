"""The unit of text: a document, with where it comes from and what it must not be parted from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        id: names the document within its source.
        source: the collection it belongs to (`petrogold`, `brwac`); figures are given per source.
        group: what must not be divided between splits (a thesis, an author, a site). Confidence
            intervals resample groups, too.
        text: Unicode text. In a prepared corpus this is the reference text: cleaned, and the
            denominator of bits per byte.
    """

    id: str
    source: str
    group: str
    text: str

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of the text."""
        return len(self.text.encode("utf-8"))
