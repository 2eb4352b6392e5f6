"""Uniform, unigram and bigram models: weak baselines, and noise as a control.

    tokenizer = character_tokenizer(training_texts)
    bigram = bigram_model(tokenizer, training_texts)
    scores = score_documents(bigram, tokenizer, test_documents)       # by the same ruler
    noise = generate(uniform_model(tokenizer), tokenizer, [""], …)    # by the same decoding

Each is a table of logits with the interface of every other model, so it is measured and sampled in
the same way. Unknown characters become UNK and are charged as for a rung.

    V  vocabulary     K  rows of the table: V, or 1 for a model that ignores its context
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.evaluation.scoring import bracketed
from escada.models.contract import DecodingState, LanguageModel
from escada.spec import TokenizerSpec
from escada.text.tokenizers import Tokenizer, train_tokenizer

Floats = NDArray[np.float64]


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Characters seen at least 3 times, as in v1: the baselines' tokenizer."""
    return train_tokenizer(TokenizerSpec(kind="characters"), texts)


def uniform_model(tokenizer: Tokenizer) -> TableModel:
    """Every token equally likely: its samples are noise, its score log2 V bits per token."""
    return TableModel(np.zeros((1, tokenizer.vocab_size)))


def unigram_model(tokenizer: Tokenizer, texts: Sequence[str]) -> TableModel:
    """Token frequencies with add-one (Laplace) smoothing."""
    return TableModel(np.log(_unigram(_pair_counts(tokenizer, texts), tokenizer.bos_id))[None])


def bigram_model(tokenizer: Tokenizer, texts: Sequence[str]) -> TableModel:
    """Bigrams interpolated with the unigram model (Witten & Bell 1991).

    p(b | a) = (c(ab) + t(a) p(b)) / (c(a) + t(a)), where t(a) is the number of distinct tokens seen
    after a: contexts with many distinct successors leave more mass to unseen ones.
    """
    counts_VV = _pair_counts(tokenizer, texts)
    unigram_V = _unigram(counts_VV, tokenizer.bos_id)
    kinds_V1 = np.count_nonzero(counts_VV, axis=1)[:, None]
    seen_V1 = counts_VV.sum(axis=1, keepdims=True)
    weights_VV = counts_VV + np.maximum(kinds_V1, seen_V1 == 0) * unigram_V
    return TableModel(np.log(weights_VV / weights_VV.sum(axis=1, keepdims=True)))


def _pair_counts(tokenizer: Tokenizer, texts: Sequence[str]) -> Floats:
    """Counts of token pairs, over separate documents, from BOS to EOS."""
    size = tokenizer.vocab_size
    counts = np.zeros(size * size, dtype=np.int64)
    for ids in tokenizer.encode_batch(texts):
        path = bracketed(ids, tokenizer)
        pairs, times = np.unique(path[:-1] * size + path[1:], return_counts=True)
        counts[pairs] += times
    return counts.reshape(size, size).astype(np.float64)


def _unigram(counts_VV: Floats, bos_id: int) -> Floats:
    """Token probabilities; BOS is never predicted and gets a negligible one."""
    counts_V = counts_VV.sum(axis=0) + 1
    counts_V[bos_id] = 1e-9
    return counts_V / counts_V.sum()


@dataclass(slots=True)
class TableState:
    """The state of a table: only the number of rows."""

    batch_size: int

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        return type(self)(len(rows))

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(sum(state.batch_size for state in states))


class TableModel(LanguageModel):
    """Logits looked up by the last token; K is V, or 1 for a model that ignores its context."""

    context_tokens = None

    def __init__(self, logits_KV: Floats) -> None:
        super().__init__()
        rows, self.vocab_size = logits_KV.shape
        self.ignores_context = rows == 1
        self.logits_KV = nn.Parameter(torch.tensor(logits_KV, dtype=torch.float32))

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.logits_KV[torch.zeros_like(ids_BT) if self.ignores_context else ids_BT]

    def fresh_state(self, batch_size: int) -> TableState:
        """See `LanguageModel.fresh_state`."""
        return TableState(batch_size)

    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert state.batch_size == len(ids_BT)
        return self(ids_BT)

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """Zero: a lookup needs no multiplication."""
        return 0.0
