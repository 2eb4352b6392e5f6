"""Who waits for a model, and whose turn it is; for the scheduler.

Each model has two queues, one of texts to generate and one of texts to score, so that of both each
gets as many seconds: however much one client has scored, a text that is being generated goes on.

Within a queue, rows wait in a `FairQueue`: clients take turns; within a client, first come, first
served. How much one client may hold of what all share (rows of a batch, places in the queue)
follows one rule, `may_hold`: never more than he leaves free. So one client alone uses half of it, a
second one half of the rest, and somebody who asks for one row finds a place at once, however much a
single other client has asked for before.

Source: the rule is that of buffers in network switches (Choudhury and Hahne 1998, dynamic
thresholds).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from escada.evaluation.scoring import Integers, Reading, TokenScores, check_scores
from escada.generation.batch import Batch, Event, Request
from escada.serve.metrics import Metrics

T = TypeVar("T")
Work = TypeVar("Work")

PROMPT_TOKENS_AT_ONCE = 2048
"""Read for rows that join before a step: the others wait that long for their next token."""
SCORING_STEP_TOKENS = 512
"""Of one forward pass: others wait no longer than that for their next token."""


def may_hold(own: int, free: int, more: int = 1) -> bool:
    """Whether a client who holds `own` may take `more` of the `free` ones."""
    return own + more <= free


class FairQueue(Generic[T]):
    """Items by client, in turn.

    queue.push("a", row)
    client, row = queue.pop(lambda client: client != "b")
    """

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count(self, client: str) -> int:
        """Items of one client."""
        return len(self._waiting.get(client, ()))

    def push(self, client: str, item: T) -> None:
        """Behind the client's other items; a client who had none comes last in turn."""
        self._waiting.setdefault(client, deque()).append(item)
        self._size += 1

    def pop(self, allowed: Callable[[str], bool]) -> tuple[str, T] | None:
        """The first item, in turn, of the clients that are allowed; None: there is none."""
        for client, items in self._waiting.items():
            if allowed(client):
                item = items.popleft()
                self._size -= 1
                self._waiting.move_to_end(client)
                if not items:
                    del self._waiting[client]
                return client, item
        return None

    def remove(self, unwanted: Callable[[T], bool]) -> list[T]:
        """Take items out, wherever they stand."""
        removed: list[T] = []
        for client, items in list(self._waiting.items()):
            kept: deque[T] = deque()
            for item in items:
                (removed if unwanted(item) else kept).append(item)
            if kept:
                self._waiting[client] = kept
            else:
                del self._waiting[client]
        self._size -= len(removed)
        return removed


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job gets no more events.

    Attributes:
        message: for its client.
        stopping: the service is shutting down; otherwise the model failed.
    """

    message: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class TextToScore:
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
"""A row's number within its job, and its event; or the end of all of them."""
Receiver = Callable[[Sequence[Delivery]], None]


@dataclass(eq=False, slots=True)
class Job:
    """The rows of one request, which the scheduler works on.

    Attributes:
        queue: that they are in.
        client: whose they are.
        receive: called, through the scheduler's `post`, with what is new of its rows.
        submitted: on the clock of `time.perf_counter`.
    """

    queue: ModelQueue[Any]
    client: str
    receive: Receiver
    submitted: float


@dataclass(eq=False, slots=True)
class Row(Generic[Work]):
    """One text of a job: to be generated, or to be scored."""

    job: Job
    number: int
    work: Work
    joined: float = 0.0
    last_event: float | None = None


