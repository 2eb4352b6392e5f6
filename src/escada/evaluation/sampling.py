"""Deterministic subsampling: nothing here is random.

Ordered items (windows of a text) are spaced evenly, over all or within strata: neighbours are
correlated, so this tells more than a random sample of the same size. Documents are taken in the
hash order of their ids until a byte count is reached: the sample depends on the corpus only, and
each source gets about its share.
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
    """`wanted` indices below `available`, or all of them: ascending, evenly spaced."""
    n = min(available, wanted)
    return np.arange(n, dtype=np.int64) * available // max(n, 1)


def proportionally(strata_M: NDArray[np.int64], wanted: int) -> tuple[Integers, Floats]:
    """Stratified sample: each stratum gets its share of `wanted`, at least one item, evenly spaced.

    `wanted` is exceeded where a stratum's share is below one.
    Returns:
        Indices, ascending, and weights: items in the stratum per item drawn.
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
    """The first documents of a split in hash order that hold `wanted_bytes`, or all of them.

    Streams the split: only the sample and one document are in memory.
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
