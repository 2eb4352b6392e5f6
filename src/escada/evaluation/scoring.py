"""Nats charged for each token of sequences: the forward passes behind the ruler's figures.

    (scores,) = Reading(model, tokenizer, [sequence], context_tokens=128).scores()
    scores.nats
    for _ in passes(model, sequences, sink): ...     # the logits, for other sums than nats

A sequence begins with BOS; every later token, or every token from a given position on, is a target
and charged once. A model with a state carries it through the sequence; the others slide a window by
half its length, so that the context of a target is what decoding would have kept (`context_start`).
UNK costs the model's nats plus `unknown_bits`. Logits are fp32, sums float64; padding, batching and
order change only rounding. The model's train/eval mode is restored.

`score_stream_windows` is for the roadmap's protocol, whose windows are read independently.

    B  rows     T  tokens     V  vocabulary     W  context_tokens     N  targets
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from escada.errors import EscadaError
from escada.generation.decoder import context_start
from escada.generation.inference import exact_inference, tokens_at_once
from escada.models.contract import DecodingState, LanguageModel
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Alternatives = tuple[tuple[int, float], ...]

CARRIED_ROWS = {"cpu": 64, "cuda": 256}
"""Sequences per batch of a recurrent model."""
CARRIED_TOKENS = 16
"""Minimum chunk length of a recurrent model: trades padding for larger matrix products."""
BATCH_TOKENS = {"cpu": 2048, "cuda": 16_384}
"""Tokens per forward pass; fewer if the vocabulary is large (`tokens_at_once`)."""
SLICE_TOKENS = 512
"""Tokens per slice of logits that is exponentiated."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Scores of one sequence's N targets.

    Attributes:
        nats: includes the cost of unknown characters.
        correct: whether it was the model's first choice; never UNK, which names no character.
        alternatives: per target, the most probable tokens with their nats, best first, ties by
            lower id. Empty unless requested.
    """

    ids: Integers
    nats: Floats
    correct: Booleans
    alternatives: tuple[Alternatives, ...] = ()


class Reading:
    """Charges every target of every sequence, one forward pass at a time.

    Args:
        sequences: ids, BOS first.
        first_targets: position in each sequence of the first token charged, at least 1; earlier
            tokens are context. None: 1.
        context_tokens: see `window_of`.
        batch_tokens: most tokens per forward pass; None: a default for the device, limited so that
            the logits take at most 128 MiB.
        alternatives: how many of the most probable tokens to list per target.

    Raises:
        EscadaError: see `window_of`.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        sequences: Sequence[Integers],
        *,
        first_targets: Sequence[int] | None = None,
        context_tokens: int | None = None,
        batch_tokens: int | None = None,
        alternatives: int = 0,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        firsts = [1] * len(sequences) if first_targets is None else first_targets
        self._targets = [ids[first:] for ids, first in zip(sequences, firsts, strict=True)]
        lengths = np.array([len(ids) for ids in self._targets], dtype=np.int64)
        self._ends = np.cumsum(lengths, dtype=np.int64)
        targets = int(lengths.sum())
        self._charges = _Charges(
            self._ends - lengths,
            firsts,
            np.zeros(targets),
            np.zeros(targets, dtype=np.bool_),
            [()] * targets if alternatives else [],
            alternatives,
        )
        self._passes = passes(
            model,
            sequences,
            self._charges,
            context_tokens=context_tokens,
            batch_tokens=batch_tokens,
        )

    def step(self) -> bool:
        """Run one forward pass; False if none was left."""
        with exact_inference(self._model):
            return next(self._passes, None) is not None

    def scores(self) -> list[TokenScores]:
        """Run the remaining passes; nats may be infinite or NaN (see `check_scores`)."""
        with exact_inference(self._model):
            while self.step():
                pass
        price = self._tokenizer.unknown_bits * math.log(2)
        found: list[TokenScores] = []
        for ids, begin, end in zip(self._targets, self._charges.begins, self._ends, strict=True):
            nats = self._charges.nats[begin:end]
            correct = self._charges.correct[begin:end]
            if (unk := self._tokenizer.unk_id) is not None:
                nats, correct = nats + (ids == unk) * price, correct & (ids != unk)
            named = tuple(self._charges.alternatives[begin:end])
            found.append(TokenScores(ids, nats, correct, named))
        return found


def bracketed(ids: NDArray[np.int32], tokenizer: Tokenizer) -> Integers:
    """A document's sequence: BOS, the ids of its text, EOS."""
    return np.concatenate([[tokenizer.bos_id], ids, [tokenizer.eos_id]]).astype(np.int64)


