"""From the events of a batch to text, logprobs and usage."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from escada.evaluation.scoring import TokenScores
from escada.generation.batch import Event
from escada.generation.pieces import PieceTable, TextPieces, token_name
from escada.serve.models import ServedModel
from escada.serve.request import Asked, Prompt
from escada.serve.schema import Choice, Completion, Logprobs, Usage

STREAM_END = b"data: [DONE]\n\n"


class _Row:
    """What one row of the answer needs to know of its past."""

    def __init__(self, table: PieceTable, echo: str, echoed: Logprobs | None) -> None:
        self.echo, self.echoed = echo, echoed  # still to be sent
        self.offset = len(echo)
        self.pieces = TextPieces(table)  # without stop strings: tells where a token's text begins


class Answer:
    """The answer to one request, event by event.

    Args:
        served: the model.
        asked: the request.
        echo: begin each text with its prompt.
        logprobs: tell what the model thought.
        scored: of the prompts, if they were to be scored.
    """

    def __init__(
        self,
        served: ServedModel,
        asked: Asked,
        *,
        echo: bool,
        logprobs: bool,
        scored: Sequence[TokenScores] = (),
    ) -> None:
        self._served, self._asked, self._logprobs = served, asked, logprobs
        table = served.pieces
        self._rows = [
            _Row(
                table,
                prompt.text if echo else "",
                prompt_logprobs(table, prompt, scored[place // asked.n]) if scored else None,
            )
            for place, prompt in enumerate(asked.prompts)
        ]
        self._id = f"cmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self.completion_tokens = 0
        self.unfinished = len(asked.rows)

    def take(self, number: int, event: Event) -> Choice:
        """The piece that an event adds to the text of a row."""
        row = self._rows[number]
        text, echoed = row.echo + event.text, row.echoed
        row.echo, row.echoed = "", None
        self.completion_tokens += 1
        self.unfinished -= event.finish is not None
        logprobs = self._logprobs_of(row, event) if self._logprobs else None
        if echoed is not None and logprobs is not None:
            logprobs = joined_logprobs([echoed, logprobs])
        reason = None if event.finish is None else "length" if event.finish == "length" else "stop"
        return Choice(text=text, index=number, logprobs=logprobs, finish_reason=reason)

    def prompts_alone(self) -> list[Choice]:
        """All of an answer for which nothing was to be written."""
        return [
            Choice(text=row.echo, index=number, logprobs=row.echoed, finish_reason="length")
            for number, row in enumerate(self._rows)
        ]

    def _logprobs_of(self, row: _Row, event: Event) -> Logprobs:
        table = self._served.pieces
        offset = row.offset
        row.offset += len(row.pieces.push(event.token))
        return Logprobs(
            tokens=[token_name(table, event.token)],
            token_logprobs=[-event.nats],
            top_logprobs=[top_logprobs(table, event.token, event.nats, event.alternatives)],
            text_offset=[offset],
        )

    def usage(self) -> Usage:
        """Counts so far."""
        prompt, completion = self._asked.prompt_tokens, self.completion_tokens
        return Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )

    def completion(self, choices: list[Choice], usage: Usage | None = None) -> Completion:
        """Choices in their envelope."""
        return Completion(
            id=self._id,
            created=self._created,
            model=self._served.name,
            system_fingerprint=self._served.fingerprint,
            seed=self._asked.seed,
            choices=choices,
            usage=usage,
        )


def top_logprobs(
    table: PieceTable, token: int, nats: float, alternatives: Sequence[tuple[int, float]]
) -> dict[str, float]:
    """The most probable tokens, and the one that stands there, the best first.

    An UNK that is among the most probable keeps the model's own figure there, without the price of
    its name: it is not a first choice.
    """
    named = {token: nats} | dict(alternatives)
    best_first = sorted(named.items(), key=lambda item: (item[1], item[0]))
    return {token_name(table, token): -nats for token, nats in best_first}


def prompt_logprobs(table: PieceTable, prompt: Prompt, scored: TokenScores) -> Logprobs:
    """What the model thought of a prompt's tokens: of those that were given, or of its text's."""
    values: list[float | None] = [-nats for nats in scored.nats.tolist()]
    named = scored.alternatives or [()] * len(scored.ids)
    tops: list[dict[str, float] | None] = [
        top_logprobs(table, token, nats, alternatives)
        for token, nats, alternatives in zip(
            scored.ids.tolist(), scored.nats.tolist(), named, strict=True
        )
    ]
    if len(prompt.given_ids) == len(prompt.ids):  # BOS too, before which there is nothing
        values, tops = [None, *values], [None, *tops]
    pieces = TextPieces(table)
    offsets, offset = list[int](), 0
    for token in prompt.given_ids:
        offsets.append(offset)
        offset += len(pieces.push(token))
    return Logprobs(
        tokens=[token_name(table, token) for token in prompt.given_ids],
        token_logprobs=values,
        top_logprobs=tops,
        text_offset=offsets,
    )


def joined_logprobs(parts: Sequence[Logprobs]) -> Logprobs:
    """Several stretches of tokens as one."""
    return Logprobs(
        tokens=[token for part in parts for token in part.tokens],
        token_logprobs=[value for part in parts for value in part.token_logprobs],
        top_logprobs=[names for part in parts for names in part.top_logprobs],
        text_offset=[offset for part in parts for offset in part.text_offset],
    )


def joined(pieces: Sequence[Choice]) -> Choice:
    """The pieces of one row as one choice."""
    last = pieces[-1]
    parts = [piece.logprobs for piece in pieces if piece.logprobs is not None]
    return Choice(
        text="".join(piece.text for piece in pieces),
        index=last.index,
        logprobs=joined_logprobs(parts) if last.logprobs is not None else None,
        finish_reason=last.finish_reason,
    )


def server_sent(json_text: str) -> bytes:
    """One event of a stream."""
    return b"data: " + json_text.encode("utf-8") + b"\n\n"
