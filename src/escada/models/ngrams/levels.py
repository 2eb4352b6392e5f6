"""N-grams of tokens counted in sorted tables, without a Python loop over the text.

    levels = count_ngrams(ids_T, vocab_size, bos_id, longest=6)
    levels[2].counts_N      # how often each trigram was seen

The text is `BOS text EOS` of each document, and each is counted alone. The n-grams of one length
form a level, and each is a row of it. Its key is the row of its first tokens, one level below,
times V, plus its last token:

    key("abc") = row("ab") x V + c

so a key stays below (tokens of the text) x V whatever the length, far from the end of int64, where
V to the power of the length would leave it at once. Sorted by key, the n-grams that continue one
context stand side by side, and a row is an n-gram and at once a context of the level above.

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
"""N-grams that are held at a time: about 3 GB with the tables of a model."""


@dataclass(frozen=True, slots=True)
class Level:
    """The n-grams of one length, in the order of their keys.

    Attributes:
        keys_N: int64, ascending; see the module. Level 1 holds every token: row = token.
        counts_N: int32, how often each was seen.
        kinds_N: int32, how many different tokens were seen just before it; 0 for what opens a
            document, and all zeros in the longest level, where nobody asked.
    """

    keys_N: Integers
    counts_N: NDArray[np.int32]
    kinds_N: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.keys_N)

    def adjusted(self) -> NDArray[np.int32]:
        """What Kneser-Ney counts of a shorter n-gram: its kinds or, if it has none, its count."""
        return np.where(self.kinds_N > 0, self.kinds_N, self.counts_N)

    def find(self, contexts_N: Integers, tokens_N: Integers, vocab_size: int) -> Integers:
        """Rows of the n-grams of these contexts (rows one level below) and last tokens.

        Args:
            contexts_N: `NOT_SEEN` where there is none.
            tokens_N: of the same shape.
            vocab_size: V.

        Returns:
            Of the same shape; `NOT_SEEN` where the table does not hold the n-gram.
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
    """Count all n-grams up to a length, or up to the last that fits into memory.

    BOS is only ever the first token of one: none reaches over the end of a document.

    Args:
        ids_T: the text; see the module.
        vocab_size: V.
        bos_id: opens each document.
        longest: the most tokens of an n-gram, at least 1.
        most: different n-grams in all levels above the first two. A level that would pass it is
            left out, and so are longer ones.

    Returns:
        Level 1 first.
    """
    levels = [_level(np.arange(vocab_size), np.bincount(ids_T, minlength=vocab_size))]
    rows_T = ids_T  # of the n-gram that ends at each token; NOT_SEEN where it would cross a BOS
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
        # Less its first token, an n-gram is one of the level below, whose kinds it is one of.
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
