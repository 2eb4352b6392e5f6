"""The way in that every verb takes which reads documents: cleaned, without empty and repeated ones.

`data prepare` splits what comes out; `evaluate --text` measures it. A figure of a user's file is
therefore of the documents that a corpus of the same file would hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from escada.text.cleaning import clean
from escada.text.dedup import unique
from escada.text.documents import Document, DocumentCounts
from escada.text.sources import ReadCounts, Source

Progress = Callable[[int, int | None], None]
"""Called with the documents read so far and, where known, how many there will be."""


@dataclass
class ReferenceCounts:
    """What happened to the documents on their way in.

    Attributes:
        read: how many there were, and how many are left out.
        source: what the source itself left out, skipped and renamed.
    """

    read: DocumentCounts = field(default_factory=DocumentCounts)
    source: ReadCounts = field(default_factory=ReadCounts)


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
