"""The ruler: bits per byte of held-out documents, the same for every rung.

    scores = score_documents(model, tokenizer, documents, context_tokens=128)
    bits_per_byte(scores)

- A document is scored alone, from a fresh state, as BOS + text + EOS. Every token after BOS is
  charged once, EOS too; the denominator is the UTF-8 bytes of the document's reference text.
- A tokenizer that cannot write a character pays for it: the model's nats for UNK, and
  `unknown_bits` to say which character it was.
- Logits are fp32, sums float64. No padding, batch or order enters a figure beyond rounding.

Two protocols, named with every figure. `document/carried-state`: a recurrent model reads the
document in chunks and carries its state. `document/half-window`: the context of a target is what
decoding would have kept (`context_start`), so windows slide by half their length, and every target
has at least half a window before it, or the whole document so far.

    B  rows     T  tokens     V  vocabulary     W  context_tokens
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError
from escada.generation.decoding import context_start
from escada.generation.inference import exact_inference, tokens_at_once, weights_device
from escada.models.contract import DecodingState, LanguageModel
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

Protocol = Literal["document/carried-state", "document/half-window"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CARRIED_ROWS = {"cpu": 64, "cuda": 256}
"""Documents that a recurrent model reads side by side."""
CARRIED_TOKENS = 16
"""Least tokens of a document that it reads at a time: less padding, but many small products."""
BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
"""Tokens of one forward pass; fewer if the vocabulary is large (`tokens_at_once`)."""
SLICE_TOKENS = 512
"""Tokens whose logits are exponentiated at a time."""


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """Sums over each document's targets, in the order of the documents.

    Attributes:
        ids: of the documents.
        sources: of the documents.
        groups: of the documents; what a confidence interval may not divide.
        nats: charged to the document, unknown characters included.
        bytes: UTF-8 bytes of the text.
        tokens: targets: the text's tokens and EOS.
        correct: targets that were the model's first choice; never UNK, which names no character.
        unknown: characters that the tokenizer could not write.
        protocol: see the module.
        context_tokens: W; None when the state was carried.
        seconds: wall time of scoring, tokenization included.
    """

    ids: list[str]
    sources: list[str]
    groups: list[str]
    nats: Floats
    bytes: Integers
    tokens: Integers
    correct: Integers
    unknown: Integers
    protocol: Protocol
    context_tokens: int | None
    seconds: float

    def __len__(self) -> int:
        return len(self.ids)


def bits_per_byte(scores: DocumentScores) -> float:
    """Bits of all documents over bytes of all documents.

    Raises:
        EscadaError: the documents hold no byte.
    """
    total_bytes = int(scores.bytes.sum())
    if not total_bytes:
        raise EscadaError("there is no text to measure", fix="check the file or the split")
    return float(scores.nats.sum()) / math.log(2) / total_bytes


def score_documents(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    *,
    context_tokens: int | None = None,
    batch_tokens: int | None = None,
    device: torch.device | str | None = None,
) -> DocumentScores:
    """Score each document alone.

    Args:
        model: left in the mode that it came in.
        tokenizer: the model's.
        documents: their texts are reference text.
        context_tokens: W of models without a state; None: the model's own. A model that carries its
            state has no use for it.
        batch_tokens: most tokens of one forward pass; None: as suits the device, and no more than
            keep its logits within 128 MiB.
        device: checked against that of the weights, if given.

    Raises:
        EscadaError: W below 2 or beyond the model's context, or a figure that is not finite.
    """
    began = time.perf_counter()
    window = _window(model, context_tokens)
    if device is not None and torch.device(device).type != weights_device(model).type:
        raise ValueError(f"the weights lie on {weights_device(model)}, not on {device}")
    limit = batch_tokens or _batch_tokens(model)
    encoded = tokenizer.encode_batch([document.text for document in documents])
    sequences = [_bracketed(ids, tokenizer) for ids in encoded]
    sums = _Sums(
        np.zeros(len(documents)), np.zeros(len(documents), dtype=np.int64), tokenizer.unk_id
    )
    with exact_inference(model):
        if window is None:
            _carry_state(model, sequences, limit, sums)
        else:
            _slide_windows(model, sequences, window, limit, sums)
    unknown = np.array([_count(ids, tokenizer.unk_id) for ids in encoded], dtype=np.int64)
    nats = sums.nats + unknown * (tokenizer.unknown_bits * math.log(2))
    if not np.isfinite(nats).all():
        worst = documents[int(np.flatnonzero(~np.isfinite(nats))[0])]
        raise EscadaError(
            "the model's score is not a finite number",
            where=f"document {worst.id}",
            fix="its training diverged or its weights are damaged: use another checkpoint",
        )
    return DocumentScores(
        ids=[document.id for document in documents],
        sources=[document.source for document in documents],
        groups=[document.group for document in documents],
        nats=nats,
        bytes=np.array([len(d.text.encode()) for d in documents], dtype=np.int64),
        tokens=np.array([len(sequence) - 1 for sequence in sequences], dtype=np.int64),
        correct=sums.correct,
        unknown=unknown,
        protocol="document/carried-state" if window is None else "document/half-window",
        context_tokens=window,
        seconds=time.perf_counter() - began,
    )


def _batch_tokens(model: LanguageModel) -> int:
    most = BATCH_TOKENS.get(weights_device(model).type, BATCH_TOKENS["cpu"])
    return min(most, tokens_at_once(model.vocab_size))


def _window(model: LanguageModel, context_tokens: int | None) -> int | None:
    longest = model.context_tokens
    if longest is None or context_tokens is None:
        return longest
    if not 2 <= context_tokens <= longest:
        raise EscadaError(f"context_tokens is {context_tokens}", fix=f"choose from 2 to {longest}")
    return context_tokens


def _bracketed(ids: NDArray[np.int32], tokenizer: Tokenizer) -> Integers:
    return np.concatenate([[tokenizer.bos_id], ids, [tokenizer.eos_id]]).astype(np.int64)


def _count(ids: NDArray[np.int32], unk_id: int | None) -> int:
    return 0 if unk_id is None else int(np.count_nonzero(ids == unk_id))


@dataclass(slots=True)
class _Sums:
    """What each document has been charged so far."""

    nats: Floats
    correct: Integers
    unk_id: int | None

    def add(
        self,
        logits_BTV: Tensor,
        targets_BT: Tensor,
        scored_BT: Tensor,
        documents: Sequence[int],
    ) -> None:
        """Charge the scored targets of each row to the document that `documents` names."""
        nats_BT, correct_BT = target_scores(logits_BTV, targets_BT)
        if self.unk_id is not None:
            correct_BT &= targets_BT != self.unk_id
        charged_N = np.repeat(np.array(documents), scored_BT.sum(dim=1).cpu().numpy())
        np.add.at(self.nats, charged_N, nats_BT[scored_BT].cpu().numpy())
        np.add.at(self.correct, charged_N, correct_BT[scored_BT].cpu().numpy())


def target_scores(logits_BTV: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax at the targets (float64) and whether they were the first choice, (B, T) each.

    Only the sum of exponentials runs over V. It is taken a slice at a time, so that there is never
    a second table of logits, and accumulated in float64.
    """
    logits_NV, targets_N1 = logits_BTV.flatten(0, 1), targets_BT.flatten()[:, None]
    nats: list[Tensor] = []
    correct: list[Tensor] = []
    for first in range(0, len(logits_NV), SLICE_TOKENS):
        slice_NV = logits_NV[first : first + SLICE_TOKENS].float()
        slice_targets_N1 = targets_N1[first : first + SLICE_TOKENS]
        greatest_N1, choice_N1 = slice_NV.max(dim=1, keepdim=True)
        sums_N1 = (slice_NV - greatest_N1).exp_().sum(dim=1, keepdim=True, dtype=torch.float64)
        below_N1 = greatest_N1.double() - slice_NV.gather(1, slice_targets_N1).double()
        nats.append(sums_N1.log() + below_N1)
        correct.append(choice_N1 == slice_targets_N1)
    return torch.cat(nats).view(targets_BT.shape), torch.cat(correct).view(targets_BT.shape)


