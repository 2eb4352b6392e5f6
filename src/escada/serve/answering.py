"""From the events of a batch to text, logprobs and usage."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

from escada.generation.batch import Event
from escada.generation.pieces import PieceTable, TextPieces, token_name
from escada.serve.asking import Asked
from escada.serve.schema import Choice, Completion, Logprobs, Usage
from escada.serve.served import ServedModel

STREAM_END = b"data: [DONE]\n\n"


class _Row:
    """What one row of the answer needs to know of its past."""

    def __init__(self, table: PieceTable, prompt: str | None) -> None:
        self.prompt = prompt  # still to be echoed
        self.offset = len(prompt or "")
        self.pieces = TextPieces(table)  # without stop strings: tells where a token's text begins


class Answer:
    """The answer to one request, event by event.

    Args:
        served: the model.
        asked: the request.
        echo: begin each text with its prompt.
        logprobs: tell what the model thought.
    """

    def __init__(self, served: ServedModel, asked: Asked, *, echo: bool, logprobs: bool) -> None:
        self._served, self._asked, self._logprobs = served, asked, logprobs
        table = served.pieces
        self._rows = [_Row(table, prompt if echo else None) for prompt in asked.prompts]
        self._id = f"cmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self.completion_tokens = 0
        self.unfinished = len(self._rows)

    def take(self, number: int, event: Event) -> Choice:
        """The piece that an event adds to the text of a row."""
        row = self._rows[number]
        text, row.prompt = (row.prompt or "") + event.text, None
        self.completion_tokens += 1
        self.unfinished -= event.finish is not None
        logprobs = self._logprobs_of(row, event) if self._logprobs else None
        reason = None if event.finish is None else "length" if event.finish == "length" else "stop"
        return Choice(text=text, index=number, logprobs=logprobs, finish_reason=reason)

    def _logprobs_of(self, row: _Row, event: Event) -> Logprobs:
        table = self._served.pieces
        named = {event.token: event.nats} | dict(event.alternatives)
        best_first = sorted(named.items(), key=lambda item: (item[1], item[0]))
        offset = row.offset
        row.offset += len(row.pieces.push(event.token))
        return Logprobs(
            tokens=[token_name(table, event.token)],
            token_logprobs=[-event.nats],
            top_logprobs=[{token_name(table, token): -nats for token, nats in best_first}],
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


def joined(pieces: Sequence[Choice]) -> Choice:
    """The pieces of one row as one choice."""
    last = pieces[-1]
    logprobs = None
    if last.logprobs is not None:
        parts = [piece.logprobs for piece in pieces if piece.logprobs is not None]
        logprobs = Logprobs(
            tokens=[token for part in parts for token in part.tokens],
            token_logprobs=[value for part in parts for value in part.token_logprobs],
            top_logprobs=[names for part in parts for names in part.top_logprobs],
            text_offset=[offset for part in parts for offset in part.text_offset],
        )
    return Choice(
        text="".join(piece.text for piece in pieces),
        index=last.index,
        logprobs=logprobs,
        finish_reason=last.finish_reason,
    )


def server_sent(json_text: str) -> bytes:
    """One event of a stream."""
    return b"data: " + json_text.encode("utf-8") + b"\n\n"
