"""The character Kneser-Ney n-gram baseline: interpolated modified Kneser-Ney, as in `KneserNey`.

    baseline = KneserNeyBaseline(tokenizer, training_texts, validation_texts)
    baseline.score(asked).nats      # of each text, as the ruler charges it
    baseline.order                  # the length of the longest n-grams that suits the validation

A model of all n-grams with their probabilities would outgrow memory. Here each length is counted in
the training text together with the held-out text (`joint_ngrams`), and the probability of every
held-out token goes from length to length: no n-gram is left out, and memory is about 20 bytes per
token of the training text and 40 per held-out token. The training text is counted once per
`PASS_TOKENS` of held-out text.

    T  tokens of the training text     H  tokens of the held-out text, N, M of them (`Length`)
    E  n-grams of a length     P  places where the first choice is wanted     V  vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import InitVar, dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.baselines.joint_ngrams import (
    Counts,
    JointCounter,
    Length,
    Places,
    Tokens,
    token_stream,
)
from escada.evaluation.ruler import in_batches
from escada.generation.batch import never_chosen
from escada.models.ngrams.counting import Level
from escada.models.ngrams.kneser_ney import CUSTOMARY_DISCOUNTS, single_tokens
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Progress = Callable[[float], None]

SHORTEST_ORDER, LONGEST_ORDER = 3, 20
"""Range of orders to try."""
PASS_TOKENS = 2**22
"""Held-out tokens scored per pass over the training text; the validation texts come on top."""
_TOKENS_AT_ONCE = 2**18


@dataclass(frozen=True, slots=True)
class Asked:
    """A text to score, and for how many of its last tokens, and EOS, the first choice is wanted."""

    text: str
    choices: int = 0


@dataclass(frozen=True, slots=True)
class LastTokens:
    """Nats of the last tokens of a text and of EOS, and the model's first choice there."""

    nats: Floats
    chosen: Integers


@dataclass(frozen=True, slots=True)
class TextNats:
    """Nats, targets and unknown characters of each text; `last` of texts with choices, by index."""

    nats: Floats
    tokens: Integers
    unknown: Integers
    last: dict[int, LastTokens]