def check_scores(scores: Sequence[TokenScores], names: Sequence[str]) -> None:
    """Raise for the first sequence whose sum is not finite.

    Raises:
        EscadaError: with the sequence's name.
    """
    for name, one in zip(names, scores, strict=True):
        if not math.isfinite(float(one.nats.sum())):
            raise EscadaError(
                "the model's score is not a finite number",
                where=name,
                fix="its training diverged or its weights are damaged: use another checkpoint",
            )


def window_of(model: LanguageModel, context_tokens: int | None) -> int | None:
    """W for a model without a state; None for one that carries its state.

    `context_tokens` None is the model's own context; a model that carries its state ignores it.

    Raises:
        EscadaError: W below 2 or beyond the model's context.
    """
    longest = model.context_tokens
    if longest is None or context_tokens is None:
        return longest
    if not 2 <= context_tokens <= longest:
        raise EscadaError(f"context_tokens is {context_tokens}", fix=f"choose from 2 to {longest}")
    return context_tokens


class Sink(Protocol):
    """Takes the logits of targets; `firsts` are the positions of the sequences' first targets."""

    firsts: Sequence[int]

    def add(
        self,
        logits_BTV: Tensor,
        targets_BT: Tensor,
        scored_BT: Tensor,
        sequences: Sequence[int],
        places: Sequence[int],
    ) -> None:
        """Take the targets of each row where `scored_BT` is true.

        `sequences` are the rows' sequences, `places` the positions of their first targets in them.
        """
        ...


def passes(
    model: LanguageModel,
    sequences: Sequence[Integers],
    sink: Sink,
    *,
    context_tokens: int | None = None,
    batch_tokens: int | None = None,
) -> Iterator[bool]:
    """Forward passes that give `sink` every target once; for the arguments see `Reading`.

    Raises:
        EscadaError: see `window_of`.
    """
    window = window_of(model, context_tokens)
    most = BATCH_TOKENS.get(model.device.type, BATCH_TOKENS["cpu"])
    limit = batch_tokens or min(most, tokens_at_once(model.vocab_size))
    if window is None:
        return _carry_state(model, sequences, limit, sink)
    return _slide_windows(model, sequences, window, limit, sink)


@dataclass(slots=True)
class _Charges:
    """A sink of scores, concatenated by sequence; `begins` are the sequences' offsets."""

    begins: Integers
    firsts: Sequence[int]
    nats: Floats
    correct: Booleans
    alternatives: list[Alternatives]
    wanted: int

    def add(
        self,
        logits_BTV: Tensor,
        targets_BT: Tensor,
        scored_BT: Tensor,
        sequences: Sequence[int],
        places: Sequence[int],
    ) -> None:
        """See `Sink.add`."""
        nats_BT, correct_BT = target_scores(logits_BTV, targets_BT)
        scored = scored_BT.cpu().numpy()
        firsts_B = np.array([self.firsts[i] for i in sequences], dtype=np.int64)
        begins_B: Integers = self.begins[list(sequences)] + np.array(places) - firsts_B
        places_T = np.arange(scored.shape[1], dtype=np.int64)
        charged_N: Integers = np.add.outer(begins_B, places_T)[scored]
        self.nats[charged_N] = nats_BT.cpu().numpy()[scored]
        self.correct[charged_N] = correct_BT.cpu().numpy()[scored]
        if self.wanted:
            named = most_probable(logits_BTV[scored_BT], self.wanted)
            for place, one in zip(charged_N.tolist(), named, strict=True):
                self.alternatives[place] = one


def target_scores(logits_BTV: Tensor, targets_BT: Tensor) -> tuple[Tensor, Tensor]:
    """-log softmax at the targets (float64) and whether they were the first choice, (B, T) each.

    Only the sum of exponentials runs over V. It is computed in slices, so that there is never a
    second copy of all logits, and accumulated in float64; on the CPU for MPS, which has no float64.
    """
    if logits_BTV.device.type == "mps":
        logits_BTV, targets_BT = logits_BTV.cpu(), targets_BT.cpu()
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


