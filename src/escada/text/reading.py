"""Reads documents for every command: cleaned, without empty and duplicate ones.

`data prepare` and `evaluate --text` both use it, so a user's file is measured on the same documents
that a corpus made from it would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from escada.text.cleaning import clean
from escada.text.dedup import unique
from escada.text.documents import Document, DocumentCounts
from escada.text.sources import ReadCounts, Source

Progress = Callable[[int, int | None], None]
"""Called with the documents read so far and their total (None if unknown)."""


@dataclass
class ReferenceCounts:
    """What was left out: `read` by cleaning and deduplication, `source` by the source itself."""

    read: DocumentCounts = field(default_factory=DocumentCounts)
    short: int = 0
    """Documents below a minimum of characters."""
    source: ReadCounts = field(default_factory=ReadCounts)


def reference_documents(
    source: Source,
    profile: str,
    counts: ReferenceCounts,
    progress: Progress | None = None,
    *,
    min_characters: int = 0,
) -> Iterator[Document]:
    """Stream the documents of a source with their reference texts; `counts` is updated on the way.

    Documents of fewer than `min_characters` after cleaning are left out.

    Raises:
        EscadaError: what `Source.documents` raises, or an unknown profile.
    """

    def cleaned() -> Iterator[Document]:
        for document in source.documents(counts.source):
            counts.read.documents += 1
            if progress is not None:
                progress(counts.read.documents, source.total)
            text = clean(document.text, profile)
            if not text:
                counts.read.empty += 1
            elif len(text) < min_characters:
                counts.short += 1
            else:
                yield replace(document, text=text)

    return unique(cleaned(), counts.read)
