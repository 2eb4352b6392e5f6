"""The unit of text: a document, with its source and its group."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class Document:
    """One text.

    Attributes:
        id: unique within the source.
        source: the collection (`petrogold`, `brwac`); figures are given per source.
        group: what must not be divided between splits (a thesis, an author, a site); also the unit
            that confidence intervals resample.
    """

    id: str
    source: str
    group: str
    text: str

    @property
    def n_bytes(self) -> int:
        """UTF-8 bytes of the text."""
        return len(self.text.encode("utf-8"))


def group_hash(source: str, group: str) -> int:
    """A 64-bit hash of a group's name within its source."""
    return int.from_bytes(hashlib.sha256(f"{source}\x00{group}".encode()).digest()[:8], "big")


class DocumentCounts(BaseModel):
    """How many documents were read, and how many were left out, by reason."""

    documents: int = 0
    empty: int = 0
    exact_duplicates: int = 0
    near_duplicates: int = 0

    @property
    def left_out(self) -> int:
        """Documents left out for any reason."""
        return self.empty + self.exact_duplicates + self.near_duplicates
