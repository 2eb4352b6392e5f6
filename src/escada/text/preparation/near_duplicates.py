"""An index of held-out texts that finds those of which another text has more than half.

Two texts are near-duplicates when their sets of shingles share more than half of their union. The
sets are compared only where the sketches, the `SKETCH` shingles with the smallest hashes, share
enough: of two sets that share half of their union, sketches share 256 shingles with a standard
deviation of at most 11.3, so `LEAST_SHARED` misses less than one pair in 10^9. A small set is its
own sketch, and nothing is missed. How many shingles each two sketches share is one product of
sparse matrices.

Legend: H held-out texts, V shingles of their sketches, B texts of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from escada.text.preparation.dedup import SHINGLE_CHARACTERS, cuts
from escada.text.preparation.hashes import (
    BATCH_TEXTS,
    Hashes,
    Places,
    RunHashes,
    batches,
    distinct,
    loaded,
    look_up,
    pieces,
)

THRESHOLD = 0.5
"""Jaccard similarity of shingles above which two texts are near-duplicates."""
SKETCH = 512
LEAST_SHARED = 188
_PAIRS = 2**24
"""Pairs of texts counted at once, with each of the shingles that they share."""


class NearDuplicates:
    """Marks held-out texts of which another text shares more than half of the shingles."""

    @staticmethod
    def make(texts: Iterable[str], folder: Path) -> None:
        """Write the index of the held-out texts."""
        parts = [_shingles(batch) for batch in batches(texts)]
        keys = np.concatenate([keys for keys, _ in parts])
        size_H = np.concatenate([sizes for _, sizes in parts])
        shingles_V = distinct(_sketches(keys, size_H))
        texts_VH = _matrix(keys, size_H, shingles_V).T.tocsr()
        arrays = {
            "sets": keys,
            "size": size_H.astype(np.int32),
            "shingles": shingles_V,
            "starts": texts_VH.indptr,
            "texts": texts_VH.indices,
        }
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size_H = np.load(folder / "size.npy")
        self._sets, self._shingles_V = loaded(folder, "sets"), loaded(folder, "shingles")
        starts, texts = loaded(folder, "starts"), loaded(folder, "texts")
        self._texts_VH = sparse.csr_matrix(
            (np.ones(len(texts), dtype=np.int32), texts, starts),
            shape=(len(self._shingles_V), len(self._size_H)),
        )
        self._n_texts_V = np.diff(starts)
        self._ends_H = np.cumsum(np.append(0, self._size_H), dtype=np.int64)
        self._found_H = np.zeros(len(self._size_H), dtype=bool)

    def save(self, rank: int) -> None:
        """Write what was marked."""
        np.save(self._folder / f"found-{rank}.npy", self._found_H)

    def compare(self, texts: Sequence[str]) -> None:
        """Mark the held-out texts that are near-duplicates of one of these."""
        keys, long_B = _shingles(texts)
        ends_B, size_B = np.cumsum(np.append(0, long_B)), long_B.astype(np.int32)
        sketches_BV = _matrix(keys, long_B, self._shingles_V)
        n_pairs = np.cumsum(np.append(0, self._n_texts_V[sketches_BV.indices]))
        n_pairs_B = np.diff(n_pairs[sketches_BV.indptr])
        for first, last in pairwise(cuts(n_pairs_B.tolist(), _PAIRS)):
            shared = (sketches_BV[first:last] @ self._texts_VH).tocoo()
            row, column = shared.row + first, shared.col
            is_likely = _may_be_near(shared.data, size_B[row], self._size_H[column])
            likely = np.flatnonzero(is_likely & ~self._found_H[column])
            for i, j in zip(row[likely].tolist(), column[likely].tolist(), strict=True):
                if not self._found_H[j]:
                    mine = keys[ends_B[i] : ends_B[i + 1]]
                    theirs = self._sets[self._ends_H[j] : self._ends_H[j + 1]]
                    n_shared = len(np.intersect1d(mine, theirs, assume_unique=True))
                    self._found_H[j] = _is_near(n_shared, len(mine), len(theirs))


def _is_near(shared: Any, size: Any, other: Any) -> Any:
    """Whether sets (one pair, or arrays of pairs) that share `shared` elements are near."""
    return shared > THRESHOLD * (size + other - shared)


def _may_be_near(
    shared: NDArray[np.int32], size: NDArray[np.int32], other: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether sets of these sizes, whose sketches share `shared` shingles, may be near."""
    small, large = np.minimum(size, other), np.maximum(size, other)
    enough = np.where(large <= SKETCH, _is_near(shared, size, other), shared >= LEAST_SHARED)
    return enough & (small > THRESHOLD * large)


def _sketches(keys: Hashes, size_B: Places) -> Hashes:
    """The smallest hashes of each text.

    Args:
        keys: the sorted shingles of one text after another, `size_B` of each.
    """
    first_B = np.cumsum(size_B) - size_B
    return keys[np.arange(len(keys)) - np.repeat(first_B, size_B) < SKETCH]


def _matrix(keys: Hashes, size_B: Places, shingles_V: Hashes) -> Any:
    """The sketch of each text: a sparse matrix (B, V) of ones."""
    is_known, place = look_up(_sketches(keys, size_B), shingles_V)
    owner = np.repeat(np.arange(len(size_B)), np.minimum(size_B, SKETCH))[is_known]
    ends = np.cumsum(np.append(0, np.bincount(owner, minlength=len(size_B))))
    columns = place[is_known].astype(np.int32)
    ones = np.ones(len(columns), dtype=np.int32)
    return sparse.csr_matrix((ones, columns, ends), shape=(len(size_B), len(shingles_V)))


_OWNER_BITS = np.uint64(BATCH_TEXTS.bit_length() - 1)


def _shingles(texts: Sequence[str]) -> tuple[Hashes, Places]:
    """The sorted unique hashes of each text's shingles, one text after another, and how many each
    has; every text has at least one."""
    padded = [text.ljust(SHINGLE_CHARACTERS, "\0") for text in texts]
    # Sort by text and hash at once in one 64-bit key: the hash gives up the text's bits.
    shift = np.uint64(64) - _OWNER_BITS
    parts: list[Hashes] = []
    for part in pieces(padded, SHINGLE_CHARACTERS):
        hashes, owner = RunHashes.of_texts(part).all(SHINGLE_CHARACTERS)
        parts.append(distinct((owner.astype(np.uint64) << shift) | (hashes >> _OWNER_BITS)))
    keys = parts[0] if len(parts) == 1 else distinct(np.concatenate(parts))
    size_B = np.bincount((keys >> shift).astype(np.int64), minlength=len(texts))
    return keys & ((np.uint64(1) << shift) - np.uint64(1)), size_B
