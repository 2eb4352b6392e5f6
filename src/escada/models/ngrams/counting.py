"""N-grams counted in sorted arrays, without a Python loop over the text.

    levels = count_ngrams(ids_T, vocab_size, bos_id, longest=6)
    levels[2].counts_N      # counts of trigrams

The text is `BOS text EOS` per document; n-grams do not cross documents. A level holds the n-grams
of one length, one per row. The key of an n-gram is the row of its prefix one level below, times V,
plus its last token:

    key("abc") = row("ab") x V + c

so keys stay below (tokens of the text) x V for any length, while V ** length would overflow int64.
Sorted by key, the n-grams with a common context are adjacent, and a row also identifies a context
of the level above.

    N  n-grams of a level     T  tokens of the text     V  vocabulary
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

NOT_SEEN = -1
"""The row of an n-gram that is not in the table."""
MOST_NGRAMS = 2**26
"""Maximum number of n-grams: about 3 GB with the tables of a model."""


@dataclass(frozen=True, slots=True)
class Level:
    """The n-grams of one length, sorted by key.

    Attributes:
        keys_N: int64, ascending; see the module docstring. In level 1 the row is the token.
        counts_N: int32.
        kinds_N: int32, number of distinct tokens before the n-gram; 0 at the start of a document,
            and in the longest level, where it is not needed.
    """

    keys_N: Integers
    counts_N: NDArray[np.int32]
    kinds_N: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys_N)

    def adjusted(self) -> NDArray[np.int32]:
        """Kneser-Ney's count of a shorter n-gram: its kinds or, if it has none, its count."""
        return np.where(self.kinds_N > 0, self.kinds_N, self.counts_N)

    def find(self, contexts_N: Integers, tokens_N: Integers, vocab_size: int) -> Integers:
        """Rows of n-grams, given contexts (rows one level below) and last tokens.

        `NOT_SEEN` where the context is `NOT_SEEN` or the table lacks the n-gram.
        """
        rows_N = np.full(contexts_N.shape, NOT_SEEN, dtype=np.int64)
        asked = np.nonzero(contexts_N != NOT_SEEN)
        if len(self):
            keys = contexts_N[asked] * vocab_size + tokens_N[asked]
            places = np.minimum(np.searchsorted(self.keys_N, keys), len(self) - 1)
            rows_N[asked] = np.where(self.keys_N[places] == keys, places, NOT_SEEN)
        return rows_N


def count_ngrams(
    ids_T: Integers, vocab_size: int, bos_id: int, longest: int, *, most: int = MOST_NGRAMS
) -> list[Level]:
    """Count n-grams up to a length, or the longest that fits into memory; level 1 first.

    Args:
        ids_T: the text; see the module docstring.
        bos_id: starts each document; occurs only as the first token of an n-gram.
        longest: maximum length, at least 1.
        most: limit on distinct n-grams of more than two tokens. A level that would exceed it is
            left out, and so are longer ones.
    """
    levels = [_level(np.arange(vocab_size), np.bincount(ids_T, minlength=vocab_size))]
    rows_T = ids_T  # of the n-gram ending at each token; NOT_SEEN if it would cross a BOS
    for length in range(2, longest + 1):
        contexts_T = np.concatenate([[NOT_SEEN], rows_T[:-1]])
        whole_T = (contexts_T != NOT_SEEN) & (ids_T != bos_id)
        keys_N, row_of, counts_N = np.unique(
            contexts_T[whole_T] * vocab_size + ids_T[whole_T],
            return_inverse=True,
            return_counts=True,
        )
        if length > 2 and sum(map(len, levels)) + len(keys_N) > most:
            break
        # Without its first token an n-gram is one of the level below, and adds to its kinds.
        ending_N = np.empty_like(keys_N)
        ending_N[row_of] = rows_T[whole_T]
        below = levels[-1]
        kinds_N = np.bincount(ending_N, minlength=len(below)).astype(np.int32)
        levels[-1] = replace(below, kinds_N=kinds_N)
        levels.append(_level(keys_N, counts_N))
        rows_T = np.full_like(ids_T, NOT_SEEN)
        rows_T[whole_T] = row_of
    return levels


def _level(keys_N: Integers, counts_N: Integers) -> Level:
    return Level(keys_N, counts_N.astype(np.int32), np.zeros(len(keys_N), dtype=np.int32))
