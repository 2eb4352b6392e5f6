"""Finds held-out documents that have a copy or near-copy in training, after the split.

`dedup` removes near-duplicates everywhere. What remains may still be half the same (tweets from one
template) or share a paragraph (a law, a quotation). A held-out document is contaminated by a
document of another split when, either in dedup's comparison form or in the case-folded text,

- their shingles (runs of five characters) have a Jaccard similarity above `THRESHOLD`, or
- they share a run of `RUN_CHARACTERS` that at most `MOST_COPIES` of those documents contain; a more
  frequent run is boilerplate (a licence, a menu).

The result is exact up to collisions of 64-bit hashes. Two sets that share more than half of their
union have a shingle in common among the rarer half of each (prefix filtering: Chaudhuri, Ganti and
Kaushik 2006; bound on the rest: Xiao et al., PPJoin, 2008), so only rare shingles are looked up.
The held-out documents are held in memory as hashes, `BLOCK_CHARACTERS` of text at a time; the
others are streamed past them once per block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from escada.text.documents import Document
from escada.text.preparation.dedup import SHINGLE_CHARACTERS, comparison_form

THRESHOLD = 0.5
RUN_CHARACTERS = 100
MOST_COPIES = 20
BLOCK_CHARACTERS = 2**26
_BATCH = 1024
_BATCH_CHARACTERS = 2**22
"""A batch ends at whichever is reached first, or holds one longer text."""
_VIEWS: tuple[Callable[[str], str], ...] = (comparison_form, str.casefold)
"""What is compared: the words only, and the case-folded text."""
Hashes = NDArray[np.uint64]


def contaminated(
    held_out: Iterable[Document], others: Callable[[], Iterable[Document]]
) -> NDArray[np.bool_]:
    """A flag for each held-out document: whether the others have a copy or near-copy.

    `held_out` is streamed once; `others` is called twice per block of held-out text.
    """
    found = [np.zeros(0, dtype=bool)]
    for block in blocks(held_out):
        flags = np.zeros(len(block), dtype=bool)
        for view in _VIEWS:
            texts = [view(document.text) for document in block]
            near, runs = _NearDuplicates(texts), _SharedRuns(texts)
            for batch in _batches(view(document.text) for document in others()):
                near.compare(batch)
                runs.compare(batch)
            flags |= near.found | runs.found()
        found.append(flags)
    return np.concatenate(found)


def blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in lists of about `BLOCK_CHARACTERS`."""
    block: list[Document] = []
    size = 0
    for document in documents:
        block.append(document)
        size += len(document.text)
        if size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


class _NearDuplicates:
    """Marks held-out texts of which another text shares more than half of the shingles.

    Legend: H held-out texts, V shingles of the held-out texts.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.found = np.zeros(len(texts), dtype=bool)
        self._sets = [one for part in _batches(texts) for one in _shingle_sets(part)]
        self._size_H = np.array([len(one) for one in self._sets])
        self._shingles_V, counts_V = np.unique(np.concatenate(self._sets), return_counts=True)
        order = np.argsort(counts_V, kind="stable")
        self._rank_V = np.empty(len(order), dtype=np.int64)
        self._rank_V[order] = np.arange(len(order))
        self._rare_HV = self._rare(self._sets).T.tocsc()

    def _rare(self, sets: Sequence[Hashes]) -> Any:
        """The rarer half of each set, as a sparse matrix. Shingles of no held-out text have no rank
        and count as the rarest."""
        known, place = look_up(np.concatenate(sets), self._shingles_V)
        ends = np.cumsum([0, *map(len, sets)])
        columns: list[NDArray[np.int64]] = []
        for start, end in pairwise(ends):
            ranks = np.sort(self._rank_V[place[start:end][known[start:end]]])
            n_unknown = (end - start) - len(ranks)
            columns.append(ranks[: max(0, (end - start + 1) // 2 - n_unknown)])
        ends = np.cumsum([0, *map(len, columns)])
        ones = np.ones(ends[-1], dtype=np.int32)
        shape = (len(sets), len(self._shingles_V))
        return sparse.csr_matrix((ones, np.concatenate(columns), ends), shape=shape)

    def compare(self, texts: Sequence[str]) -> None:
        """Mark the held-out texts that are near-duplicates of one of these."""
        sets = _shingle_sets(texts)
        shared = (self._rare(sets) @ self._rare_HV).tocoo()
        size, other = np.array([len(one) for one in sets])[shared.row], self._size_H[shared.col]
        most = shared.data + np.maximum(size // 2, other // 2)
        most = np.minimum(most, np.minimum(size, other))
        likely = ~self.found[shared.col] & _is_near(most, size, other)
        rows: list[int] = shared.row[likely].tolist()
        columns: list[int] = shared.col[likely].tolist()
        for row, column in zip(rows, columns, strict=True):
            one, two = sets[row], self._sets[column]
            common = len(np.intersect1d(one, two, assume_unique=True))
            self.found[column] |= _is_near(common, len(one), len(two))


def _is_near(common: Any, size: Any, other: Any) -> Any:
    """Whether sets (one pair, or arrays of pairs) that share `common` elements are near."""
    return common > THRESHOLD * (size + other - common)


class _SharedRuns:
    """Marks held-out texts that share a run of `RUN_CHARACTERS` with another text."""

    def __init__(self, texts: Sequence[str]) -> None:
        batches = list(_batches(texts))
        starts = np.cumsum([0, *map(len, batches)])
        parts = [_window_hashes(batch, RUN_CHARACTERS) for batch in batches]
        owners = [owner + start for (_, owner), start in zip(parts, starts, strict=False)]
        self._owner = np.concatenate(owners)
        self._n_texts = len(texts)
        windows = np.concatenate([hashes for hashes, _ in parts])
        self._windows, self._place = np.unique(windows, return_inverse=True)
        self._copies = np.zeros(len(self._windows), dtype=np.int64)

    def compare(self, texts: Sequence[str]) -> None:
        """Count in how many of these texts each run of the held-out texts occurs."""
        hashes, owner = _window_hashes(texts, RUN_CHARACTERS)
        known, place = look_up(hashes, self._windows)
        pairs = np.unique(owner[known] * len(self._windows) + place[known])
        np.add.at(self._copies, pairs % max(1, len(self._windows)), 1)

    def found(self) -> NDArray[np.bool_]:
        """Which held-out texts have a run that 1 to `MOST_COPIES` other texts contain."""
        is_copied = (self._copies > 0) & (self._copies <= MOST_COPIES)
        flags = np.zeros(self._n_texts, dtype=bool)
        flags[self._owner[is_copied[self._place]]] = True
        return flags


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == _BATCH or characters + len(text) > _BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def look_up(hashes: Hashes, table: Hashes) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each hash is in the sorted table, and its index."""
    if not len(table):
        return np.zeros(len(hashes), dtype=bool), np.zeros(len(hashes), dtype=np.int64)
    place = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
    return table[place] == hashes, place


