"""Which of many items are looked at, when not all can be; nothing is drawn by chance.

Items that lie in an order that means something (a text) are spread evenly, or so within strata:
neighbours are alike, so that says more than as many random ones, and says the same each time.
Documents are taken in the order of the hash of their id, until they hold the bytes that were asked
for: the same corpus gives the same sample, whatever its order, and a source has about its share.
"""

from __future__ import annotations

import heapq
import itertools

import numpy as np
from numpy.typing import NDArray

from escada.files import content_hash
from escada.text.corpus import Corpus
from escada.text.documents import Document

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def evenly(available: int, wanted: int) -> Integers:
    """`wanted` of the numbers below `available`, or all: ascending, gaps differ by one at most."""
    n = min(available, wanted)
    return np.arange(n, dtype=np.int64) * available // max(n, 1)


def proportionally(strata_M: NDArray[np.int64], wanted: int) -> tuple[Integers, Floats]:
    """A stratified sample: from each stratum its share of `wanted`, at least one, drawn evenly.

    Args:
        strata_M: the stratum of each item.
        wanted: size of the sample; it may be exceeded where a share is below one.

    Returns:
        Which items, ascending; and their weights: items of the stratum for each one drawn.
    """
    drawn: list[Integers] = []
    weights: list[Floats] = []
    for stratum in np.unique(strata_M):
        members = np.flatnonzero(strata_M == stratum)
        n = min(len(members), max(1, wanted * len(members) // len(strata_M)))
        drawn.append(members[evenly(len(members), n)])
        weights.append(np.full(n, len(members) / n))
    items = np.concatenate(drawn)
    order = np.argsort(items)
    return items[order], np.concatenate(weights)[order]


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
