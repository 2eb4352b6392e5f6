"""Counts of the document so far: what followed the last 1, 2, … C tokens earlier in it.

A word used once is likely to be used again (Kuhn & De Mori 1990). With n(c) earlier occurrences of
context c in the document and u(c) distinct tokens after it,

    p(w | c) = (n(c w) + u(c) p'(w)) / (n(c) + u(c))                (Witten & Bell 1991)

where p' is the probability given c without its first token; for contexts of one token the caller
supplies it. `before_each` computes n and u for every token of a text, `successors` whole
distributions in decoding.

    B  rows     T  tokens     S  tokens and those read before them     N  positions, B x T
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.models.ngrams.counting import NOT_SEEN, Integers

NO_TOKEN = -1
"""The id of positions before the first token."""


@dataclass(frozen=True, slots=True)
class Successors:
    """Discounted successors at N positions, for contexts of one length.

    Attributes:
        places_E: position x V + token, unique.
        probabilities_E: of that token there.
        rests_N: backoff weight; 1 if the context was not seen.
        totals_N: total count after the context.
    """

    places_E: Tensor
    probabilities_E: Tensor
    rests_N: Tensor
    totals_N: Tensor


def successors(
    ids_BS: Tensor, tokens: int, lengths: int, vocab_size: int, bos_id: int
) -> list[Successors]:
    """What followed earlier in the document, for contexts of 1, 2, … tokens.

    Args:
        ids_BS: tokens in order, padded on the left with `NO_TOKEN`.
        tokens: T; the last T of S are the positions.
        bos_id: starts a document; nothing before it counts.
    """
    B, S = ids_BS.shape
    N, like = B * tokens, ids_BS
    document_BS = (ids_BS == bos_id).cumsum(dim=1)
    place_T = torch.arange(S - tokens, S, device=like.device)
    earlier_TS = torch.arange(S - 1, device=like.device) < place_T[:, None]
    alike_BTS = earlier_TS & (document_BS[:, S - tokens :, None] == document_BS[:, None, :-1])
    keys_BS, whole_BS = ids_BS, ids_BS != NO_TOKEN
    found: list[Successors] = []
    for length in range(1, lengths + 1):
        if length > 1:
            before_BS = torch.roll(keys_BS, 1, dims=1)
            whole_BS = torch.roll(whole_BS, 1, dims=1) & (ids_BS != bos_id) & whole_BS
            whole_BS[:, 0] = False
            keys_BS = before_BS * vocab_size + ids_BS
        keys_BS = torch.where(whole_BS, keys_BS, NO_TOKEN)
        same_BTS = keys_BS[:, S - tokens :, None] == keys_BS[:, None, :-1]
        same_BTS &= alike_BTS & whole_BS[:, S - tokens :, None]
        row, position, place = torch.nonzero(same_BTS, as_tuple=True)
        position = row * tokens + position
        followed = position * vocab_size + ids_BS[row, place + 1]
        places_E, counts_E = cast(
            "tuple[Tensor, Tensor]", torch.unique(followed, return_counts=True)
        )
        at_E = places_E // vocab_size
        totals_N = torch.bincount(position, minlength=N).float()
        kinds_N = torch.bincount(at_E, minlength=N)
        all_N = totals_N + kinds_N
        rests_N = torch.where(totals_N > 0, kinds_N / all_N, 1.0)
        found.append(Successors(places_E, counts_E / all_N[at_E], rests_N, totals_N))
    return found


def before_each(
    contexts_CT: Sequence[Integers], ids_T: Integers, bos_id: int
) -> list[tuple[Integers, Integers, Integers]]:
    """Counts in the document before each token of a text, for contexts of 1, 2, … tokens.

    Args:
        contexts_CT: for each length, a number of the context of each token, or `NOT_SEEN`.
        ids_T: the text, `BOS text EOS BOS …`.
        bos_id: starts a document.

    Returns:
        For each length: n(c w), n(c) and u(c), shape (T,) each.
    """
    document_T = np.cumsum(ids_T == bos_id)
    found: list[tuple[Integers, Integers, Integers]] = []
    for contexts_T in contexts_CT:
        known_T = contexts_T != NOT_SEEN
        numbers_T = document_T * (int(contexts_T.max(initial=0)) + 1) + contexts_T
        _, context_N = np.unique(numbers_T[known_T], return_inverse=True)
        again_N = _earlier(context_N * (int(ids_T.max()) + 1) + ids_T[known_T])
        result = [np.zeros(len(ids_T), dtype=np.int64) for _ in range(3)]
        result[0][known_T] = again_N
        result[1][known_T] = _earlier(context_N)
        result[2][known_T] = _earlier(context_N, again_N == 0)
        found.append((result[0], result[1], result[2]))
    return found


def _earlier(keys_N: Integers, counted_N: NDArray[np.bool_] | None = None) -> Integers:
    """How many earlier entries (only those with `counted_N`, if given) have the same key."""
    order = np.argsort(keys_N, kind="stable")
    ordered = keys_N[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]]) if len(ordered) else ordered > 0
    each = np.ones(len(order), dtype=np.int64) if counted_N is None else counted_N[order] * 1
    before = np.cumsum(each) - each
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    found = np.empty_like(keys_N)
    found[order] = before - before[first]
    return found
