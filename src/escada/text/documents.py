"""The unit of text: a document, with where it comes from and what it must not be parted from."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import BaseModel


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


class DocumentCounts(BaseModel):
    """How many documents were read, and how many of them were left out for which reason."""

    documents: int = 0
    empty: int = 0
    exact_duplicates: int = 0
    near_duplicates: int = 0

    @property
    def left_out(self) -> int:
        """For any reason."""
        return self.empty + self.exact_duplicates + self.near_duplicates
