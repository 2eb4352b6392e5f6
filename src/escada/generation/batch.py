"""Decodes many requests together, each with its own settings, joining and leaving at any token.

    batch = Batch(model, tokenizer)
    for event in batch.run(requests):
        print(event.text, end="")

A request's output must not depend on its neighbours or on when it joined. Each row has its own
random stream and no operation mixes rows, but the rounding of a matrix product depends on the
number of rows, and a draw near the edge between two tokens could change with it. Such a draw is
repeated with the logits of that row computed alone.

    B  rows     V  vocabulary
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from escada.errors import EscadaError
from escada.generation.decoder import Decoder
from escada.generation.inference import exact_inference
from escada.generation.pieces import PieceTable, TextPieces
from escada.generation.samplers import SamplerSettings, sample, sample_with_doubt
from escada.generation.weights import with_weights
from escada.models.contract import LanguageModel
from escada.text.tokenizers import Tokenizer

Finish = Literal["eos", "length", "stop"]
UNIFORMS_AT_ONCE = 256
ROUNDING_NATS = 4e-5
"""Bound in fp32 on the difference between a row's logits and those of the row computed alone. The
largest seen was 2.8e-5, in a logit of 34 (docs/generation.md)."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one row is to generate.

    Args:
        prompt_ids: BOS and the prompt's tokens.
        max_tokens: maximum number of new tokens.
        uniforms: the row's random stream, not to be used elsewhere.
        stop: strings at which the text ends, without them.
        alternatives: number of most probable tokens that each event lists.

    Raises:
        EscadaError: no prompt, max_tokens below 1, alternatives below 0, or an empty stop string.
    """

    prompt_ids: Sequence[int]
    settings: SamplerSettings
    max_tokens: int
    uniforms: np.random.Generator
    stop: tuple[str, ...] = ()
    alternatives: int = 0

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise EscadaError("a request has no tokens to begin with", fix="begin with BOS")
        if self.max_tokens < 1:
            raise EscadaError(f"max_tokens is {self.max_tokens}", fix="at least 1 is needed")
        if self.alternatives < 0:
            raise EscadaError(f"alternatives is {self.alternatives}", fix="at least 0 is needed")
        if "" in self.stop:
            raise EscadaError("a stop string is empty", fix="give at least one character")


@dataclass(frozen=True, slots=True)
class Event:
    """One new token of a request.

    Attributes:
        request: number from `Batch.add`.
        text: the text that is now final; may be empty, and may belong to earlier tokens.
        nats: -log of the token's probability under the model, without temperature, filter, penalty.
        alternatives: the most probable tokens with their nats, best first, then by id.
        finish: why this is the last event; None if it is not.
    """

    request: int
    token: int
    text: str
    nats: float
    alternatives: tuple[tuple[int, float], ...] = ()
    finish: Finish | None = None


@dataclass(slots=True)
class _Row:
    id: int
    request: Request
    text: TextPieces
    uniforms: Iterator[float]
    seen_V: NDArray[np.bool_] | None
    written: int = 0
    last_token: int | None = None  # sampled, and not yet read by the decoder
    gone: bool = False


def _uniforms(stream: np.random.Generator) -> Iterator[float]:
    while True:
        yield from stream.random(UNIFORMS_AT_ONCE).tolist()


class Batch:
    """The rows that decode together, and a queue of those that wait.

    UNK and BOS are never chosen: see `never_chosen`.

    Args:
        model: its training mode is restored.
        weights: see `with_weights`.
        max_rows: rows decoded together; further ones wait.

    Raises:
        EscadaError: max_rows below 1, or weights that are unavailable.
    """

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        *,
        weights: str = "fp32",
        max_rows: int = 64,
    ) -> None:
        if max_rows < 1:
            raise EscadaError(f"batch_rows is {max_rows}", fix="at least 1 is needed")
        self.model = with_weights(model, weights)
        self.tokenizer = tokenizer
        # In narrower formats nearly every draw would be doubtful, so nothing is repeated.
        self._rounding = ROUNDING_NATS if weights == "fp32" else 0.0
        self._max_rows = max_rows
        self._pieces = PieceTable(tokenizer)
        self._banned = never_chosen(tokenizer)
        self._next_id = 0
        self._waiting: deque[_Row] = deque()
        self._active: list[_Row] = []
        self._decoder: Decoder | None = None  # its rows are those of `_active`, in that order

    @property
    def rows(self) -> int:
        """Number of requests decoding or waiting."""
        return sum(not row.gone for row in self._active) + len(self._waiting)

    def add(self, request: Request) -> int:
        """Queue a request, to join at the next step with a free row; returns its number, from 0."""
        seen_V = None
        if request.settings.repetition_penalty != 1.0:
            seen_V = np.zeros(self.model.vocab_size, dtype=np.bool_)
            seen_V[list(request.prompt_ids)] = True
        text, uniforms = TextPieces(self._pieces, request.stop), _uniforms(request.uniforms)
        row = _Row(self._next_id, request, text, uniforms, seen_V)
        self._waiting.append(row)
        self._next_id += 1
        return row.id

    def cancel(self, request: int) -> None:
        """Drop a request without a last event; no effect if it is finished."""
        self._waiting = deque(row for row in self._waiting if row.id != request)
        for row in self._active:
            row.gone |= row.id == request

    def run(self, requests: Iterable[Request]) -> Iterator[Event]:
        """Add requests and decode until all are finished; raises as `step`."""
        for request in requests:
            self.add(request)
        while self.rows:
            yield from self.step()

    def step(self) -> list[Event]:
        """Generate one token in every row.

        Raises:
            EscadaError: a logit is not finite, or memory runs out.
        """
        with exact_inference(self.model):
            self._read_last_tokens()
            self._admit()
            if self._decoder is None:
                return []
            return self._write(self._decoder.logits_BV.float())

    def _read_last_tokens(self) -> None:
        """Remove finished rows, and let the decoder read the last tokens of the others."""
        kept = [b for b, row in enumerate(self._active) if not row.gone]
        if self._decoder is None or not kept:
            self._active, self._decoder = [], None
            return
        if len(kept) < len(self._active):
            self._decoder.keep(kept)
            self._active = [self._active[b] for b in kept]
        tokens = [row.last_token for row in self._active]
        self._decoder.append([token for token in tokens if token is not None])

    def _admit(self) -> None:
        free = self._max_rows - len(self._active)
        joining = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
        if not joining:
            return
        prompts = [row.request.prompt_ids for row in joining]
        if self._decoder is None:
            self._decoder = Decoder(self.model, prompts)
        else:
            self._decoder.extend(prompts)
        self._active += joining

    def _write(self, logits_BV: Tensor) -> list[Event]:
        ids_B = self._choose(logits_BV.cpu().numpy())
        device_ids_B = torch.from_numpy(ids_B).to(logits_BV.device)
        nats_B = functional.cross_entropy(logits_BV, device_ids_B, reduction="none")
        events: list[Event] = []
        for b, (row, token, nats) in enumerate(
            zip(self._active, ids_B.tolist(), cast("list[float]", nats_B.tolist()), strict=True)
        ):
            wanted = row.request.alternatives
            alternatives = _alternatives(logits_BV[b], wanted) if wanted else ()
            events.append(self._event(row, token, nats, alternatives))
        return events

    def _choose(self, logits_BV: NDArray[np.float32]) -> NDArray[np.int64]:
        """A token per row; rows with equal settings are sampled together."""
        groups: dict[SamplerSettings, list[int]] = defaultdict(list)
        for b, row in enumerate(self._active):
            groups[row.request.settings].append(b)
        chosen_B = np.empty(len(self._active), dtype=np.int64)
        for settings, members in groups.items():
            rows = [self._active[b] for b in members]
            seen = [row.seen_V for row in rows if row.seen_V is not None]
            seen_BV = np.stack(seen) if seen else None
            uniforms_B = np.array([next(row.uniforms) for row in rows])
            chosen_B[members], doubtful_B = sample_with_doubt(
                logits_BV if len(groups) == 1 else logits_BV[members],
                uniforms_B,
                settings,
                rounding=self._rounding,
                seen_BV=seen_BV,
                banned=self._banned,
                where=f"new token {rows[0].written}",
            )
            for b in np.flatnonzero(doubtful_B):
                chosen_B[members[b]] = self._choose_alone(
                    members[b], uniforms_B[b], None if seen_BV is None else seen_BV[b]
                )
        return chosen_B

    def _choose_alone(self, b: int, uniform: float, seen_V: NDArray[np.bool_] | None) -> int:
        """The token of one row, from logits computed without other rows."""
        assert self._decoder is not None
        row = self._active[b]
        chosen_B = sample(
            self._decoder.logits_alone(b).float().cpu().numpy(),
            np.array([uniform]),
            row.request.settings,
            seen_BV=None if seen_V is None else seen_V[None],
            banned=self._banned,
            where=f"new token {row.written}",
        )
        return int(chosen_B[0])

    def _event(
        self, row: _Row, token: int, nats: float, alternatives: tuple[tuple[int, float], ...]
    ) -> Event:
        """Update a row with its token and make the event."""
        row.last_token = token
        row.written += 1
        if row.seen_V is not None:
            row.seen_V[token] = True
        text = row.text.push(token)
        finish: Finish | None = None
        if row.text.stopped:
            finish = "stop"
        elif token == self.tokenizer.eos_id:
            finish = "eos"
        elif row.written == row.request.max_tokens:
            finish = "length"
        if finish is not None:
            row.gone = True
            text += row.text.flush()
            if row.text.stopped:  # by text that was held back
                finish = "stop"
        return Event(row.id, token, text, nats, alternatives, finish)


def never_chosen(tokenizer: Tokenizer) -> list[int]:
    """BOS, which only opens a document, and UNK, which has no text."""
    return [tokenizer.bos_id] + ([] if tokenizer.unk_id is None else [tokenizer.unk_id])


def _alternatives(logits_V: Tensor, wanted: int) -> tuple[tuple[int, float], ...]:
    nats_V = -logits_V.log_softmax(dim=0).cpu().numpy()
    best = np.argsort(nats_V, kind="stable")[:wanted]
    return tuple((int(token), float(nats_V[token])) for token in best)
