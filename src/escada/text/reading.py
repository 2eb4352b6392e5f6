"""Reads documents for every command: cleaned, filtered, without empty and duplicate ones.

`data prepare` and `evaluate --text` both use it, so a user's file is measured on the same documents
that a corpus made from it would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from escada.text.cleaning import clean
from escada.text.documents import Document, DocumentCounts
from escada.text.filters import NO_FILTERS, Chain, FilterCounts, Filtered
from escada.text.filters.personal_data import mask
from escada.text.preparation.dedup import unique
from escada.text.sources import ReadCounts, Source

Progress = Callable[[int, int | None], None]
"""Called with the documents read so far and their total (None if unknown)."""
EMPTY, SHORT = "empty", "short"
"""What removes a document besides filters: nothing left after cleaning, or too little."""


@dataclass
class ReferenceCounts:
    """What was left out: `read` by cleaning and deduplication, `source` by the source itself."""

    read: DocumentCounts = field(default_factory=DocumentCounts)
    short: int = 0
    """Documents below a minimum of characters."""
    source: ReadCounts = field(default_factory=ReadCounts)
    filters: FilterCounts = field(default_factory=FilterCounts)

    def add(self, result: Filtered) -> None:
        """Count a document as `reference_document` left it."""
        self.read.documents += 1
        if result.removed_by == EMPTY:
            self.read.empty += 1
        elif result.removed_by == SHORT:
            self.short += 1
        else:
            self.filters.add(result)

    def merge(self, other: ReferenceCounts) -> None:
        """Add the counts of later documents, without those of the source."""
        for name in DocumentCounts.model_fields:
            setattr(self.read, name, getattr(self.read, name) + getattr(other.read, name))
        self.short += other.short
        self.filters.merge(other.filters)


@dataclass(frozen=True)
class Rules:
    """What happens to each document by itself: cleaning, masking, a minimum, filters."""

    profile: str
    min_characters: int = 0
    mask_personal_data: bool = False
    chain: Chain = NO_FILTERS


def reference_document(document: Document, rules: Rules) -> Filtered:
    """A document with its reference text, or why it has none. Pure: the same in any process.

    Personal data is looked for in text of the `reference` profile, since `roadmap` makes every
    number a 0.

    Raises:
        EscadaError: an unknown profile.
    """
    if rules.mask_personal_data:
        text, masked = mask(clean(document.text, "reference"))
        text = clean(text, rules.profile)
    else:
        text, masked = clean(document.text, rules.profile), {}
    cleaned = replace(document, text=text)
    if not text:
        return Filtered(cleaned, EMPTY)
    if len(text) < rules.min_characters:
        return Filtered(cleaned, SHORT)
    return replace(rules.chain(cleaned), masked=masked)


def reference_documents(
    source: Source, rules: Rules, counts: ReferenceCounts
) -> Iterator[Document]:
    """Stream the documents of a source with their reference texts; `counts` is updated on the way.

    Raises:
        EscadaError: what `Source.documents` raises, or an unknown profile.
    """
    counts.filters = FilterCounts.of(rules.chain)

    def kept() -> Iterator[Document]:
        for document in source.documents(counts.source):
            result = reference_document(document, rules)
            counts.add(result)
            if result.removed_by is None:
                yield result.document

    return unique(kept(), counts.read)