class ModelQueue(ABC, Generic[Work]):
    """Rows of one kind for one model: those that wait, and those that the model works on.

    Args:
        name: of the model.

    Attributes:
        waiting: rows that the model does not work on yet.
        rows: those that it works on, by their number there.
        cancelled: jobs whose rows are to be taken out.
        seconds: of the scheduler's thread, that this queue has had.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: FairQueue[Row[Work]] = FairQueue()
        self.rows: dict[int, Row[Work]] = {}
        self.cancelled: set[Job] = set()
        self.seconds = 0.0

    @property
    def busy(self) -> bool:
        """Whether there is something to do."""
        return bool(self.rows or self.waiting)

    @abstractmethod
    def admit(self) -> None:
        """Rows join, in turn of their clients."""

    @abstractmethod
    def step(self) -> Sequence[Event | Scored]:
        """One step of the model for the rows that have joined.

        Raises:
            EscadaError: a figure that is not finite, or memory runs out.
        """

    @abstractmethod
    def record(self, event: Any, row: Row[Work], now: float, metrics: Metrics) -> None:
        """Tell the metrics of an event."""

    @abstractmethod
    def release(self) -> None:
        """Free the memory that is needed only while there are rows."""

    def finish(self, number: int) -> None:
        """A row is finished."""
        del self.rows[number]

    def cancel(self, number: int) -> None:
        """Take a row out before it is finished."""
        self.finish(number)

    def drop_cancelled(self) -> None:
        """Take out the rows that nobody waits for."""
        if not self.cancelled:
            return
        for number, row in list(self.rows.items()):
            if row.job in self.cancelled:
                self.cancel(number)
        self.cancelled.clear()
        if not self.rows:
            self.release()

    def drop_all(self) -> set[Job]:
        """Take out every row that the model works on: after an error none of them can go on."""
        jobs = {row.job for row in self.rows.values()}
        for number in list(self.rows):
            self.cancel(number)
        self.release()
        return jobs


class GenerationQueue(ModelQueue[Request]):
    """Texts to generate, decoded together in one batch.

    Args:
        name: of the model.
        batch: made with `max_rows`.
        max_rows: in the batch.
    """

    def __init__(self, name: str, batch: Batch, max_rows: int) -> None:
        super().__init__(name)
        self._batch, self._max_rows = batch, max_rows
        self._held: Counter[str] = Counter()  # rows in the batch by client

    def admit(self) -> None:
        """Rows join as far as there is room, and no more than one long prompt is to be read."""

        def allowed(client: str) -> bool:
            return may_hold(self._held[client], self._max_rows - len(self.rows))

        tokens = 0
        while tokens < PROMPT_TOKENS_AT_ONCE and (found := self.waiting.pop(allowed)):
            client, row = found
            tokens += len(row.work.prompt_ids)
            row.joined = time.perf_counter()
            self.rows[self._batch.add(row.work)] = row
            self._held[client] += 1

    def step(self) -> list[Event]:
        """One token for every row."""
        return self._batch.step()

    def record(self, event: Event, row: Row[Request], now: float, metrics: Metrics) -> None:
        """How long the token took."""
        del event
        if row.last_event is None:
            metrics.first_token(self.name, now - row.job.submitted)
        else:
            metrics.next_token(self.name, now - row.last_event)
        row.last_event = now

    def finish(self, number: int) -> None:
        """A row is finished: its client may hold another one."""
        client = self.rows.pop(number).job.client
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def cancel(self, number: int) -> None:
        """Take a row out of the batch too."""
        self._batch.cancel(number)
        self.finish(number)

    def release(self) -> None:
        """Give the batch's cache back, as a step without rows does."""
        self._batch.step()


class ScoringQueue(ModelQueue[TextToScore]):
    """Texts to score, read together in forward passes of at most `SCORING_STEP_TOKENS`.

    Args:
        name: of the model.
        batch: whose model reads.
        context_tokens: of the ruler, for the run; None: the model's own.
    """

    def __init__(self, name: str, batch: Batch, context_tokens: int | None) -> None:
        super().__init__(name)
        self._batch, self._context_tokens = batch, context_tokens
        self._reading: Reading | None = None

    def admit(self) -> None:
        """Begin to read texts, together about as long as one long prompt."""
        if self.rows:
            return
        tokens = 0
        while tokens < PROMPT_TOKENS_AT_ONCE and (found := self.waiting.pop(lambda client: True)):
            _, row = found
            tokens += len(row.work.sequence)
            row.joined = time.perf_counter()
            self.rows[len(self.rows)] = row
        self._reading = Reading(
            self._batch.model,
            self._batch.tokenizer,
            [row.work.sequence for row in self.rows.values()],
            context_tokens=self._context_tokens,
            batch_tokens=SCORING_STEP_TOKENS,
            alternatives=max(row.work.alternatives for row in self.rows.values()),
        )

    def step(self) -> list[Scored]:
        """Read on; the scores come together, with the last step."""
        if self._reading is None or self._reading.step():
            return []
        scores = self._reading.scores()
        check_scores(scores, ["a prompt"] * len(scores))
        return [Scored(number, scores[number]) for number in self.rows]

    def record(self, event: Scored, row: Row[TextToScore], now: float, metrics: Metrics) -> None:
        """How many tokens were scored."""
        del row, now
        metrics.scored_tokens.labels(self.name).inc(len(event.scores.ids))

    def release(self) -> None:
        """Forget the texts."""
        self._reading = None
