"""What a model charges for a text after a context: the ruler, from some token on.

    score_continuations(model, tokenizer, ["O vento levou"], [" o chapéu"])

The text is cut into tokens as a whole, as the ruler cuts it, and the continuation is every token
after the ones that the context alone begins with. For characters and bytes that is the boundary
itself. A subword may reach across it, when a continuation does not begin with a space: then that
token counts as continuation, and with it the end of the context inside it. BOS comes first;
EOS is charged only when asked for. Contexts are cut by the half-window rule of the ruler.

    B  rows     T  tokens     V  vocabulary     W  context_tokens
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError
from escada.evaluation.scoring import windows_of
from escada.generation.inference import exact_inference, tokens_at_once
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Integers = NDArray[np.int64]
BATCH_TOKENS = 2048
"""Tokens of one forward pass; fewer if the vocabulary is large (`tokens_at_once`)."""
CHUNK_TOKENS = 64
"""Tokens that a model with a state reads at a time."""


@dataclass(frozen=True, slots=True)
class Continuation:
    """What one continuation costs.

    Attributes:
        nats: charged, unknown characters included.
        tokens: charged.
        greedy: whether each token was the model's first choice; an unknown character never is.
    """

    nats: float
    tokens: int
    greedy: bool


def score_continuations(
    model: LanguageModel,
    tokenizer: Tokenizer,
    contexts: Sequence[str],
    continuations: Sequence[str],
    *,
    context_tokens: int | None = None,
    with_eos: bool = False,
) -> list[Continuation]:
    """Score each continuation after its context, from BOS.

    Args:
        model: left in the mode that it came in.
        tokenizer: the model's.
        contexts: cleaned as the model's text was; an empty one opens a document.
        continuations: appended as they are: the space between belongs to them.
        context_tokens: W of models without a state; None: the model's own.
        with_eos: whether the end of the document is charged too.

    Raises:
        EscadaError: a figure that is not finite.
    """
    whole = [a + b for a, b in zip(contexts, continuations, strict=True)]
    items = [
        _item(tokenizer, before, ids, with_eos)
        for before, ids in zip(
            tokenizer.encode_batch(contexts), tokenizer.encode_batch(whole), strict=True
        )
    ]
    sums = _Sums(np.zeros(len(items)), np.ones(len(items), dtype=np.bool_))
    with exact_inference(model):
        if model.context_tokens is None:
            _carry(model, items, sums)
        else:
            _slide(model, items, context_tokens or model.context_tokens, sums)
    return [_charged(i, item, sums, tokenizer, whole[i]) for i, item in enumerate(items)]


@dataclass(frozen=True, slots=True)
class _Item:
    """Tokens from BOS on; those from place `first` on are charged."""

    ids: Integers
    first: int


@dataclass(slots=True)
class _Sums:
    nats: NDArray[np.float64]
    greedy: NDArray[np.bool_]

    def add(self, logits_BTV: Tensor, targets: Sequence[Integers], rows: Sequence[int]) -> None:
        """Charge the targets of each row, which are the last that its logits are for."""
        for b, (target, row) in enumerate(zip(targets, rows, strict=True)):
            if not len(target):
                continue
            ids_N = torch.as_tensor(target, device=logits_BTV.device)
            logits_NV = logits_BTV[b, : len(target)].double()
            nats_N = logits_NV.logsumexp(dim=1) - logits_NV.gather(1, ids_N[:, None])[:, 0]
            self.nats[row] += float(nats_N.sum())
            self.greedy[row] &= bool((logits_NV.argmax(dim=1) == ids_N).all())


def _item(
    tokenizer: Tokenizer, context: NDArray[np.int32], ids: NDArray[np.int32], eos: bool
) -> _Item:
    shorter = min(len(context), len(ids))
    differs = np.flatnonzero(context[:shorter] != ids[:shorter])
    common = int(differs[0]) if len(differs) else shorter
    end = [tokenizer.eos_id] if eos else []
    return _Item(np.concatenate([[tokenizer.bos_id], ids, end]).astype(np.int64), common + 1)


def _charged(i: int, item: _Item, sums: _Sums, tokenizer: Tokenizer, text: str) -> Continuation:
    charged = item.ids[item.first :]
    unknown = 0 if tokenizer.unk_id is None else int((charged == tokenizer.unk_id).sum())
    nats = float(sums.nats[i]) + unknown * tokenizer.unknown_bits * math.log(2)
    if not math.isfinite(nats):
        raise EscadaError(
            "the model's score is not a finite number",
            where=f"a text that ends in {text[-40:]!r}",
            fix="its training diverged or its weights are damaged: use another checkpoint",
        )
    return Continuation(nats, len(charged), bool(sums.greedy[i]) and not unknown)


def _slide(model: LanguageModel, items: Sequence[_Item], window: int, sums: _Sums) -> None:
    """Windows as the ruler lays them, without those that hold nothing to charge."""
    device = model.device
    pieces: list[tuple[int, int, int, int]] = []  # row, start, stop, first target
    for row, item in enumerate(items):
        for w in windows_of(len(item.ids), window):
            if w.stop >= item.first:
                pieces.append((row, w.start, w.stop, max(w.first_target, item.first)))
    pieces.sort(key=lambda piece: piece[1] - piece[2])
    limit = min(BATCH_TOKENS, tokens_at_once(model.vocab_size))
    for batch in _batches(pieces, limit):
        ids_BT = _padded([items[row].ids[start:stop] for row, start, stop, _ in batch], device)
        logits_BTV = model(ids_BT)
        for b, (row, start, stop, first) in enumerate(batch):
            targets = items[row].ids[first : stop + 1]
            sums.add(logits_BTV[b : b + 1, first - 1 - start : stop - start], [targets], [row])


def _batches(
    pieces: Sequence[tuple[int, int, int, int]], limit: int
) -> Iterator[Sequence[tuple[int, int, int, int]]]:
    """Pieces, the longest first, as many together as keep within `limit` tokens."""
    first = 0
    while first < len(pieces):
        longest = pieces[first][2] - pieces[first][1]
        n_rows = max(1, limit // max(1, longest))
        yield pieces[first : first + n_rows]
        first += n_rows


def _carry(model: LanguageModel, items: Sequence[_Item], sums: _Sums) -> None:
    """Texts of similar length side by side, in chunks; what follows a text's end is not read."""
    device = model.device
    order = sorted(range(len(items)), key=lambda i: -len(items[i].ids))
    n_rows = max(1, min(64, tokens_at_once(model.vocab_size) // CHUNK_TOKENS))
    for begin in range(0, len(order), n_rows):
        rows = [i for i in order[begin : begin + n_rows] if len(items[i].ids) > 1]
        if not rows:
            continue
        ids_BT = _padded([items[i].ids[:-1] for i in rows], device)
        state = model.fresh_state(len(rows))
        for start in range(0, ids_BT.shape[1], CHUNK_TOKENS):
            logits_BTV = model.advance(ids_BT[:, start : start + CHUNK_TOKENS], state)
            stop = start + logits_BTV.shape[1]
            for b, row in enumerate(rows):
                item = items[row]
                first = max(item.first, start + 1)
                targets = item.ids[first : stop + 1]
                sums.add(logits_BTV[b : b + 1, first - 1 - start :], [targets], [row])


def _padded(pieces: Sequence[Integers], device: torch.device) -> Tensor:
    """Rows of one length; a causal model never sees the padding."""
    ids = np.zeros((len(pieces), max(len(piece) for piece in pieces)), dtype=np.int64)
    for b, piece in enumerate(pieces):
        ids[b, : len(piece)] = piece
    return torch.as_tensor(ids, device=device)
