"""Many requests decoded together, each by its own settings, joining and leaving at any token.

    batch = Batch(model, tokenizer)
    for event in batch.run(requests):
        print(event.text, end="")

A row draws from a random stream of its own and no product mixes rows. But a product of one row is
rounded otherwise than one of many, and a draw near the edge between two tokens could then fall to
the other side. So a draw that rounding might change is made again, from the logits of that row
read alone: what a request gets depends neither on its neighbours nor on when it joined.

    B  rows     V  vocabulary
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
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
"""How far a row's logits may be from those of the row read alone, in fp32. The most that was seen
was 2.8e-5, in a logit of 34 (docs/generation.md)."""


@dataclass(frozen=True, slots=True)
class Request:
    """What one row shall write.

    Args:
        prompt_ids: BOS and the prompt's.
        settings: of the sampler.
        max_tokens: most tokens to write.
        uniforms: the row's random stream; it belongs to the row from now on.
        stop: strings at which the text ends, without them.
        alternatives: how many of the most probable tokens each event names.

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
    """One token that a request got.

    Attributes:
        request: what `Batch.add` returned.
        token: its id.
        text: what is certain now; it may be empty, and may belong to earlier tokens.
        nats: -log of its probability under the model itself: no temperature, filter or penalty.
        alternatives: the most probable tokens with their nats, the best first; of equal ones, the
            lower id.
        finish: why this is the request's last event; None: it goes on.
    """

    request: int
    token: int
    text: str
    nats: float
    alternatives: tuple[tuple[int, float], ...] = ()
    finish: Finish | None = None


@dataclass(slots=True)
class _Row:
    """A request that is being decoded."""

    id: int
    request: Request
    text: TextPieces
    seen_V: NDArray[np.bool_] | None
    written: int = 0
    last_token: int | None = None  # sampled, and not yet read by the decoder
    gone: bool = False
    uniforms: Iterator[float] = field(init=False)

    def __post_init__(self) -> None:
        self.uniforms = _uniforms(self.request.uniforms)


def _uniforms(stream: np.random.Generator) -> Iterator[float]:
    while True:
        yield from stream.random(UNIFORMS_AT_ONCE).tolist()


class Batch:
    """The rows that decode together, and those that wait for a place.

    UNK and BOS are never chosen: see `never_chosen`.

    Args:
        model: any of the ladder; it is left in the mode that it came in.
        tokenizer: the model's.
        weights: see `with_weights`.
        max_rows: rows decoded together; further ones wait.

    Attributes:
        model: with the weights that it decodes with.
        tokenizer: the model's.

    Raises:
        EscadaError: max_rows below 1, or weights that are not to be had.
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
        # Rounded to fewer bits, nearly every draw would be doubtful: there the promise is not made.
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
        """Requests that are not finished: decoding or waiting."""
        return sum(not row.gone for row in self._active) + len(self._waiting)

    def add(self, request: Request) -> int:
        """Take a request; it joins at the next step, or when there is a place.

        Returns:
            Its number: 0 for the first request, then counting up.
        """
        seen_V = None
        if request.settings.repetition_penalty != 1.0:
            seen_V = np.zeros(self.model.vocab_size, dtype=np.bool_)
            seen_V[list(request.prompt_ids)] = True
        row = _Row(self._next_id, request, TextPieces(self._pieces, request.stop), seen_V)
        self._waiting.append(row)
        self._next_id += 1
        return row.id

    def cancel(self, request: int) -> None:
        """Let a request go, without a last event; nothing happens if it is finished."""
        self._waiting = deque(row for row in self._waiting if row.id != request)
        for row in self._active:
            row.gone |= row.id == request

    def run(self, requests: Iterable[Request]) -> Iterator[Event]:
        """Take requests and write all that there are to their ends.

        Raises:
            EscadaError: as `step`.
        """
        for request in requests:
            self.add(request)
        while self.rows:
            yield from self.step()

    def step(self) -> list[Event]:
        """Write one token in every row.

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
        """Let finished rows go, and have the decoder read what the others wrote."""
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
        """Choose a token for each row."""
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
        """Rows of equal settings together."""
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
        """The token of one row, from logits that no other row had a part in rounding."""
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
        """The row after its token, and what there is to say of it."""
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
            if row.text.stopped:  # by what was held back to the end
                finish = "stop"
        return Event(row.id, token, text, nats, alternatives, finish)


def never_chosen(tokenizer: Tokenizer) -> list[int]:
    """BOS, which only ever opens a document, and UNK, which stands for no text to write out."""
    return [tokenizer.bos_id] + ([] if tokenizer.unk_id is None else [tokenizer.unk_id])


def _alternatives(logits_V: Tensor, wanted: int) -> tuple[tuple[int, float], ...]:
    nats_V = -logits_V.log_softmax(dim=0).cpu().numpy()
    best = np.argsort(nats_V, kind="stable")[:wanted]
    return tuple((int(token), float(nats_V[token])) for token in best)
