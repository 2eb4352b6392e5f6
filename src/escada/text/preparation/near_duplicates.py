"""An index of held-out texts that finds those of which another text has more than half.

Two texts are near-duplicates when their sets of shingles share more than half of their union. The
sets are compared only where the sketches, the `SKETCH` shingles with the smallest hashes, share
enough: of two sets that share half of their union, sketches share 256 shingles with a standard
deviation of at most 11.3, so `LEAST_SHARED` misses less than one pair in 10^9. A small set is its
own sketch, and nothing is missed.

How many shingles each two sketches share is one product of sparse matrices. Shingles that more than
`FREQUENT` of the held-out texts have, as those of a template, are left out of it as far as a pair
that shares enough still shares one of the others (prefix filtering: Chaudhuri, Ganti and Kaushik
2006; bound on the rest: Xiao et al., PPJoin, 2008).

Legend: H held-out texts, V shingles of their sketches, B texts of a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

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
    merged,
    pieces,
)

THRESHOLD = 0.5
"""Jaccard similarity of shingles above which two texts are near-duplicates."""
SKETCH = 512
LEAST_SHARED = 188
FREQUENT = 1 / 2
FOUND_ANEW = 1 / 10
"""Share of the held-out texts still looked for whose finding makes the index be made smaller."""
_PAIRS = 2**22
"""Pairs of texts counted at once, with each of the shingles that they share: 100 MB."""
Counts = NDArray[np.int32]


class Rarest(NamedTuple):
    """The sketches of some texts without the frequent shingles.

    Attributes:
        kept_BV: ones, a sparse matrix.
        last_B: rank up to which a sketch's shingles are kept.
        n_rest_B: shingles of a sketch that are not.
    """

    kept_BV: Any
    last_B: Counts
    n_rest_B: Counts


class NearDuplicates:
    """Marks held-out texts of which another text shares more than half of the shingles."""

    @staticmethod
    def make(texts: Iterable[str], folder: Path) -> None:
        """Write the index of the held-out texts."""
        parts = [_shingles(batch) for batch in batches(texts)]
        keys = np.concatenate([keys for keys, _ in parts])
        size_H = np.concatenate([sizes for _, sizes in parts])
        shingles_V, counts_V = np.unique(_sketches(keys, size_H), return_counts=True)
        order = np.argsort(counts_V, kind="stable")
        rank_V = np.empty(len(order), dtype=np.int32)
        rank_V[order] = np.arange(len(order), dtype=np.int32)
        n_rare = int((counts_V <= FREQUENT * len(size_H)).sum())
        rarest = _rarest(keys, size_H, shingles_V, rank_V, n_rare)
        texts_VH = rarest.kept_BV.T.tocsr()
        arrays = {
            "sets": keys,
            "size": size_H.astype(np.int32),
            "shingles": shingles_V,
            "rank": rank_V,
            "n_rare": np.array(n_rare),
            "last": rarest.last_B,
            "n_rest": rarest.n_rest_B,
            "starts": texts_VH.indptr,
            "texts": texts_VH.indices,
        }
        for name, values in arrays.items():
            np.save(folder / f"{name}.npy", values)

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._size_H, self._last_H, self._n_rest_H, n_rare = (
            np.load(folder / f"{name}.npy") for name in ("size", "last", "n_rest", "n_rare")
        )
        self._n_rare = int(n_rare)
        self._sets, self._shingles_V, self._rank_V = (
            loaded(folder, name) for name in ("sets", "shingles", "rank")
        )
        self._hold(loaded(folder, "starts"), loaded(folder, "texts"))
        self._ends_H = np.cumsum(np.append(0, self._size_H), dtype=np.int64)
        self._found_H = np.zeros(len(self._size_H), dtype=bool)
        self._n_left_out = 0

    def save(self, rank: int) -> None:
        """Write what was marked."""
        np.save(self._folder / f"found-{rank}.npy", self._found_H)

    def compare(self, texts: Sequence[str]) -> None:
        """Mark the held-out texts that are near-duplicates of one of these."""
        keys, long_B = _shingles(texts)
        ends_B, size_B = np.cumsum(np.append(0, long_B)), long_B.astype(np.int32)
        rarest = _rarest(keys, long_B, self._shingles_V, self._rank_V, self._n_rare)
        n_pairs = np.cumsum(np.append(0, self._n_texts_V[rarest.kept_BV.indices]))
        n_pairs_B = np.diff(n_pairs[rarest.kept_BV.indptr])
        for first, last in pairwise(cuts(n_pairs_B.tolist(), _PAIRS)):
            shared = (rarest.kept_BV[first:last] @ self._texts_VH).tocoo()
            row, column = shared.row + first, shared.col
            one, two = rarest.last_B[row], self._last_H[column]
            rest, other = rarest.n_rest_B[row], self._n_rest_H[column]
            # What is shared besides has a rank above the lower of the two last ones.
            besides = np.where(one < two, rest, np.where(two < one, other, np.minimum(rest, other)))
            is_likely = _may_be_near(shared.data + besides, size_B[row], self._size_H[column])
            likely = np.flatnonzero(is_likely & ~self._found_H[column])
            for i, j in zip(row[likely].tolist(), column[likely].tolist(), strict=True):
                if not self._found_H[j]:
                    mine = keys[ends_B[i] : ends_B[i + 1]]
                    theirs = self._sets[self._ends_H[j] : self._ends_H[j + 1]]
                    n_shared = len(np.intersect1d(mine, theirs, assume_unique=True))
                    self._found_H[j] = _is_near(n_shared, len(mine), len(theirs))
        n_found = int(self._found_H.sum())
        if n_found - self._n_left_out > FOUND_ANEW * (len(self._found_H) - self._n_left_out):
            self._leave_out_found()

    def _hold(self, starts: Places, texts: Counts) -> None:
        """Compare with these texts: those that have one shingle after another."""
        shape = len(self._shingles_V), len(self._size_H)
        ones = np.ones(len(texts), dtype=np.int32)
        self._texts_VH: Any = sparse.csr_matrix((ones, texts, starts), shape=shape)
        self._n_texts_V = np.diff(starts)

    def _leave_out_found(self) -> None:
        """Compare no more with what is marked: of texts of one template most are, soon."""
        texts: Counts = self._texts_VH.indices
        is_left = ~self._found_H[texts]
        before = np.append(0, np.cumsum(is_left))
        self._hold(before[self._texts_VH.indptr], texts[is_left])
        self._n_left_out = int(self._found_H.sum())


def _is_near(shared: Any, size: Any, other: Any) -> Any:
    """Whether sets (one pair, or arrays of pairs) that share `shared` elements are near."""
    return shared > THRESHOLD * (size + other - shared)


def _may_be_near(
    shared: NDArray[np.int32], size: NDArray[np.int32], other: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Whether sets of these sizes, whose sketches share at most `shared`, may be near."""
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


