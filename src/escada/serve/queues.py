"""Per-model queues for the scheduler, and the order in which clients are served.

Each model has two queues, texts to generate and texts to score. Both get the same share of time, so
scoring cannot starve generation.

Within a queue, clients take turns (`FairQueue`); rows of one client are first come, first served.
`may_hold` limits a client's share of batch rows and queue places: never more than it leaves free. A
single client can therefore use half, a second one half of the rest, and a client that asks for one
row finds a place at once.

Source: dynamic thresholds for buffers in network switches (Choudhury and Hahne 1998).
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
"""Prompt tokens read per step for rows that join; running rows wait for them."""
SCORING_STEP_TOKENS = 512
"""Tokens per forward pass of scoring; bounds how long generation waits."""


def may_hold(own: int, free: int, more: int = 1) -> bool:
    """Whether a client that holds `own` may take `more` of the `free` ones."""
    return own + more <= free


class FairQueue(Generic[T]):
    """Items by client; clients are served round-robin.

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
        """Append to the client's items; a new client comes last in turn."""
        self._waiting.setdefault(client, deque()).append(item)
        self._size += 1

    def pop(self, allowed: Callable[[str], bool]) -> tuple[str, T] | None:
        """The next item among the allowed clients; None if there is none."""
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
        """Remove and return all matching items."""
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
    """Why a job gets no more events: the service is `stopping`, or the model failed."""

    message: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class TextToScore:
    """A text to score.

    Attributes:
        sequence: its ids from BOS on.
        alternatives: number of most probable tokens reported per position.
    """

    sequence: Integers
    alternatives: int


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a text: the only event of its row."""

    request: int
    scores: TokenScores
    finish: Literal["scored"] = "scored"


Delivery = tuple[int, Event | Scored] | Failure
"""A row's number within its job and its event, or the failure of the whole job."""
Receiver = Callable[[Sequence[Delivery]], None]


@dataclass(eq=False, slots=True)
class Job:
    """The rows of one request.

    Attributes:
        receive: called with new events, through the scheduler's `post`.
        submitted: `time.perf_counter` at submission.
    """

    queue: ModelQueue[Any]
    client: str
    receive: Receiver
    submitted: float


@dataclass(eq=False, slots=True)
class Row(Generic[Work]):
    """One text of a job, to generate or to score."""

    job: Job
    number: int
    work: Work
    joined: float = 0.0
    last_event: float | None = None


class ModelQueue(ABC, Generic[Work]):
    """Rows of one kind for one model, waiting or running.

    Attributes:
        waiting: rows not started yet.
        rows: running rows by their number in the batch.
        cancelled: jobs whose running rows are to be removed.
        seconds: scheduler time used by this queue.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.waiting: FairQueue[Row[Work]] = FairQueue()
        self.rows: dict[int, Row[Work]] = {}
        self.cancelled: set[Job] = set()
        self.seconds = 0.0

    @property
    def busy(self) -> bool:
        """Whether any row is waiting or running."""
        return bool(self.rows or self.waiting)

    @abstractmethod
    def admit(self) -> None:
        """Start waiting rows, in turn of their clients."""

    @abstractmethod
    def step(self) -> Sequence[Event | Scored]:
        """One model step for the running rows.

        Raises:
            EscadaError: a non-finite value, or out of memory.
        """

    @abstractmethod
    def record(self, event: Any, row: Row[Work], now: float, metrics: Metrics) -> None:
        """Record an event in the metrics."""

    @abstractmethod
    def release(self) -> None:
        """Free memory that is needed only while rows run."""

    def finish(self, number: int) -> None:
        """Remove a finished row."""
        del self.rows[number]

    def cancel(self, number: int) -> None:
        """Remove an unfinished row."""
        self.finish(number)

    def drop_cancelled(self) -> None:
        """Remove the running rows of cancelled jobs."""
        if not self.cancelled:
            return
        for number, row in list(self.rows.items()):
            if row.job in self.cancelled:
                self.cancel(number)
        self.cancelled.clear()
        if not self.rows:
            self.release()

    def drop_all(self) -> set[Job]:
        """Remove every running row, after an error, and return their jobs."""
        jobs = {row.job for row in self.rows.values()}
        for number in list(self.rows):
            self.cancel(number)
        self.release()
        return jobs


class GenerationQueue(ModelQueue[Request]):
    """Texts to generate, decoded together in one batch."""

    def __init__(self, name: str, batch: Batch, max_rows: int) -> None:
        super().__init__(name)
        self._batch, self._max_rows = batch, max_rows
        self._held: Counter[str] = Counter()  # rows in the batch by client

    def admit(self) -> None:
        """Start rows while there is room, reading at most about one long prompt."""

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
        """Record the token's latency."""
        del event
        if row.last_event is None:
            metrics.first_token(self.name, now - row.job.submitted)
        else:
            metrics.next_token(self.name, now - row.last_event)
        row.last_event = now

    def finish(self, number: int) -> None:
        """Remove a finished row; its client may start another."""
        client = self.rows.pop(number).job.client
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]

    def cancel(self, number: int) -> None:
        """Remove a row from the batch too."""
        self._batch.cancel(number)
        self.finish(number)

    def release(self) -> None:
        """Free the batch's cache, as a step without rows does."""
        self._batch.step()


class ScoringQueue(ModelQueue[TextToScore]):
    """Texts to score, read together in forward passes of at most `SCORING_STEP_TOKENS`.

    `context_tokens` is the ruler's window for the run; None: the model's own.
    """

    def __init__(self, name: str, batch: Batch, context_tokens: int | None) -> None:
        super().__init__(name)
        self._batch, self._context_tokens = batch, context_tokens
        self._reading: Reading | None = None

    def admit(self) -> None:
        """Once the previous texts are done, start more: about one long prompt in total."""
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
        """One forward pass; all scores are returned with the last one."""
        if self._reading is None or self._reading.step():
            return []
        scores = self._reading.scores()
        check_scores(scores, ["a prompt"] * len(scores))
        return [Scored(number, scores[number]) for number in self.rows]

    def record(self, event: Scored, row: Row[TextToScore], now: float, metrics: Metrics) -> None:
        """Count the scored tokens."""
        del row, now
        metrics.scored_tokens.labels(self.name).inc(len(event.scores.ids))

    def release(self) -> None:
        """Drop the texts."""
        self._reading = None