def _carry_state(
    model: LanguageModel, sequences: Sequence[Integers], limit: int, sums: _Sums
) -> None:
    """Documents of similar length side by side, in chunks; a row leaves the batch where it ends."""
    device = weights_device(model)
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    n_rows = min(CARRIED_ROWS.get(device.type, CARRIED_ROWS["cpu"]), limit)
    for first in range(0, len(order), n_rows):
        rows = order[first : first + n_rows]
        lengths = [len(sequences[i]) - 1 for i in rows]
        state: DecodingState = model.fresh_state(len(rows))
        start = 0
        while len(rows):
            to_shortest = max(lengths[-1] - start, CARRIED_TOKENS)
            chunk = min(to_shortest, lengths[0] - start, max(1, limit // len(rows)))
            pieces = [sequences[i][start : start + chunk + 1] for i in rows]
            ids_BT, targets_BT, real_BT = _padded(pieces, device)
            sums.add(model.advance(ids_BT, state), targets_BT, real_BT, rows)
            start += chunk
            going_on = sum(length > start for length in lengths)
            if going_on < len(rows):  # the longest stand first
                rows, lengths = rows[:going_on], lengths[:going_on]
                state = state.select(torch.arange(going_on, device=device))


@dataclass(frozen=True, slots=True)
class _Window:
    """Tokens `start:stop` of a document are read; targets from `first_target` on are charged."""

    document: int
    start: int
    stop: int
    first_target: int


def windows_of(length: int, context_tokens: int, document: int = 0) -> Iterator[_Window]:
    """The windows of a document of `length` tokens, BOS and EOS included; each target once."""
    n = 1
    while n < length:
        start = context_start(n, context_tokens)
        last = min(start + context_tokens, length - 1)  # the last target of this context
        yield _Window(document, start, last, n)
        n = last + 1


def _slide_windows(
    model: LanguageModel, sequences: Sequence[Integers], window: int, limit: int, sums: _Sums
) -> None:
    """All windows of all documents, those of similar length side by side."""
    device = weights_device(model)
    windows = [w for i, s in enumerate(sequences) for w in windows_of(len(s), window, i)]
    windows.sort(key=lambda w: w.start - w.stop)
    while windows:
        n_rows = max(1, limit // (windows[0].stop - windows[0].start))
        batch, windows = windows[:n_rows], windows[n_rows:]
        pieces = [sequences[w.document][w.start : w.stop + 1] for w in batch]
        ids_BT, targets_BT, real_BT = _padded(pieces, device)
        skipped_B = torch.tensor([w.first_target - 1 - w.start for w in batch], device=device)
        positions_T = torch.arange(ids_BT.shape[1], device=device)
        scored_BT = real_BT & (positions_T >= skipped_B[:, None])
        sums.add(model(ids_BT), targets_BT, scored_BT, [w.document for w in batch])


def _padded(pieces: Sequence[Integers], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, targets and which are real, (B, T) each; a causal model never sees the padding."""
    longest = max(len(piece) for piece in pieces)
    ids = np.zeros((len(pieces), longest), dtype=np.int64)
    real = np.zeros((len(pieces), longest - 1), dtype=np.bool_)
    for b, piece in enumerate(pieces):
        ids[b, : len(piece)] = piece
        real[b, : len(piece) - 1] = True
    ids_BT = torch.as_tensor(ids, device=device)
    return ids_BT[:, :-1], ids_BT[:, 1:], torch.as_tensor(real, device=device)