def _rarest(
    keys: Hashes, size_B: Places, shingles_V: Hashes, rank_V: NDArray[np.int32], n_rare: int
) -> Rarest:
    """Of each text's sketch the shingles with a rank below `n_rare`; if those are too few, the
    rarest. Shingles of no held-out sketch have no rank and count as the rarest."""
    n_B = np.minimum(size_B, SKETCH)
    is_known, place = look_up(_sketches(keys, size_B), shingles_V)
    owner = np.repeat(np.arange(len(n_B), dtype=np.int64), n_B)[is_known]
    rank = rank_V[place[is_known]]
    n_known_B = np.bincount(owner, minlength=len(n_B))
    n_rare_B = np.bincount(owner[rank < n_rare], minlength=len(n_B))
    # Near-duplicates share more than half of the smaller set.
    n_needed_B = n_B + 1 - np.minimum(LEAST_SHARED, (n_B + 1) // 2) - (n_B - n_known_B)
    n_kept_B = np.maximum(n_rare_B, n_needed_B)
    by_rank = np.sort((owner << 32) | rank)
    offset = np.arange(len(by_rank)) - np.repeat(np.cumsum(n_known_B) - n_known_B, n_known_B)
    columns = (by_rank & 0xFFFFFFFF)[offset < np.repeat(n_kept_B, n_known_B)].astype(np.int32)
    ends = np.cumsum(np.append(0, n_kept_B))
    ones = np.ones(len(columns), dtype=np.int32)
    kept_BV = sparse.csr_matrix((ones, columns, ends), shape=(len(n_B), len(shingles_V)))
    last_B = np.full(len(n_B), n_rare - 1, dtype=np.int32)
    is_longer = n_kept_B > n_rare_B
    last_B[is_longer] = columns[ends[1:][is_longer] - 1]
    return Rarest(kept_BV, last_B, (n_known_B - n_kept_B).astype(np.int32))


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
    keys = parts[0] if len(parts) == 1 else merged(parts)
    size_B = np.bincount((keys >> shift).astype(np.int64), minlength=len(texts))
    return keys & ((np.uint64(1) << shift) - np.uint64(1)), size_B