@dataclass
class KneserNeyBaseline:
    """Training text whose n-grams score other texts.

    Attributes:
        validation: texts that choose the order.
        orders: the first and last to try, both at least 2.
        order: length of the longest n-grams; chosen with the first texts that are scored.
        figures: bits per byte of the validation texts, by order.
        parameters: a probability per n-gram and a backoff weight per context, by order.
        progress: called with the number of tokens scored so far; a text that is scored up to some
            length counts in part.
    """

    tokenizer: Tokenizer
    training: InitVar[Iterable[str]]
    validation: Sequence[str]
    orders: tuple[int, int] = (SHORTEST_ORDER, LONGEST_ORDER)
    progress: Progress = lambda _: None
    order: int = 0
    figures: dict[int, float] = field(default_factory=dict[int, float])
    parameters: dict[int, int] = field(default_factory=dict[int, int])

    def __post_init__(self, training: Iterable[str]) -> None:
        self._training_T = token_stream(self.tokenizer, training)

    def score(self, asked: Iterable[Asked]) -> TextNats:
        """Score each text alone, from BOS to EOS, unknown characters included."""
        parts: list[TextNats] = []
        last: dict[int, LastTokens] = {}
        texts = tokens = 0
        for batch in in_batches(asked, lambda one: len(one.text) + 2, PASS_TOKENS):
            part = self._score(batch, tokens)
            last |= {texts + i: one for i, one in part.last.items()}
            texts += len(part.nats)
            tokens += int(part.tokens.sum())
            parts.append(part)
        none = np.empty(0, dtype=np.int64)
        return TextNats(
            nats=np.concatenate([np.empty(0), *(part.nats for part in parts)]),
            tokens=np.concatenate([none, *(part.tokens for part in parts)]),
            unknown=np.concatenate([none, *(part.unknown for part in parts)]),
            last=last,
        )

    def _score(self, asked: Sequence[Asked], tokens_before: int) -> TextNats:
        """One pass over the training text."""
        tokenizer = self.tokenizer
        choosing: Sequence[str] = () if self.order else self.validation
        ids_H = token_stream(tokenizer, chain(choosing, (one.text for one in asked)))
        starts = np.flatnonzero(ids_H == tokenizer.bos_id)
        ends = np.append(starts[1:], len(ids_H))
        chosen_by = slice(0, starts[len(choosing)] if asked else len(ids_H))
        starts, ends = starts[len(choosing) :], ends[len(choosing) :]
        wanted = {i: one.choices + 1 for i, one in enumerate(asked) if one.choices}
        places: list[Integers] = [np.arange(ends[i] - n, ends[i]) for i, n in wanted.items()]
        places_P = np.concatenate([np.empty(0, dtype=np.int64), *places])
        longest = self.order or self.orders[1]
        found: _Order | None = None
        parameters, shorter = tokenizer.vocab_size, tokenizer.vocab_size
        for order, (length, one) in enumerate(self._orders(ids_H, longest, places_P), start=2):
            self.progress(tokens_before + int((ends - starts).sum()) * (order - 1) / (longest - 1))
            parameters += length.distinct + shorter
            shorter = length.distinct
            if not choosing:
                found = one
            elif order >= self.orders[0]:
                figure = self._validation_figure(ids_H[chosen_by], one.p_H[chosen_by])
                self.parameters[order] = parameters
                if found is None or figure < min(self.figures.values()):
                    found, self.order = one, order
                self.figures[order] = figure
        assert found is not None
        nats_H, chosen_P = -np.log(found.p_H), found.choices()
        nats_H[starts] = 0
        is_unknown_H = ids_H == _unknown_id(tokenizer)
        nats_H[is_unknown_H] += tokenizer.unknown_bits * math.log(2)
        last: dict[int, LastTokens] = {}
        done = 0
        for i, n in wanted.items():
            at_P = slice(done, done + n)
            last[i] = LastTokens(nats_H[places_P[at_P]], chosen_P[at_P])
            done += n
        return TextNats(
            nats=np.add.reduceat(nats_H, starts),
            tokens=ends - starts - 1,
            unknown=np.add.reduceat(is_unknown_H, starts, dtype=np.int64),
            last=last,
        )

    def _validation_figure(self, ids_H: Tokens, p_H: Floats) -> float:
        """Bits per byte of the validation texts."""
        nats = -float(np.log(p_H[ids_H != self.tokenizer.bos_id]).sum())
        unknown = int(np.count_nonzero(ids_H == _unknown_id(self.tokenizer)))
        n_bytes = sum(len(text.encode()) for text in self.validation)
        return (nats / math.log(2) + unknown * self.tokenizer.unknown_bits) / n_bytes

    def _orders(
        self, ids_H: Tokens, longest: int, places_P: Integers
    ) -> Iterator[tuple[Length, _Order]]:
        """The model of each order from 2 to `longest` on a held-out text."""
        tokenizer = self.tokenizer
        counter = JointCounter(
            self._training_T, ids_H, tokenizer.vocab_size, tokenizer.bos_id, tokenizer.eos_id
        )
        shorter: Length | None = None
        order: _Order | None = None
        for _ in range(2, longest + 1):
            length = counter.count()
            if order is None or shorter is None:
                tokens = np.arange(tokenizer.vocab_size)
                single = Level(tokens, counter.counts_V, counter.kinds_V)
                p_V = single_tokens(single, tokenizer.bos_id)
                order = _Order.of_single_tokens(p_V, ids_H, places_P, never_chosen(tokenizer))
            else:
                order = order.with_length(shorter, shorter.adjusted())
            shorter = length
            yield length, order.with_length(length, length.counts_E)


