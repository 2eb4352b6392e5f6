"""Per-model queues for the scheduler.

Each model has a queue of texts to generate (`GenerationQueue`), one of texts to score
(`escada.serve.scoring_queue`) and one of views (`escada.serve.inside_queue`). All get the same
share of time, so none can starve another. Within a queue, clients take turns
(`escada.serve.fair_queue`).
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from escada.generation.batch import Batch, Event, Request
from escada.serve.fair_queue import FairQueue, may_hold
from escada.serve.metrics import Metrics

Work = TypeVar("Work")

PROMPT_TOKENS_AT_ONCE = 2048
"""Prompt tokens read per step for rows that join; running rows wait for them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job gets no more events: the service is `stopping`, or the model failed."""

    message: str
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Whole:
    """The only event of a row whose result comes in one piece; `request` is the row's number."""

    request: int
    finish: ClassVar[str] = "whole"


Delivery = tuple[int, Event | Whole] | Failure
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
    """One piece of work of a job, such as a text to generate or to score."""

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
    def step(self) -> Sequence[Event | Whole]:
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
