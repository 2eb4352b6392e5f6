"""Uniform, unigram and bigram models: weak baselines, and noise as a control.

    tokenizer = character_tokenizer(training_texts)
    bigram = bigram_model(tokenizer, training_texts)
    scores = bigram.score(tokenizer, test_documents)                  # by the same ruler
    noise = generate(uniform_model(tokenizer), tokenizer, [""], …)    # by the same decoding

Each is a table of logits with the interface of every other model, so it is measured and sampled in
the same way. Unknown characters become UNK and are charged as for a rung.

    V  vocabulary     K  rows of the table: V, or 1 for a model that ignores its context
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.evaluation.baselines.joint_ngrams import token_stream
from escada.evaluation.ruler import DocumentNames, DocumentScores, in_batches, protocol_of
from escada.models.contract import DecodingState, LanguageModel
from escada.spec import TokenizerSpec
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer, train_tokenizer

Floats = NDArray[np.float64]
_COUNTED_CHARACTERS = 2**22


def character_tokenizer(texts: Iterable[str]) -> Tokenizer:
    """Characters seen at least 3 times, as in v1: the baselines' tokenizer."""
    return train_tokenizer(TokenizerSpec(kind="characters"), texts)


def uniform_model(tokenizer: Tokenizer) -> TableModel:
    """Every token equally likely: its samples are noise, its score log2 V bits per token."""
    return TableModel(np.zeros((1, tokenizer.vocab_size)))


def unigram_model(tokenizer: Tokenizer, texts: Iterable[str]) -> TableModel:
    """Token frequencies with add-one (Laplace) smoothing."""
    return TableModel(np.log(_unigram(_pair_counts(tokenizer, texts), tokenizer.bos_id))[None])


def bigram_model(tokenizer: Tokenizer, texts: Iterable[str]) -> TableModel:
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


def _pair_counts(tokenizer: Tokenizer, texts: Iterable[str]) -> Floats:
    """Counts of token pairs, over separate documents, from BOS to EOS."""
    size = tokenizer.vocab_size
    counts = np.zeros(size * size)
    for batch in in_batches(texts, len, _COUNTED_CHARACTERS):
        ids_T = token_stream(tokenizer, batch)
        pairs = ids_T[:-1].astype(np.int64) * size + ids_T[1:]
        counts += np.bincount(pairs[ids_T[1:] != tokenizer.bos_id], minlength=size * size)
    return counts.reshape(size, size)


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

    def score(self, tokenizer: Tokenizer, documents: Iterable[Document]) -> DocumentScores:
        """The scores of `score_documents`, without a row of logits per token."""
        began = time.perf_counter()
        logits_KV = self.logits_KV.detach().cpu()
        greatest_K1, choice_K1 = logits_KV.max(dim=1, keepdim=True)
        sums_K1 = (logits_KV - greatest_K1).exp_().sum(dim=1, keepdim=True, dtype=torch.float64)
        rests_K = (sums_K1.log() + greatest_K1.double()).numpy()[:, 0]
        choices_K, table_KV = choice_K1.numpy()[:, 0], logits_KV.numpy()
        unk = -1 if tokenizer.unk_id is None else tokenizer.unk_id
        names = DocumentNames()
        sums: list[list[Floats]] = [[np.empty(0)] * 4]
        for batch in in_batches(names.texts(documents), len, _COUNTED_CHARACTERS):
            ids_T = token_stream(tokenizer, batch)
            starts = np.flatnonzero(ids_T == tokenizer.bos_id)
            contexts_T = np.zeros(len(ids_T), dtype=np.int64)
            if not self.ignores_context:
                contexts_T[1:] = ids_T[:-1]
            is_unknown_T = ids_T == unk
            nats_T = rests_K[contexts_T] - table_KV[contexts_T, ids_T].astype(np.float64)
            nats_T += is_unknown_T * (tokenizer.unknown_bits * math.log(2))
            correct_T = (choices_K[contexts_T] == ids_T) & ~is_unknown_T
            targets_T = ids_T != tokenizer.bos_id
            columns_T = (nats_T * targets_T, targets_T, correct_T & targets_T, is_unknown_T)
            sums.append([np.add.reduceat(column_T, starts, dtype=float) for column_T in columns_T])
        nats, *counts = (np.concatenate(column) for column in zip(*sums, strict=True))
        tokens, correct, unknown = (column.astype(np.int64) for column in counts)
        seconds = time.perf_counter() - began
        return names.scores(
            protocol_of(None), seconds, nats=nats, tokens=tokens, correct=correct, unknown=unknown
        )
