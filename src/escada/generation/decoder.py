"""Rows of tokens with their decoding state, and the policy for a full context.

Apart from that policy and `logits_alone`, no token is read twice. Rows may have any length: those
of one length are read together, then all decode as one batch. Rows may leave and join at any token.

**When the context is full** the older half is dropped. The context of the token after n tokens is
`tokens[context_start(n, W):n]`, between W // 2 + 1 and W tokens once n exceeds W. Dropping changes
the inputs of all later layers, so the kept half is read again into a fresh state, once every
W - W // 2 tokens. The ruler cuts documents with the same function.

    B  rows     T  tokens     V  vocabulary     W  context_tokens
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from escada.generation.inference import tokens_at_once
from escada.models.contract import DecodingState, LanguageModel


def context_start(n_tokens: int, context_tokens: int | None) -> int:
    """Where the context of the next token begins, after `n_tokens` of a text (BOS included).

    0 up to a full context W; beyond it ceil((n - W) / (W - W // 2)) * (W - W // 2), the older half
    dropped as often as needed. Always 0 for a model without a limit (None).
    """
    if context_tokens is None or n_tokens <= context_tokens:
        return 0
    dropped = context_tokens - context_tokens // 2
    return -(-(n_tokens - context_tokens) // dropped) * dropped


class Decoder:
    """Rows of tokens, their decoding state, and the logits of each row's next token.

    Args:
        model: in evaluation mode, without gradients (`exact_inference`).
        rows: the first tokens of each row, at least one. Equal rows are read once.

    Attributes:
        logits_BV: fp32, on the device of the weights.
    """

    logits_BV: Tensor

    def __init__(self, model: LanguageModel, rows: Sequence[Sequence[int]]) -> None:
        self._model = model
        self._device = model.device
        self._tokens = [list(row) for row in rows]
        self._state, self.logits_BV = self._read(range(len(rows)))

    def append(self, ids_B: Sequence[int]) -> None:
        """Read one more token per row; rows with a full context restart from its newer half."""
        going_on: list[int] = []
        refilled: list[int] = []
        for b, (tokens, token) in enumerate(zip(self._tokens, ids_B, strict=True)):
            start = self._context_start(tokens)
            tokens.append(token)
            (going_on if self._context_start(tokens) == start else refilled).append(b)
        parts: list[tuple[DecodingState, Tensor]] = []
        if going_on:
            state = self._state.select(self._index(going_on)) if refilled else self._state
            ids_B1 = self._index([ids_B[b] for b in going_on])[:, None]
            parts.append((state, self._model.advance(ids_B1, state)[:, -1]))
        if refilled:
            parts.append(self._read(refilled))
        self._state, self.logits_BV = _joined(parts)
        if going_on and refilled:
            self._select(np.argsort(going_on + refilled).tolist())

    def extend(self, rows: Sequence[Sequence[int]]) -> None:
        """Append new rows and read them."""
        before = len(self._tokens)
        self._tokens += [list(row) for row in rows]
        read = self._read(range(before, len(self._tokens)))
        self._state, self.logits_BV = _joined([(self._state, self.logits_BV), read])

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be kept more than once."""
        self._tokens = [list(self._tokens[b]) for b in rows]  # rows may repeat
        self._select(rows)

    def logits_alone(self, row: int) -> Tensor:
        """Logits (1, V) of a row's next token, with its context read again without other rows.

        They equal `logits_BV` up to rounding, which there depends on the rows read together.
        """
        tokens = self._tokens[row]
        return self._read_together([tokens[self._context_start(tokens) :]])[1]

    def _read(self, rows: Sequence[int]) -> tuple[DecodingState, Tensor]:
        """Read the contexts of rows: equal ones once, those of one length together."""
        contexts = [tuple(self._tokens[b][self._context_start(self._tokens[b]) :]) for b in rows]
        distinct = sorted(set(contexts), key=len)
        parts = [
            self._read_together(list(group)) for _, group in itertools.groupby(distinct, key=len)
        ]
        state, logits_BV = _joined(parts)
        place = {context: b for b, context in enumerate(distinct)}
        index_B = self._index([place[context] for context in contexts])
        return state.select(index_B), logits_BV[index_B]

    def _read_together(self, contexts: Sequence[Sequence[int]]) -> tuple[DecodingState, Tensor]:
        ids_BT = torch.tensor(contexts, dtype=torch.int64, device=self._device)
        state = self._model.fresh_state(len(contexts))
        chunk = max(1, tokens_at_once(self._model.vocab_size) // len(contexts))
        logits_BTV = None
        for first in range(0, ids_BT.shape[1], chunk):
            logits_BTV = self._model.advance(ids_BT[:, first : first + chunk], state)
        assert logits_BTV is not None
        return state, logits_BTV[:, -1].clone()

    def _select(self, rows: Sequence[int]) -> None:
        index_B = self._index(rows)
        self._state, self.logits_BV = self._state.select(index_B), self.logits_BV[index_B]

    def _context_start(self, tokens: Sequence[int]) -> int:
        return context_start(len(tokens), self._model.context_tokens)

    def _index(self, values: Sequence[int]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _joined(parts: Sequence[tuple[DecodingState, Tensor]]) -> tuple[DecodingState, Tensor]:
    if len(parts) == 1:
        return parts[0]
    states = [state for state, _ in parts]
    return type(states[0]).concatenate(states), torch.cat([logits_BV for _, logits_BV in parts])
