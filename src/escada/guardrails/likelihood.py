"""Bits that a model charges for a text, and bits that its sampler would have spent.

    found = replay(model, tokenizer, continuations, settings)
    found[0].bits / found[0].tokens              # as the ruler charges them
    found[0].excess_bits / found[0].tokens       # about 0 only if this sampler wrote it

The text is tokenized after its prompt and read with the contexts that the decoder would have used.
At each token the model gives the distribution p, and the sampler's settings turn it into q, from
which the token should have been drawn. Token x costs -log2 p(x); a token drawn from q costs the
mean of -log2 p over q. The difference is 0 on average for text drawn from q, whatever the text (a
martingale), and large for anything else: human text is less probable than the choices of a
sharpened q, noise far less.

A text may be tokenized differently than it was sampled; new samples (the control `own`) show by how
much that matters.
    B  rows     T  tokens     N  targets     V  vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError
from escada.evaluation.scoring import passes
from escada.generation.batch import never_chosen
from escada.generation.inference import exact_inference
from escada.generation.samplers import Mask, SamplerSettings, filtered_logits, softmax
from escada.guardrails.texts import SampleText
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
BATCH_TOKENS = 512
"""The sampler's filters copy the logits several times."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Sums over the tokens of a text, including EOS if its writer ended it.

    `expected_bits` is the expected cost of tokens drawn by the sampler in the same contexts.
    """

    tokens: int
    bits: float
    expected_bits: float

    @property
    def excess_bits(self) -> float:
        """`bits` minus `expected_bits`."""
        return self.bits - self.expected_bits


def replay(
    model: LanguageModel,
    tokenizer: Tokenizer,
    continuations: Sequence[SampleText],
    settings: SamplerSettings,
    *,
    batch_tokens: int = BATCH_TOKENS,
) -> list[Likelihood]:
    """Score texts as if the model had sampled them with `settings`.

    Raises:
        EscadaError: a score is not finite.
    """
    prompts = tokenizer.encode_batch([one.prompt for one in continuations])
    texts = tokenizer.encode_batch([one.text for one in continuations])
    begins = [[tokenizer.bos_id, *prompt] for prompt in prompts]
    ends = [[tokenizer.eos_id] if one.finished else [] for one in continuations]
    sequences = [
        np.array([*begin, *text, *end], dtype=np.int64)
        for begin, text, end in zip(begins, texts, ends, strict=True)
    ]
    spent = _Spent([len(begin) for begin in begins], sequences, tokenizer, settings)
    with exact_inference(model):
        for _ in passes(model, sequences, spent, batch_tokens=batch_tokens):
            pass
    return [
        Likelihood(len(sequence) - first, bits, expected)
        for sequence, first, bits, expected in zip(
            sequences, spent.firsts, spent.bits.tolist(), spent.expected_bits.tolist(), strict=True
        )
    ]


class _Spent:
    """A sink (`scoring.Sink`) of each sequence's bits and expected bits."""

    def __init__(
        self,
        firsts: Sequence[int],
        sequences: Sequence[NDArray[np.int64]],
        tokenizer: Tokenizer,
        settings: SamplerSettings,
    ) -> None:
        self.firsts, self._sequences = firsts, sequences
        self._tokenizer, self._settings = tokenizer, settings
        self._banned = never_chosen(tokenizer)
        self.bits, self.expected_bits = np.zeros(len(firsts)), np.zeros(len(firsts))

    def add(
        self,
        logits_BTV: Tensor,
        targets_BT: Tensor,
        scored_BT: Tensor,
        sequences: Sequence[int],
        places: Sequence[int],
    ) -> None:
        """See `Sink.add`."""
        logits_NV = logits_BTV[scored_BT].float().cpu().numpy().astype(np.float64)
        if not len(logits_NV):
            return
        ids_N = targets_BT[scored_BT].cpu().numpy()
        row_N, column_N = np.nonzero(scored_BT.cpu().numpy())
        sequence_N, place_N = np.array(sequences)[row_N], np.array(places)[row_N] + column_N
        drawn_from_NV = filtered_logits(
            logits_NV,
            self._settings,
            seen_BV=self._seen(sequence_N, place_N, logits_NV.shape[1]),
            banned=self._banned,
            where="a sample read again",
        )
        bits_NV = _bits(logits_NV)
        charged_N = bits_NV[np.arange(len(ids_N)), ids_N]
        if (unk := self._tokenizer.unk_id) is not None:
            charged_N = charged_N + (ids_N == unk) * self._tokenizer.unknown_bits
        expected_N = (_probabilities(drawn_from_NV, self._settings) * bits_NV).sum(axis=1)
        if not (np.isfinite(charged_N) & np.isfinite(expected_N)).all():
            raise EscadaError(
                "the model's score of a sample is not a finite number",
                fix="its training diverged or its weights are damaged: use another checkpoint",
            )
        np.add.at(self.bits, sequence_N, charged_N)
        np.add.at(self.expected_bits, sequence_N, expected_N)

    def _seen(
        self, sequence_N: NDArray[np.int64], place_N: NDArray[np.int64], vocab_size: int
    ) -> Mask | None:
        """The tokens before each target, which a repetition penalty needs: (N, V)."""
        if self._settings.repetition_penalty == 1.0:
            return None
        seen_NV = np.zeros((len(place_N), vocab_size), dtype=np.bool_)
        for n, (sequence, place) in enumerate(zip(sequence_N, place_N, strict=True)):
            seen_NV[n, self._sequences[sequence][:place]] = True
        return seen_NV


def _probabilities(drawn_from_NV: Floats, settings: SamplerSettings) -> Floats:
    """Probabilities of the next token under the sampler; one-hot when greedy."""
    if not settings.greedy:
        return softmax(drawn_from_NV)
    best_NV = np.zeros_like(drawn_from_NV)
    best_NV[np.arange(len(best_NV)), drawn_from_NV.argmax(axis=1)] = 1.0
    return best_NV


def _bits(logits_NV: Floats) -> Floats:
    """-log2 of the model's probabilities, without temperature or filters."""
    greatest_N1 = logits_NV.max(axis=1, keepdims=True)
    log_sum_N1 = greatest_N1 + np.log(np.exp(logits_NV - greatest_N1).sum(axis=1, keepdims=True))
    return (log_sum_N1 - logits_NV) / math.log(2)
