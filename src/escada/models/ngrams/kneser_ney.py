"""Interpolated modified Kneser-Ney: an n-gram model behind the contract of every model.

    model = KneserNey(count_ngrams(ids_T, vocab_size, bos_id, longest=6), bos_id, order=6)

Chen & Goodman 1999, "An empirical study of smoothing techniques for language modeling", section
4.1.6. With h' the context h less its first token,

    p(w | h) = (a(hw) - D(a(hw))) / sum_v a(hv)  +  rest(h) p(w | h')

where D takes one of three discounts D1, D2, D3+ by how large the count a is, estimated for each
length from the counts of counts, and rest(h) is what the discounts of a context add up to. At the
longest length a is how often hw was seen; below it is how many different tokens were seen before
it, since a shorter n-gram is only asked when the longer one has said what it knows. What opens a
document has BOS before it and nothing else, so there a is the plain count. Below the single token
lies the uniform distribution, so nothing is impossible but BOS, which only ever opens a document
and keeps a vanishing rest.

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
from escada.models.ngrams.levels import NOT_SEEN, Integers, Level

Floats = NDArray[np.float64]
Counts = NDArray[np.int32]

BOS_PROBABILITY = 1e-9
"""A logit must be finite; this is below what float32 keeps of a sum near 1."""
CUSTOMARY_DISCOUNTS = (0.5, 1.0, 1.5)
"""Where counts of counts say nothing, as in a text of a few lines."""


def discounts(counts_E: Counts) -> Floats:
    """What is taken from an n-gram by its count: [0, D1, D2, D3+], shape (4,).

    With n_i the n-grams of count i and Y = n1 / (n1 + 2 n2): D_i = i - (i + 1) Y n_{i+1} / n_i.
    The estimate needs all of n1 to n4, and makes sense when no discount is 0 or less; otherwise
    `CUSTOMARY_DISCOUNTS` are taken.
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
class Table:
    """The n-grams of one length as discounted probabilities, and what each context leaves.

    Attributes:
        tokens_E: the last token of each.
        probabilities_E: discounted, given the context.
        starts_C: E of each context's first n-gram, and where the last one ends: (C + 1,).
        rests_C: the weight of the shorter context; 1 for a context that nothing was seen after.
        totals_C: what was counted after each context.
    """

    tokens_E: Counts
    probabilities_E: Floats
    starts_C: Integers
    rests_C: Floats
    totals_C: Floats

    @classmethod
    def of(cls, levels: Sequence[Level], length: int, *, longest: bool) -> Self:
        """The n-grams of a length, counted as the longest or as a shorter one."""
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
        """Probabilities of n-grams (E), given those of their tokens after the shorter context."""
        rests_N = np.where(contexts_N == NOT_SEEN, 1.0, self.rests_C[contexts_N])
        own_N = np.zeros_like(shorter_N)
        known = rows_N != NOT_SEEN
        own_N[known] = self.probabilities_E[rows_N[known]]
        return rests_N * shorter_N + own_N

    def interpolate_all(self, shorter_NV: Floats, contexts_N: Integers) -> None:
        """The same for every token that may follow, in place."""
        seen = np.flatnonzero(contexts_N != NOT_SEEN)
        contexts = contexts_N[seen]
        shorter_NV[seen] *= self.rests_C[contexts, None]
        firsts = self.starts_C[contexts]
        sizes = self.starts_C[contexts + 1] - firsts
        before = np.cumsum(sizes) - sizes
        entries = np.repeat(firsts - before, sizes) + np.arange(int(sizes.sum()))
        shorter_NV[np.repeat(seen, sizes), self.tokens_E[entries]] += self.probabilities_E[entries]


def single_tokens(level: Level, bos_id: int) -> Floats:
    """Probabilities without a context, over all that can follow: (V,)."""
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
    """The rows of the last token, the last two, … as n-grams: all that the model needs of a text.

    `NOT_SEEN` where the text did not hold those tokens in a row, or there are not yet as many.
    """

    rows_BK: Integers

    @property
    def batch_size(self) -> int:
        """Rows of the batch."""
        return len(self.rows_BK)

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        return type(self)(self.rows_BK[rows.cpu().numpy()])

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(np.concatenate([state.rows_BK for state in states]))


class KneserNey(LanguageModel):
    """An n-gram model behind the contract of every model; it computes on the CPU.

    Args:
        levels: from `count_ngrams`, at least `order` of them.
        bos_id: of the tokenizer.
        order: the most tokens of an n-gram, at least 2.
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
            Table.of(levels, length, longest=length == order) for length in range(2, order + 1)
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
        """None: there is no matrix product."""
        return 0.0

    def parameter_count(self) -> int:
        """Numbers that were estimated: a probability an n-gram, a rest a context."""
        sizes = (len(table.tokens_E) + len(table.rests_C) for table in self._tables)
        return self.vocab_size + sum(sizes)


def ngram_rows(levels: Iterable[Level], ids_BT: Integers, rows_BK: Integers) -> Iterator[Integers]:
    """The row of the n-gram that ends at each token, (B, T), a length after the other.

    The n-gram of k tokens at t is that of k - 1 at t - 1 and the token at t, so each length is
    looked up for all positions at once. `rows_BK` are those of the token before the first.
    """
    levels = list(levels)
    size = len(levels[0])
    yield (rows_BT := ids_BT)
    for k, level in enumerate(levels[1:]):
        contexts_BT = np.concatenate([rows_BK[:, k, None], rows_BT[:, :-1]], axis=1)
        yield (rows_BT := level.find(contexts_BT, ids_BT, size))
