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
    source: ReadCounts = field(default_factory=ReadCounts)


def reference_documents(
    source: Source, profile: str, counts: ReferenceCounts, progress: Progress | None = None
) -> Iterator[Document]:
    """Stream the documents of a source with their reference texts; `counts` is updated on the way.

    Raises:
        EscadaError: what `Source.documents` raises, or an unknown profile.
    """

    def cleaned() -> Iterator[Document]:
        for document in source.documents(counts.source):
            counts.read.documents += 1
            if progress is not None:
                progress(counts.read.documents, source.total)
            if text := clean(document.text, profile):
                yield replace(document, text=text)
            else:
                counts.read.empty += 1

    return unique(cleaned(), counts.read)
