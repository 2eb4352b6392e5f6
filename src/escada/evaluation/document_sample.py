"""A fixed sample of a split, for figures that need not read all of it.

Documents are taken in the order of the hash of their id, until they hold the bytes that were asked
for: the same corpus gives the same sample, whatever its order, and a source has about its share.
"""

from __future__ import annotations

import heapq
import itertools

from escada.files import content_hash
from escada.text.corpus import Corpus
from escada.text.documents import Document


def document_sample(corpus: Corpus, split: str, wanted_bytes: int) -> list[Document]:
    """The first documents of a split by hash that hold `wanted_bytes` of text, or all of them.

    The split is streamed; no more than the sample (and a document) is held in memory.
    """
    kept: list[tuple[int, int, int, Document]] = []  # a heap, the greatest hash first
    held = 0
    number = itertools.count()
    for document in corpus.documents(split):
        size = len(document.text.encode("utf-8"))
        entry = (-int(content_hash(document.id), 16), -next(number), size, document)
        heapq.heappush(kept, entry)
        held += size
        while kept and held - kept[0][2] >= wanted_bytes:
            held -= heapq.heappop(kept)[2]
    return [document for *_, document in sorted(kept, key=lambda entry: entry[:2], reverse=True)]
