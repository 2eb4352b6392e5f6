"""A model's texts that are to be scored, beside its lane of texts that it writes; for the engine.

Scoring has a lane of its own, so that the engine's rule holds for it too: of two busy lanes each
gets as many seconds. However much one client has scored, a text that is being written goes on. A
step is one forward pass of at most `TOKENS_A_STEP` tokens: others wait no longer than that for
their next token.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from escada.evaluation.scoring import Reading, check_scores
from escada.generation.batch import Batch, Event
from escada.serve.fair_queue import FairQueue
from escada.serve.lane import PROMPT_TOKENS_AT_ONCE, Row, Scored, Ticket, ToScore
from escada.serve.metrics import Metrics

TOKENS_A_STEP = 512


class ScoringLane:
    """See the module docstring.

    Args:
        name: of the model.
        batch: whose model reads.
        context_tokens: of the ruler, for the run; None: the model's own.

    Attributes:
        waiting: texts that are not being read.
        rows: those that are, by their number.
        cancelled: tickets that nobody waits for.
        seconds: of the engine's thread, that this lane has had.
    """

    def __init__(self, name: str, batch: Batch, context_tokens: int | None) -> None:
        self.name = name
        self.waiting: FairQueue[Row[ToScore]] = FairQueue()
        self.rows: dict[int, Row[ToScore]] = {}
        self.cancelled: set[Ticket] = set()
        self.seconds = 0.0
        self._batch, self._context_tokens = batch, context_tokens
        self._reading: Reading | None = None
        self._order: Sequence[Row[ToScore]] = ()  # of the reading's sequences

    @property
    def busy(self) -> bool:
        """Whether there is something to read."""
        return bool(self.rows or self.waiting)

    def admit(self) -> None:
        """Begin to read texts, in turn of their clients, about as many as one long prompt has."""
        if self.rows:
            return
        tokens = 0
        while tokens < PROMPT_TOKENS_AT_ONCE and (found := self.waiting.pop(lambda client: True)):
            _, row = found
            tokens += len(row.request.sequence)
            row.joined = time.perf_counter()
            self.rows[len(self.rows)] = row
        self._order = list(self.rows.values())
        self._reading = Reading(
            self._batch.model,
            self._batch.tokenizer,
            [row.request.sequence for row in self._order],
            context_tokens=self._context_tokens,
            batch_tokens=TOKENS_A_STEP,
            alternatives=max(row.request.alternatives for row in self._order),
        )

    def step(self) -> list[Scored]:
        """Read on; the scores come together, with the last step.

        Raises:
            EscadaError: a score that is not finite, or memory runs out.
        """
        if self._reading is None or self._reading.step():
            return []
        scores = self._reading.scores()
        check_scores(scores, ["a prompt"] * len(scores))
        return [Scored(number, scores[number]) for number in self.rows]

    def measure(self, event: Event | Scored, row: Row[Any], now: float, metrics: Metrics) -> None:
        """Count what was scored."""
        del row, now
        assert isinstance(event, Scored)
        metrics.scored_tokens.labels(self.name).inc(len(event.scores.ids))

    def leave(self, number: int) -> None:
        """A row is finished."""
        del self.rows[number]

    def let_go(self) -> None:
        """Forget texts that nobody waits for."""
        for number, row in list(self.rows.items()):
            if row.ticket in self.cancelled:
                self.leave(number)
        self.cancelled.clear()
        if not self.rows:
            self.rest()

    def clear(self) -> set[Ticket]:
        """Let every text go that is being read: after an error none of them can go on."""
        tickets = {row.ticket for row in self.rows.values()}
        self.rows.clear()
        self.rest()
        return tickets

    def rest(self) -> None:
        """Forget the reading."""
        self._reading, self._order = None, ()
