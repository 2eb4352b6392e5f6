"""Kneser-Ney probabilities of the counted text itself, with each token's own group left out.

Counts predict their own text far better than any other. Whatever is learned from counts on that
text therefore uses counts of the other groups (thesis, author, site) only, as for a held-out
document. The discounts are those of the whole text.

Without a group an n-gram of the longest length loses its count in that group; a shorter one loses
the distinct preceding tokens seen only there. Its context loses the same, and backoff weights
change accordingly.

    T  tokens of the text     N  tokens with an n-gram of some length
    K  lengths                P  pairs of an n-gram and a group
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from escada.models.ngrams.counting import NOT_SEEN, Integers, Level
from escada.models.ngrams.document import before_each
from escada.models.ngrams.kneser_ney import BOS_PROBABILITY, discounts, ngram_rows

Floats32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Charged:
    """What the counts give for each token of the text.

    Attributes:
        probabilities_TK: of the token, from n-grams of up to 1, 2, … K tokens of other groups.
        totals_TK: total count after its context; 0 if not seen.
        rests_TK: backoff weight; 1 if the context was not seen.
    """

    probabilities_TK: Floats32
    totals_TK: Floats32
    rests_TK: Floats32

    def with_document(
        self, levels: Sequence[Level], ids_T: Integers, bos_id: int, lengths: int
    ) -> Self:
        """Add columns for what followed the last 1, 2, … tokens earlier in the document."""
        rows = ngram_rows(levels[:lengths], ids_T[None], np.full((1, lengths), NOT_SEEN))
        contexts = [np.where(ids_T == bos_id, NOT_SEEN, np.roll(rows_1T[0], 1)) for rows_1T in rows]
        p_T = self.probabilities_TK[:, -1]
        columns = [self.probabilities_TK], [self.totals_TK], [self.rests_TK]
        for again_T, seen_T, kinds_T in before_each(contexts, ids_T, bos_id):
            all_T = np.maximum(seen_T + kinds_T, 1)
            rests_T = np.where(seen_T > 0, kinds_T / all_T, 1.0)
            p_T = again_T / all_T + rests_T * p_T
            for column, found_T in zip(columns, (p_T, seen_T, rests_T), strict=True):
                column.append(found_T[:, None].astype(np.float32))
        return type(self)(*(np.concatenate(column, axis=1) for column in columns))


@dataclass(frozen=True, slots=True)
class _GroupCounts:
    """Count of each n-gram of a length in each group."""

    known_T: NDArray[np.bool_]
    pair_of_N: Integers
    keys_P: Integers
    rows_P: Integers
    groups_P: Integers
    seen_P: Integers

    @classmethod
    def of(cls, rows_T: Integers, groups_T: Integers, n_groups: int) -> Self:
        known_T = rows_T != NOT_SEEN
        keys_P, pair_of_N, seen_P = np.unique(
            rows_T[known_T] * n_groups + groups_T[known_T], return_inverse=True, return_counts=True
        )
        return cls(known_T, pair_of_N, keys_P, *np.divmod(keys_P, n_groups), seen_P)


def left_out(levels: Sequence[Level], ids_T: Integers, groups_T: Integers, bos_id: int) -> Charged:
    """Compute leave-group-out probabilities; see the module docstring.

    Args:
        levels: from `count_ngrams` of the same text.
        groups_T: the group number of each token, from 0.
    """
    V, G, T = len(levels[0]), int(groups_T.max()) + 1, len(ids_T)
    p_TK, totals_TK = np.empty((T, len(levels)), np.float32), np.zeros((T, len(levels)), np.float32)
    rests_TK = np.ones((T, len(levels)), np.float32)
    p_T = np.where(ids_T == bos_id, BOS_PROBABILITY, 1 / (V - 1))
    lengths = ngram_rows(levels, ids_T[None], np.full((1, len(levels)), NOT_SEEN))
    rows_T = np.where(ids_T == bos_id, NOT_SEEN, next(lengths)[0])
    own = _GroupCounts.of(rows_T, groups_T, G)
    for k, level in enumerate(levels):
        counts_E, lost_P = level.adjusted(), own.seen_P
        if k == 0:
            counts_E[bos_id] = 0
        longer: _GroupCounts | None = None
        if k + 1 < len(levels):
            longer_T = next(lengths)[0]
            longer = _GroupCounts.of(longer_T, groups_T, G)
            endings = np.empty(len(levels[k + 1]), dtype=np.int64)
            endings[longer_T[longer.known_T]] = rows_T[longer.known_T]
            alone = longer.seen_P == levels[k + 1].counts_N[longer.rows_P]
            keys = endings[longer.rows_P[alone]] * G + longer.groups_P[alone]
            kinds_P = np.bincount(np.searchsorted(own.keys_P, keys), minlength=len(own.keys_P))
            lost_P = np.where(level.kinds_N[own.rows_P] > 0, kinds_P, lost_P)
            rows_T = longer_T

        # Counts without the group, of the n-grams and of their contexts.
        discount = discounts(counts_E)
        before_P = counts_E[own.rows_P]
        left_P = before_P - lost_P
        discount_P = discount[np.minimum(left_P, 3)]
        freed_P = discount[np.minimum(before_P, 3)] - discount_P
        context_E = level.keys_N // V if k else np.zeros(V, dtype=np.int64)
        context_P = context_E[own.rows_P]
        _, place_P = np.unique(context_P * G + own.groups_P, return_inverse=True)
        totals_P = (
            np.bincount(context_E, weights=counts_E)[context_P]
            - np.bincount(place_P, weights=lost_P)[place_P]
        )
        taken_P = (
            np.bincount(context_E, weights=discount[np.minimum(counts_E, 3)])[context_P]
            - np.bincount(place_P, weights=freed_P)[place_P]
        )
        seen_P = totals_P > 0.5  # integer counts, up to rounding
        most_P = np.where(seen_P, totals_P, 1.0)
        rests_P = np.where(seen_P, taken_P / most_P, 1.0)
        own_P = np.where(seen_P, (left_P - discount_P) / most_P, 0.0)

        known_T, pairs_N = own.known_T, own.pair_of_N
        p_T[known_T] = own_P[pairs_N] + rests_P[pairs_N] * p_T[known_T]
        p_TK[:, k] = p_T
        totals_TK[known_T, k] = np.where(seen_P, totals_P, 0.0)[pairs_N]
        rests_TK[known_T, k] = rests_P[pairs_N]
        if longer is not None:
            own = longer
    return Charged(p_TK, totals_TK, rests_TK)
