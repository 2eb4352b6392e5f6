"""A model's batch with the rows in it and those that wait for it; for the engine alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from escada.evaluation.scoring import Integers, TokenScores
from escada.generation.batch import Batch, Event, Request
from escada.serve.fair_queue import FairQueue, may_hold
from escada.serve.metrics import Metrics

if TYPE_CHECKING:
    from escada.serve.scoring_lane import ScoringLane

Work = TypeVar("Work")

PROMPT_TOKENS_AT_ONCE = 2048
"""Read for rows that join before a step: the others wait that long for their next token."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gets no more events.

    Attributes:
        message: for its client.
        stopping: the service goes down; otherwise the model failed.
    """

    message: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class ToScore:
    """A text to score.

    Attributes:
        sequence: its ids from BOS on.
        alternatives: how many of the most probable tokens are named at each place.
    """

    sequence: Integers
    alternatives: int


@dataclass(frozen=True, slots=True)
class Scored:
    """A text that was scored: the only event of its row."""

    request: int
    scores: TokenScores
    finish: Literal["scored"] = "scored"


Delivery = tuple[int, Event | Scored] | Failure
"""A row's number within its request, and its event; or the end of all of them."""


@dataclass(eq=False, slots=True)
class Ticket:
    """A request in the engine's hands.

    Attributes:
        lane: whose rows they are.
        client: whose it is.
        receive: called, through the engine's `post`, with what is new of its rows.
        submitted: on the clock of `time.perf_counter`.
    """

    lane: Lane | ScoringLane
    client: str
    receive: Callable[[Sequence[Delivery]], None]
    submitted: float


@dataclass(eq=False, slots=True)
class Row(Generic[Work]):
    """One text of a request: to be written, or to be scored."""

    ticket: Ticket
    number: int
    request: Work
    joined: float = 0.0
    last_event: float | None = None


class Lane:
    """See the module docstring.

    Args:
        name: of the model.
        batch: made with `max_rows`.
        max_rows: in the batch.

    Attributes:
        waiting: rows that are not in the batch.
        rows: those that are, by their number there.
        cancelled: tickets whose rows are to leave it.
        seconds: of the engine's thread, that this model has had.
    """

    def __init__(self, name: str, batch: Batch, max_rows: int) -> None:
        self.name = name
        self.waiting: FairQueue[Row[Request]] = FairQueue()
        self.rows: dict[int, Row[Request]] = {}
        self.cancelled: set[Ticket] = set()
        self.seconds = 0.0
        self._batch, self._max_rows = batch, max_rows
        self._held: Counter[str] = Counter()  # rows in the batch by client

    @property
    def busy(self) -> bool:
        """Whether there is something to write."""
        return bool(self.rows or self.waiting)

    def step(self) -> list[Event]:
        """One token for every row.

        Raises:
            EscadaError: see `Batch.step`.
        """
        return self._batch.step()

    def measure(self, event: Event | Scored, row: Row[Any], now: float, metrics: Metrics) -> None:
        """Note how long a token took."""
        del event
        if row.last_event is None:
            metrics.first_token(self.name, now - row.ticket.submitted)
        else:
            metrics.next_token(self.name, now - row.last_event)
        row.last_event = now

    def admit(self) -> None:
        """Rows join, in turn of their clients, as far as there is room and little to read."""

        def allowed(client: str) -> bool:
            return may_hold(self._held[client], self._max_rows - len(self.rows))

        tokens = 0
        while tokens < PROMPT_TOKENS_AT_ONCE and (found := self.waiting.pop(allowed)):
            client, row = found
            tokens += len(row.request.prompt_ids)
            row.joined = time.perf_counter()
            self.rows[self._batch.add(row.request)] = row
            self._held[client] += 1

    def leave(self, number: int) -> None:
        """A row is finished."""
        client = self.rows.pop(number).ticket.client
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def let_go(self) -> None:
        """Take cancelled rows out of the batch."""
        if not self.cancelled:
            return
        for number, row in list(self.rows.items()):
            if row.ticket in self.cancelled:
                self._batch.cancel(number)
                self.leave(number)
        self.cancelled.clear()
        if not self.busy:
            self.rest()

    def clear(self) -> set[Ticket]:
        """Take every row out of the batch: after an error none of them can go on."""
        tickets = {row.ticket for row in self.rows.values()}
        for number in list(self.rows):
            self._batch.cancel(number)
            self.leave(number)
        self.rest()
        return tickets

    def rest(self) -> None:
        """Give the cache of a batch back that nobody needs."""
        self._batch.step()
