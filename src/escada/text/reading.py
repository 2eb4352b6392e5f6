"""The way in that every verb takes which reads documents: cleaned, without empty and repeated ones.

`data prepare` splits what comes out; `evaluate --text` measures it. A figure of a user's file is
therefore of the documents that a corpus of the same file would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

from escada.text.cleaning import clean
from escada.text.dedup import DedupCounts, unique
from escada.text.documents import Document
from escada.text.sources import ReadCounts, Source

Progress = Callable[[int, int | None], None]
"""Called with the documents read so far and, where known, how many there will be."""


@dataclass
class ReferenceCounts:
    """What happened to the documents on their way in.

    Attributes:
        read: documents that the source gave.
        empty: those without any text after cleaning.
        dedup: those that say what an earlier one said.
        source: what the source left out, skipped and renamed.
    """

    read: int = 0
    empty: int = 0
    dedup: DedupCounts = field(default_factory=DedupCounts)
    source: ReadCounts = field(default_factory=ReadCounts)

    def documents(self) -> dict[str, int]:
        """How many documents were read, and how many fell for which reason."""
        return {
            "documents": self.read,
            "empty": self.empty,
            "exact_duplicates": self.dedup.exact,
            "near_duplicates": self.dedup.near,
        }


def reference_documents(
    source: Source, profile: str, counts: ReferenceCounts, progress: Progress | None = None
) -> Iterator[Document]:
    """The documents of a source with their reference texts, streamed.

    Args:
        source: any.
        profile: how to clean.
        counts: updated as the stream is read.
        progress: called with each document.

    Raises:
        EscadaError: what `Source.documents` raises, or an unknown profile.
    """
    read = source.documents(counts.source)
    return unique(_cleaned(read, profile, counts, source.total, progress), counts.dedup)


def _cleaned(
    documents: Iterable[Document],
    profile: str,
    counts: ReferenceCounts,
    total: int | None,
    progress: Progress | None,
) -> Iterator[Document]:
    for document in documents:
        counts.read += 1
        if progress is not None:
            progress(counts.read, total)
        if text := clean(document.text, profile):
            yield replace(document, text=text)
        else:
            counts.empty += 1
