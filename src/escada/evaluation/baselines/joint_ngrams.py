"""N-grams of training text that held-out text meets, one length at a time.

    counter = JointCounter(training_T, held_out_H, vocab_size, bos_id, eos_id)
    while …: length = counter.count()      # lengths 2, 3, …

Both texts are `BOS text EOS` per document. The places of both are kept sorted by the n-gram that
ends there, and each length refines the order of the one before, in slices that fit a cache. An
n-gram that occurs once in the training text has one successor there, which its place tells, so it
is counted but not sorted further. Hence memory grows with the tokens of the texts, not with the
number of n-grams, and the whole text need not be counted again to look something up.

    T  tokens of the training text     H  tokens of the held-out text     V  vocabulary
    A  places of both that are sorted  E  n-grams of a length that are sorted, by context and token
    C  contexts of those n-grams
    N  held-out tokens whose context occurs at least twice in the training text
    M  held-out tokens whose context occurs once in it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.ruler import in_batches
from escada.text.tokenizers import Tokenizer

Tokens = NDArray[np.unsignedinteger[Any]]
Places = NDArray[np.int32]
Counts = NDArray[np.int32]
Booleans = NDArray[np.bool_]

SLICE_PLACES = 2**20
"""Places sorted at once: 8 MB of keys."""
NOWHERE = -1
_ENCODED_CHARACTERS = 2**22


def token_stream(tokenizer: Tokenizer, texts: Iterable[str]) -> Tokens:
    """`BOS text EOS` of every text in one array, of the smallest type that holds the vocabulary."""
    dtype = np.min_scalar_type(tokenizer.vocab_size)
    bos, eos = np.array([[tokenizer.bos_id], [tokenizer.eos_id]], dtype=dtype)
    pieces: list[Tokens] = [np.empty(0, dtype=dtype)]
    for batch in in_batches(texts, len, _ENCODED_CHARACTERS):
        parts = [part for ids in tokenizer.encode_batch(batch) for part in (bos, ids, eos)]
        pieces.append(np.concatenate(parts, dtype=dtype, casting="unsafe"))
    return np.concatenate(pieces)


@dataclass(frozen=True, slots=True)
class Length:
    """The n-grams of one length, and those that the held-out tokens complete.

    Attributes:
        counts_E: in the training text; 0 for n-grams of the held-out text only.
        kinds_E: number of distinct tokens before the n-gram in the training text, 0 at the start of
            a document. Complete once the next length is counted.
        tokens_E: the last token.
        starts_C1: the first n-gram of each context, and E.
        once: n-grams whose context occurs once, and so they: not among E.
        places_N: where in the held-out text.
        contexts_N: the context, a number below C.
        rows_N: the n-gram that ends there.
        places_M: where in the held-out text.
        successors_M: the token that follows the context in the training text.
    """

    counts_E: Counts
    kinds_E: Counts
    tokens_E: Tokens
    starts_C1: Places
    once: int
    places_N: Places
    contexts_N: Places
    rows_N: Places
    places_M: Places
    successors_M: Tokens

    @property
    def distinct(self) -> int:
        """The number of n-grams of the training text."""
        return int(np.count_nonzero(self.counts_E)) + self.once

    def adjusted(self) -> Counts:
        """Kneser-Ney's count of a shorter n-gram: its kinds or, if it has none, its count."""
        return np.where(self.kinds_E > 0, self.kinds_E, self.counts_E)