@dataclass(frozen=True, slots=True)
class _Order:
    """What n-grams up to some length give.

    Attributes:
        p_H: probability of each held-out token.
        p_PV: of every token at the places where the first choice is wanted.
        row_H: the row of each held-out token in `p_PV`; -1: none.
        never_chosen: tokens that decoding does not choose.
    """

    ids_H: Tokens
    p_H: Floats
    p_PV: Floats
    row_H: Places
    never_chosen: Sequence[int]

    @classmethod
    def of_single_tokens(
        cls, p_V: Floats, ids_H: Tokens, places_P: Integers, never: Sequence[int]
    ) -> _Order:
        row_H = np.full(len(ids_H), -1, dtype=np.int32)
        row_H[places_P] = np.arange(len(places_P), dtype=np.int32)
        return cls(ids_H, p_V[ids_H], np.tile(p_V, (len(places_P), 1)), row_H, never)

    def choices(self) -> Integers:
        """The first choice at each place where it is wanted, (P,)."""
        p_PV = self.p_PV.copy()
        p_PV[:, list(self.never_chosen)] = -1
        return p_PV.argmax(axis=1)

    def with_length(self, length: Length, counts_E: Counts) -> _Order:
        """Interpolate with n-grams that are longer by a token, by counts or adjusted counts."""
        numbers = np.bincount(np.minimum(counts_E, 5), minlength=5)[:5]
        numbers[1] += length.once
        discount = _discounts(numbers)
        rests_C, totals_C = _of_contexts(length, counts_E, discount)
        p_H, p_PV = self.p_H.copy(), self.p_PV.copy()
        for first in range(0, len(length.places_N), _TOKENS_AT_ONCE):
            n = slice(first, first + _TOKENS_AT_ONCE)
            at_N, contexts_N = length.places_N[n], length.contexts_N[n]
            counts_N = counts_E[length.rows_N[n]]
            own_N = (counts_N - discount[np.minimum(counts_N, 3)]) / totals_C[contexts_N]
            p_H[at_N] = rests_C[contexts_N] * p_H[at_N] + own_N

            wanted = np.flatnonzero(self.row_H[at_N] >= 0)
            rows, contexts = self.row_H[at_N[wanted]], contexts_N[wanted]
            firsts = length.starts_C1[contexts]
            sizes = length.starts_C1[contexts + 1] - firsts
            entries = np.arange(int(sizes.sum())) + np.repeat(firsts - _before(sizes), sizes)
            counts = counts_E[entries]
            own = counts - discount[np.minimum(counts, 3)]
            p_PV[rows] *= rests_C[contexts, None]
            p_PV[np.repeat(rows, sizes), length.tokens_E[entries]] += own / np.repeat(
                totals_C[contexts], sizes
            )

        # After a context that occurs once, its successor has the count 1 and so the total is 1.
        once, at_M = 1 - discount[1], length.places_M
        p_H[at_M] = discount[1] * p_H[at_M] + once * (length.successors_M == self.ids_H[at_M])
        wanted = np.flatnonzero(self.row_H[at_M] >= 0)
        rows = self.row_H[at_M[wanted]]
        p_PV[rows] *= discount[1]
        p_PV[rows, length.successors_M[wanted]] += once
        return _Order(self.ids_H, p_H, p_PV, self.row_H, self.never_chosen)


def _discounts(numbers: NDArray[np.int64]) -> Floats:
    """As `models.ngrams.kneser_ney.discounts`, from how many n-grams have count 0, 1, 2, 3, 4."""
    n = numbers.astype(np.float64)
    found = np.array(CUSTOMARY_DISCOUNTS)
    if n[1:].all():
        share = n[1] / (n[1] + 2 * n[2])
        estimates = [i - (i + 1) * share * n[i + 1] / n[i] for i in (1, 2, 3)]
        if min(estimates) > 0:
            found = np.array(estimates)
    return np.append(0.0, found)


def _of_contexts(length: Length, counts_E: Counts, discount: Floats) -> tuple[Floats, Counts]:
    """Backoff weight and total count of each context, (C,)."""
    starts_C = length.starts_C1[:-1]
    if not len(starts_C):
        return np.empty(0), np.empty(0, dtype=np.int32)
    totals_C = np.add.reduceat(counts_E, starts_C, dtype=np.int32)
    freed_C = np.zeros(len(starts_C))
    for value, is_counted in ((1, counts_E == 1), (2, counts_E == 2), (3, counts_E > 2)):
        freed_C += discount[value] * np.add.reduceat(is_counted, starts_C, dtype=np.int32)
    freed_C /= totals_C
    return freed_C, totals_C


def _before(sizes: Counts) -> Integers:
    return np.cumsum(sizes, dtype=np.int64) - sizes


def _unknown_id(tokenizer: Tokenizer) -> int:
    return -1 if tokenizer.unk_id is None else tokenizer.unk_id