def most_probable(logits_NV: Tensor, wanted: int) -> list[Alternatives]:
    """The `wanted` most probable tokens of each row, with nats bit-identical to `target_scores`."""
    count = min(wanted, logits_NV.shape[1])
    named: list[Alternatives] = []
    for first in range(0, len(logits_NV), SLICE_TOKENS):
        slice_NV = logits_NV[first : first + SLICE_TOKENS].float()
        ids_NK = slice_NV.topk(count, dim=1).indices
        nats_KN = [target_scores(slice_NV[None], ids_N[None])[0][0] for ids_N in ids_NK.unbind(1)]
        nats_NK = torch.stack(nats_KN, dim=1)
        ids = cast("list[list[int]]", ids_NK.tolist())
        nats = cast("list[list[float]]", nats_NK.tolist())
        for ids_K, nats_K in zip(ids, nats, strict=True):
            best_first = sorted(zip(nats_K, ids_K, strict=True))
            named.append(tuple((token, cost) for cost, token in best_first))
    return named


def _carry_state(
    model: LanguageModel, sequences: Sequence[Integers], limit: int, sink: Sink
) -> Iterator[bool]:
    """Read sequences of similar length in parallel, in chunks; a row is dropped where it ends."""
    device = model.device
    order = sorted(range(len(sequences)), key=lambda i: -len(sequences[i]))
    order = [i for i in order if len(sequences[i]) > 1]
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
            logits_BTV = model.advance(ids_BT, state)
            contexts = [sink.firsts[i] - 1 - start for i in rows]
            scored_BT = real_BT & _after(contexts, ids_BT)
            sink.add(logits_BTV, targets_BT, scored_BT, rows, [start + 1] * len(rows))
            del logits_BTV
            yield True
            start += chunk
            going_on = sum(length > start for length in lengths)
            if going_on < len(rows):  # rows are sorted by length, longest first
                rows, lengths = rows[:going_on], lengths[:going_on]
                state = state.select(torch.arange(going_on, device=device))


@dataclass(frozen=True, slots=True)
class Window:
    """Tokens `start:stop` of a sequence are read; targets from `first_target` on are charged."""

    sequence: int
    start: int
    stop: int
    first_target: int


def windows_of(length: int, context_tokens: int, sequence: int = 0) -> Iterator[Window]:
    """The windows over a sequence of `length` tokens (with BOS and EOS); each target is in one."""
    n = 1
    while n < length:
        start = context_start(n, context_tokens)
        last = min(start + context_tokens, length - 1)  # the last target of this context
        yield Window(sequence, start, last, n)
        n = last + 1


def _slide_windows(
    model: LanguageModel, sequences: Sequence[Integers], window: int, limit: int, sink: Sink
) -> Iterator[bool]:
    """Read all windows of all sequences, batching those of similar length."""
    device = model.device
    windows = [
        w
        for i, (sequence, first) in enumerate(zip(sequences, sink.firsts, strict=True))
        for w in windows_of(len(sequence), window, i)
        if w.stop >= first
    ]
    windows.sort(key=lambda w: w.start - w.stop)
    done = 0
    while done < len(windows):
        n_rows = max(1, limit // (windows[done].stop - windows[done].start))
        batch = windows[done : done + n_rows]
        done += n_rows
        pieces = [sequences[w.sequence][w.start : w.stop + 1] for w in batch]
        ids_BT, targets_BT, real_BT = _padded(pieces, device)
        firsts = [max(w.first_target, sink.firsts[w.sequence]) for w in batch]
        contexts = [first - 1 - w.start for first, w in zip(firsts, batch, strict=True)]
        scored_BT = real_BT & _after(contexts, ids_BT)
        rows, places = [w.sequence for w in batch], [w.start + 1 for w in batch]
        sink.add(model(ids_BT), targets_BT, scored_BT, rows, places)
        yield True


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


def _after(contexts: Sequence[int], ids_BT: Tensor) -> Tensor:
    """Mask of the positions at or after each row's context length, (B, T)."""
    contexts_B = torch.tensor(contexts, device=ids_BT.device)
    return torch.arange(ids_BT.shape[1], device=ids_BT.device) >= contexts_B[:, None]


def score_stream_windows(
    model: LanguageModel, ids_N: Tensor, ends_B: Integers, window_tokens: int, *, last_only: bool
) -> tuple[Tensor, Tensor]:
    """`target_scores` of the targets of windows over one stream, (B, T) each.

    Args:
        ids_N: the stream, on the model's device.
        ends_B: position of the token after each window.
        last_only: charge only that token (T is 1), not one after each position (T is W).
    """
    places_BW1 = ends_B[:, None] + np.arange(-window_tokens, 1)
    ids_BW1 = ids_N[torch.as_tensor(places_BW1, device=ids_N.device)].long()
    if last_only:
        return target_scores(model.last_logits(ids_BW1[:, :-1])[:, None], ids_BW1[:, -1:])
    return target_scores(model(ids_BW1[:, :-1]), ids_BW1[:, 1:])
