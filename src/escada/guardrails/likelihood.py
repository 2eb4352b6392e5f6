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
    B  rows     V  vocabulary
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.generation.batch import never_chosen
from escada.generation.decoding import Decoder
from escada.generation.inference import exact_inference
from escada.generation.samplers import SamplerSettings, filtered_logits, softmax
from escada.guardrails.texts import SampleText
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
BATCH_ROWS = 64


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
    batch_rows: int = BATCH_ROWS,
) -> list[Likelihood]:
    """Score texts as if the model had sampled them with `settings`.

    Raises:
        EscadaError: a score is not finite.
    """
    prompts = tokenizer.encode_batch([one.prompt for one in continuations])
    texts = tokenizer.encode_batch([one.text for one in continuations])
    rows = [
        _Row(
            [tokenizer.bos_id, *prompt.tolist()],
            [*text.tolist(), *([tokenizer.eos_id] if one.finished else [])],
        )
        for one, prompt, text in zip(continuations, prompts, texts, strict=True)
    ]
    longest_first = sorted(range(len(rows)), key=lambda i: -len(rows[i].target_ids))
    with exact_inference(model):
        for start in range(0, len(rows), batch_rows):
            batch = [rows[i] for i in longest_first[start : start + batch_rows]]
            _replay_batch(model, tokenizer, [row for row in batch if row.target_ids], settings)
    return [Likelihood(len(row.target_ids), row.bits, row.expected_bits) for row in rows]


@dataclass(slots=True)
class _Row:
    prompt_ids: list[int]
    target_ids: list[int]
    bits: float = 0.0
    expected_bits: float = 0.0


def _replay_batch(
    model: LanguageModel, tokenizer: Tokenizer, rows: list[_Row], settings: SamplerSettings
) -> None:
    """Score one batch; rows are sorted longest first, so finished rows are at the end."""
    if not rows:
        return
    banned = never_chosen(tokenizer)
    seen_BV = np.zeros((len(rows), model.vocab_size), dtype=np.bool_)
    for b, row in enumerate(rows):
        seen_BV[b, row.prompt_ids] = True
    decoder = Decoder(model, [row.prompt_ids for row in rows])
    for t in range(len(rows[0].target_ids)):
        ids_B = np.array([row.target_ids[t] for row in rows])
        logits_BV = decoder.logits_BV.float().cpu().numpy().astype(np.float64)
        drawn_from_BV = filtered_logits(
            logits_BV, settings, seen_BV=seen_BV, banned=banned, where=f"token {t}"
        )
        bits_BV = _bits(logits_BV)
        index_B = np.arange(len(rows))
        charged_B = bits_BV[index_B, ids_B]
        if tokenizer.unk_id is not None:
            charged_B = charged_B + (ids_B == tokenizer.unk_id) * tokenizer.unknown_bits
        expected_B = (_probabilities(drawn_from_BV, settings) * bits_BV).sum(axis=1)
        if not (np.isfinite(charged_B) & np.isfinite(expected_B)).all():
            raise EscadaError(
                "the model's score of a sample is not a finite number",
                fix="its training diverged or its weights are damaged: use another checkpoint",
            )
        for row, bits, expected in zip(rows, charged_B.tolist(), expected_B.tolist(), strict=True):
            row.bits += bits
            row.expected_bits += expected
        seen_BV[index_B, ids_B] = True
        going_on = sum(len(row.target_ids) > t + 1 for row in rows)
        if not going_on:
            return
        if going_on < len(rows):
            rows, seen_BV, ids_B = rows[:going_on], seen_BV[:going_on], ids_B[:going_on]
            decoder.keep(range(going_on))
        decoder.append(ids_B.tolist())


def _probabilities(drawn_from_BV: Floats, settings: SamplerSettings) -> Floats:
    """Probabilities of the next token under the sampler; one-hot when greedy."""
    if not settings.greedy:
        return softmax(drawn_from_BV)
    best_BV = np.zeros_like(drawn_from_BV)
    best_BV[np.arange(len(best_BV)), drawn_from_BV.argmax(axis=1)] = 1.0
    return best_BV


def _bits(logits_BV: Floats) -> Floats:
    """-log2 of the model's probabilities, without temperature or filters."""
    greatest_B1 = logits_BV.max(axis=1, keepdims=True)
    log_sum_B1 = greatest_B1 + np.log(np.exp(logits_BV - greatest_B1).sum(axis=1, keepdims=True))
    return (log_sum_B1 - logits_BV) / math.log(2)
