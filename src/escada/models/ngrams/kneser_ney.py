"""Interpolated modified Kneser-Ney, as a `LanguageModel`.

    model = KneserNey(count_ngrams(ids_T, vocab_size, bos_id, longest=6), bos_id, order=6)

Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling", section
4.1.6. With h' the context h without its first token,

    p(w | h) = (a(hw) - D(a(hw))) / sum_v a(hv)  +  rest(h) p(w | h')

D is one of three discounts D1, D2, D3+ depending on the count a, estimated per length from counts
of counts; rest(h) is the total discount of h. At the longest length a(hw) is the count of hw; at
shorter ones the number of distinct tokens before it. N-grams at the start of a document only have
BOS before them and use the plain count. Unigrams interpolate with the uniform distribution, so
everything is possible except BOS, which only opens documents and gets a vanishing probability.

    B  rows     T  tokens     V  vocabulary     N  positions, B x T     K  context lengths
    C  contexts of a level    E  n-grams of a level
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.models.contract import DecodingState, LanguageModel
from escada.models.ngrams.counting import NOT_SEEN, Integers, Level

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

BOS_PROBABILITY = 1e-9
"""Finite as a logit, and lost to float32 rounding in a sum near 1."""
CUSTOMARY_DISCOUNTS = (0.5, 1.0, 1.5)
"""Used if the counts of counts are too few, as in a text of a few lines."""


def discounts(counts_E: Counts) -> Floats:
    """Discounts by count: [0, D1, D2, D3+], shape (4,).

    With n_i the n-grams of count i and Y = n1 / (n1 + 2 n2): D_i = i - (i + 1) Y n_{i+1} / n_i.
    `CUSTOMARY_DISCOUNTS` if one of n1 to n4 is zero or a discount is not positive.
    """
    n = np.bincount(counts_E[counts_E <= 4], minlength=5).astype(np.float64)
    found = np.array(CUSTOMARY_DISCOUNTS)
    if n[1:].all():
        share = n[1] / (n[1] + 2 * n[2])
        estimates = [i - (i + 1) * share * n[i + 1] / n[i] for i in (1, 2, 3)]
        if min(estimates) > 0:
            found = np.array(estimates)
    return np.concatenate([[0.0], found])


@dataclass(frozen=True, slots=True)
class NgramTable:
    """The n-grams of one length: discounted probabilities, and backoff weights of contexts.

    Attributes:
        tokens_E: the last token of each.
        probabilities_E: discounted, given the context.
        starts_C: index of each context's first n-gram, and the total: (C + 1,).
        rests_C: backoff weight; 1 for a context without successors.
        totals_C: total count after each context.
    """

    tokens_E: Counts
    probabilities_E: Floats
    starts_C: Integers
    rests_C: Floats
    totals_C: Floats

    @classmethod
    def of(cls, levels: Sequence[Level], length: int, *, longest: bool) -> Self:
        """Build the table of a length; `longest` uses plain counts."""
        level, n_contexts = levels[length - 1], len(levels[length - 2])
        counts_E = level.counts_N if longest else level.adjusted()
        context_E, tokens_E = np.divmod(level.keys_N, len(levels[0]))
        discount_E = discounts(counts_E)[np.minimum(counts_E, 3)]
        total_C = np.bincount(context_E, weights=counts_E, minlength=n_contexts)
        taken_C = np.bincount(context_E, weights=discount_E, minlength=n_contexts)
        sizes_C = np.bincount(context_E, minlength=n_contexts)
        return cls(
            tokens_E=tokens_E.astype(np.int32),
            probabilities_E=(counts_E - discount_E) / total_C[context_E],
            starts_C=np.concatenate([[0], np.cumsum(sizes_C)]),
            rests_C=np.where(sizes_C > 0, taken_C / np.maximum(total_C, 1), 1.0),
            totals_C=total_C.astype(np.float64),
        )

    def interpolate(self, shorter_N: Floats, contexts_N: Integers, rows_N: Integers) -> Floats:
        """Probabilities of n-grams (rows), given those with the shorter context."""
        rests_N = np.where(contexts_N == NOT_SEEN, 1.0, self.rests_C[contexts_N])
        own_N = np.zeros_like(shorter_N)
        known = rows_N != NOT_SEEN
        own_N[known] = self.probabilities_E[rows_N[known]]
        return rests_N * shorter_N + own_N

    def interpolate_all(self, shorter_NV: Floats, contexts_N: Integers) -> None:
        """The same for every possible next token, in place."""
        seen = np.flatnonzero(contexts_N != NOT_SEEN)
        contexts = contexts_N[seen]
        shorter_NV[seen] *= self.rests_C[contexts, None]
        firsts = self.starts_C[contexts]
        sizes = self.starts_C[contexts + 1] - firsts
        before = np.cumsum(sizes) - sizes
        entries = np.repeat(firsts - before, sizes) + np.arange(int(sizes.sum()))
        shorter_NV[np.repeat(seen, sizes), self.tokens_E[entries]] += self.probabilities_E[entries]


def single_tokens(level: Level, bos_id: int) -> Floats:
    """Unigram probabilities of everything but BOS: (V,)."""
    counts_V = level.adjusted()
    counts_V[bos_id] = 0
    discount_V = discounts(counts_V)[np.minimum(counts_V, 3)]
    total = max(int(counts_V.sum()), 1)
    rest = 1 - float((counts_V - discount_V).sum()) / total
    probabilities_V = (counts_V - discount_V) / total + rest / (len(counts_V) - 1)
    probabilities_V[bos_id] = BOS_PROBABILITY
    return probabilities_V


@dataclass(slots=True)
class ContextState:
    """Rows of the n-grams formed by the last 1, 2, … tokens.

    `NOT_SEEN` if the n-gram is not in the training text or too few tokens were read.
    """

    rows_BK: Integers

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return len(self.rows_BK)

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        return type(self)(self.rows_BK[rows.cpu().numpy()])

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(np.concatenate([state.rows_BK for state in states]))


class KneserNey(LanguageModel):
    """A Kneser-Ney n-gram model, which runs on the CPU.

    Args:
        levels: from `count_ngrams`, at least `order` of them.
        order: length of the longest n-grams, at least 2.
    """

    context_tokens = None

    def __init__(self, levels: Sequence[Level], bos_id: int, order: int) -> None:
        super().__init__()
        if not 2 <= order <= len(levels):
            raise ValueError(f"order {order}, n-grams were counted up to {len(levels)}")
        self.order = order
        self.vocab_size = len(levels[0])
        tokens_V = single_tokens(levels[0], bos_id)
        self.single_V = nn.Parameter(torch.from_numpy(tokens_V), requires_grad=False)
        self._levels = list(levels[: order - 1])
        self._tables = [
            NgramTable.of(levels, length, longest=length == order) for length in range(2, order + 1)
        ]

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.advance(ids_BT, self.fresh_state(len(ids_BT)))

    def fresh_state(self, batch_size: int) -> ContextState:
        """See `LanguageModel.fresh_state`."""
        return ContextState(np.full((batch_size, self.order - 1), NOT_SEEN))

    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, ContextState)
        contexts_KBT = list(ngram_rows(self._levels, ids_BT.cpu().numpy(), state.rows_BK))
        state.rows_BK = np.stack([rows_BT[:, -1] for rows_BT in contexts_KBT], axis=1)
        single_V = self.single_V.detach().cpu().numpy()
        p_NV = np.tile(single_V, (ids_BT.numel(), 1))
        for table, contexts_BT in zip(self._tables, contexts_KBT, strict=True):
            table.interpolate_all(p_NV, contexts_BT.ravel())
        logits_NV = torch.from_numpy(np.log(p_NV, out=p_NV)).float()
        return logits_NV.view(*ids_BT.shape, self.vocab_size).to(ids_BT.device)

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """Zero: there are no matrix products."""
        return 0.0

    def parameter_count(self) -> int:
        """Estimated values: a probability per n-gram and a backoff weight per context."""
        sizes = (len(table.tokens_E) + len(table.rests_C) for table in self._tables)
        return self.vocab_size + sum(sizes)


def ngram_rows(levels: Iterable[Level], ids_BT: Integers, rows_BK: Integers) -> Iterator[Integers]:
    """Rows of the n-grams ending at each token, (B, T), one length after the other.

    The n-gram of k tokens at t is that of k - 1 at t - 1 followed by token t, so each length is one
    vectorized look-up. `rows_BK` are the rows at the token before the first.
    """
    levels = list(levels)
    size = len(levels[0])
    yield (rows_BT := ids_BT)
    for k, level in enumerate(levels[1:]):
        contexts_BT = np.concatenate([rows_BK[:, k, None], rows_BT[:, :-1]], axis=1)
        yield (rows_BT := level.find(contexts_BT, ids_BT, size))