class JointCounter:
    """Counts the n-grams of both texts, one token longer with each call of `count`.

    Attributes:
        counts_V: of the tokens in the training text.
        kinds_V: see `Length.kinds_E`; complete once length 2 is counted.
    """

    def __init__(
        self, training_T: Tokens, held_out_H: Tokens, vocab_size: int, bos_id: int, eos_id: int
    ) -> None:
        self._ids = np.concatenate([training_T, held_out_H])
        self._n_training = len(training_T)
        self._bos_id, self._eos_id = bos_id, eos_id
        self._token_bits = vocab_size.bit_length()
        self.counts_V = _counted(training_T, vocab_size)
        self.kinds_V: Counts = np.zeros(vocab_size, dtype=np.int32)
        self._kinds = self.kinds_V  # of the last length
        self._rows_T = training_T.astype(np.int32)  # of the last length; NOWHERE: none
        self._is_alone_T: Booleans = np.zeros(len(training_T), dtype=np.bool_)
        only_V = np.full(vocab_size, NOWHERE, dtype=np.int32)
        for piece in _pieces(len(training_T)):
            places = np.flatnonzero(self.counts_V[training_T[piece]] == 1) + piece.start
            self._is_alone_T[places] = True
            only_V[training_T[places]] = places
        # The place in the training text of the n-gram that ends at a held-out token, if it has one.
        self._alone_H: Places = np.empty(len(held_out_H), dtype=np.int32)
        for piece in _pieces(len(held_out_H)):
            self._alone_H[piece] = only_V[held_out_H[piece]]
        counts_V = _counted(self._ids, vocab_size)
        self._order_A, self._is_first_A = self._sorted_tokens(counts_V)
        self._keep(self.counts_V[counts_V > 0])

    def _sorted_tokens(self, counts_V: Counts) -> tuple[Places, Booleans]:
        """Places by token, and which of them is the first of a token."""
        next_V = np.cumsum(counts_V, dtype=np.int64) - counts_V
        is_first_A = np.zeros(len(self._ids), dtype=np.bool_)
        is_first_A[next_V[counts_V > 0]] = True
        order_A = np.empty(len(self._ids), dtype=np.int32)
        for piece in _pieces(len(self._ids)):
            ids = self._ids[piece]
            order = np.argsort(ids, kind="stable")
            ids = ids[order]
            of_piece_V = np.bincount(ids, minlength=len(counts_V))
            shift_V = next_V - (np.cumsum(of_piece_V) - of_piece_V)
            order_A[shift_V[ids] + np.arange(len(ids))] = order + piece.start
            next_V += of_piece_V
        return order_A, is_first_A

    def count(self) -> Length:
        """The next length; completes the kinds of the last."""
        once = self._follow_those_alone()
        places_M, successors_M = self._follow_held_out_alone()
        found, beginnings_N = self._sort(once, places_M, successors_M)
        is_alone_N = found.counts_E[found.rows_N] == 1
        self._alone_H[found.places_N[is_alone_N]] = beginnings_N[is_alone_N]
        self._kinds = found.kinds_E
        self._enter(found.counts_E)
        return found

    def _follow_those_alone(self) -> int:
        """Step n-grams that occur once on by a token: their number."""
        alone_T = np.zeros_like(self._is_alone_T)
        alone_T[1:] = self._is_alone_T[:-1]
        alone_T &= self._ids[: self._n_training] != self._bos_id
        for piece in _pieces(self._n_training):
            endings = self._rows_T[piece][alone_T[piece]]
            np.add.at(self._kinds, endings[endings != NOWHERE], 1)
        self._is_alone_T = alone_T
        return int(np.count_nonzero(alone_T))

    def _follow_held_out_alone(self) -> tuple[Places, Tokens]:
        """The held-out tokens after n-grams that occur once, and what follows those in training."""
        ids_H = self._ids[self._n_training :]
        places_M = np.flatnonzero((self._alone_H[:-1] != NOWHERE) & (ids_H[1:] != self._bos_id)) + 1
        next_M = self._alone_H[places_M - 1] + 1
        successors_M = self._ids[next_M]
        is_right_M = successors_M == ids_H[places_M]
        self._alone_H.fill(NOWHERE)
        self._alone_H[places_M[is_right_M]] = next_M[is_right_M]
        return places_M.astype(np.int32), successors_M

    def _sort(self, once: int, places_M: Places, successors_M: Tokens) -> tuple[Length, Places]:
        """Step the sorted places on by a token and sort them, a slice of contexts at a time.

        Returns the length and the first place of the n-gram at each of its `places_N`.
        """
        counts: list[Counts] = [np.empty(0, dtype=np.int32)]
        tokens: list[Tokens] = [self._ids[:0]]
        starts_of_contexts: list[Places] = []
        n_held_out = sum(
            int(np.count_nonzero(self._order_A[piece] >= self._n_training))
            for piece in _pieces(len(self._order_A))
        )
        places_N, contexts_N, rows_N, beginnings_N = (
            np.empty(n_held_out, dtype=np.int32) for _ in range(4)
        )
        begin = n_rows = n_contexts = n_filled = 0
        while begin < len(self._order_A):
            end = self._end_of_slice(begin)
            places = self._order_A[begin:end] + np.int32(1)
            contexts = np.cumsum(self._is_first_A[begin:end]) - 1
            index_bits = (end - begin).bit_length()
            keys = contexts << self._token_bits
            keys |= self._ids[places]
            keys <<= index_bits
            keys |= np.arange(end - begin)
            keys.sort()
            places = places[keys & ((1 << index_bits) - 1)]
            keys >>= index_bits
            is_first = np.append(True, keys[1:] != keys[:-1])
            self._order_A[begin:end], self._is_first_A[begin:end] = places, is_first
            begin = end

            starts = np.flatnonzero(is_first)
            keys_E = keys[starts]
            contexts_E = keys_E >> self._token_bits
            is_held_out = places >= self._n_training
            counts_E = np.add.reduceat(~is_held_out, starts, dtype=np.int32)
            counts.append(counts_E)
            tokens.append((keys_E & ((1 << self._token_bits) - 1)).astype(self._ids.dtype))
            # In the order of a text, so those of the training text come first.
            beginnings_E = places[starts]
            np.add.at(self._kinds, self._rows_T[beginnings_E[counts_E > 0]], 1)
            starts_C = np.flatnonzero(np.diff(contexts_E, prepend=-1))
            starts_of_contexts.append((starts_C + n_rows).astype(np.int32))
            here = np.flatnonzero(is_held_out)
            rows = np.cumsum(is_first)[here] - 1
            n = slice(n_filled, n_filled := n_filled + len(here))
            places_N[n] = places[here] - self._n_training
            contexts_N[n] = contexts_E[rows] + n_contexts
            rows_N[n] = rows + n_rows
            beginnings_N[n] = beginnings_E[rows]
            n_rows += len(starts)
            n_contexts += len(starts_C)
        found = Length(
            counts_E=np.concatenate(counts),
            kinds_E=np.zeros(n_rows, dtype=np.int32),
            tokens_E=np.concatenate(tokens),
            starts_C1=np.concatenate([*starts_of_contexts, np.array([n_rows], dtype=np.int32)]),
            once=once,
            places_N=places_N,
            contexts_N=contexts_N,
            rows_N=rows_N,
            places_M=places_M,
            successors_M=successors_M,
        )
        return found, beginnings_N

    def _end_of_slice(self, begin: int) -> int:
        """Where a slice ends: contexts are whole."""
        end = begin + SLICE_PLACES
        rest = self._is_first_A[end:]
        step = int(rest.argmax()) if len(rest) else 0
        return end + step if len(rest) and rest[step] else len(self._order_A)

    def _enter(self, counts_E: Counts) -> None:
        """Note which n-gram ends at each place."""
        self._rows_T.fill(NOWHERE)
        for piece, rows in self._rows():
            places = self._order_A[piece]
            is_training = places < self._n_training
            places, rows = places[is_training], rows[is_training]
            self._rows_T[places] = rows
            self._is_alone_T[places[counts_E[rows] == 1]] = True
        self._keep(counts_E)

    def _keep(self, counts_E: Counts) -> None:
        """Go on with the n-grams that occur again and do not end a document."""
        kept = 0
        for piece, rows in self._rows():
            places = self._order_A[piece]
            is_kept = (counts_E[rows] > 1) & (self._ids[places] != self._eos_id)
            n = int(np.count_nonzero(is_kept))
            self._order_A[kept : kept + n] = places[is_kept]
            self._is_first_A[kept : kept + n] = self._is_first_A[piece][is_kept]
            kept += n
        self._order_A, self._is_first_A = self._order_A[:kept], self._is_first_A[:kept]

    def _rows(self) -> Iterator[tuple[slice, Places]]:
        """The rows of the sorted places, a piece at a time."""
        row = NOWHERE
        for piece in _pieces(len(self._order_A)):
            rows = np.cumsum(self._is_first_A[piece], dtype=np.int32) + np.int32(row)
            row = int(rows[-1])
            yield piece, rows


def _pieces(n: int) -> Iterator[slice]:
    """Slices of an array: numpy makes 8 bytes of each index, however small."""
    return (slice(begin, min(begin + SLICE_PLACES, n)) for begin in range(0, n, SLICE_PLACES))


def _counted(ids_T: Tokens, vocab_size: int) -> Counts:
    counts_V = np.zeros(vocab_size, dtype=np.int64)
    for piece in _pieces(len(ids_T)):
        counts_V += np.bincount(ids_T[piece], minlength=vocab_size)
    return counts_V.astype(np.int32)