def distinct(values: Hashes) -> Hashes:
    """Sorted unique values; several times faster than `np.unique` when few repeat."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])[: len(values)]]


_OWNER_BITS = np.uint64(_BATCH.bit_length() - 1)


def _shingle_sets(texts: Sequence[str]) -> list[Hashes]:
    """The sorted unique hashes of each text's shingles; every text has at least one."""
    padded = [text.ljust(SHINGLE_CHARACTERS, "\0") for text in texts]
    hashes, owner = _window_hashes(padded, SHINGLE_CHARACTERS)
    # Sort by text and hash at once in one 64-bit key: the hash gives up the text's bits.
    shift = np.uint64(64) - _OWNER_BITS
    keys = distinct((owner.astype(np.uint64) << shift) | (hashes >> _OWNER_BITS))
    ends = np.searchsorted(keys, np.arange(1, len(texts), dtype=np.uint64) << shift)
    return np.split(keys & ((np.uint64(1) << shift) - np.uint64(1)), ends)


_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_MIXER = np.uint64(0xD6E8FEB86659FD93)


def _window_hashes(texts: Sequence[str], length: int) -> tuple[Hashes, NDArray[np.int64]]:
    """A hash of each run of `length` characters of each text, and the index of its text."""
    data = "".join(texts).encode("utf-32-le", "surrogatepass")
    codes = np.frombuffer(data, dtype=np.uint32).astype(np.uint64)
    return run_hashes(codes, np.array([len(text) for text in texts]), length)


def run_hashes_of_words(words: Sequence[str], length: int) -> Hashes:
    """A hash of each run of `length` words of a text, the same within this process."""
    codes = np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64)
    return run_hashes(codes, np.array([len(words)]), length)[0]


def run_hashes(
    codes: Hashes, lengths: NDArray[np.int64], length: int
) -> tuple[Hashes, NDArray[np.int64]]:
    """A hash of each run of `length` codes of some texts, and the index of its text.

    A polynomial rolling hash with an odd base, modulo 2^64, of mixed codes: the sum over a run is a
    difference of two prefix sums, so its length costs nothing.

    Args:
        codes: of all texts, one after another.
        lengths: codes of each text.
    """
    codes = _mixed(codes)
    powers = np.cumprod(np.full(len(codes), _BASE))
    sums = np.concatenate([np.zeros(1, dtype=np.uint64), np.cumsum(codes * powers)])
    n_windows = np.maximum(lengths - length + 1, 0)
    owner = np.repeat(np.arange(len(lengths)), n_windows)
    skipped = np.cumsum(lengths - n_windows) - (lengths - n_windows)
    start = np.arange(len(owner)) + skipped[owner]
    shifted = np.cumprod(np.full(len(codes), _INVERSE))[start]
    return _mixed((sums[start + length] - sums[start]) * shifted), owner


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> np.uint64(32))) * _MIXER
    return (values ^ (values >> np.uint64(32))) * _MIXER
