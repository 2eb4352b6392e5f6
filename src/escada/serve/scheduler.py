"""One thread that generates, scores and looks inside for all clients.

    scheduler = Scheduler({"v1": batch}, limits, post=…, metrics=…)
    scheduler.start()
    job = scheduler.submit("v1", client, requests, receive)
    job = scheduler.submit_scoring("v1", client, texts, receive)
    job = scheduler.submit_view("v1", client, to_show, receive)
    scheduler.cancel(job)

All models share the thread. A step of a small model is mostly launching operators, which Python
serialises anyway; one thread per model would make their operator threads compete for the same cores
and leave fewer for HTTP. Each step goes to the busy queue (see `escada.serve.queues`) that has used
the least time: models get equal time, so a fast model produces more tokens. A queue that becomes
busy starts at the time of the one in service, so that idling earns no credit (start-time fair
queueing, Goyal, Vin and Cheng 1996).

Only the scheduler's thread touches the batches; other threads talk to it under a lock and receive
events through `post`, once per step.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from escada.errors import EscadaError
from escada.generation.batch import Batch, Event, Request
from escada.serve.errors import overloaded, queue_full, shutting_down
from escada.serve.fair_queue import may_hold
from escada.serve.inside_queue import InsideQueue, ToShow
from escada.serve.limits import Limits
from escada.serve.metrics import Metrics
from escada.serve.queues import (
    Delivery,
    Failure,
    GenerationQueue,
    Job,
    ModelQueue,
    Receiver,
    Row,
    Whole,
    Work,
)
from escada.serve.scoring_queue import ScoringQueue, TextToScore

MAX_RETRY_SECONDS = 60


class Scheduler:
    """See the module docstring.

    Args:
        batches: by model; each made with `limits.max_rows`.
        post: runs a function in the receivers' thread.
        contexts: the ruler's window by model, for scoring; None: the model's own.

    Attributes:
        broken: whether a bug ended the thread.
    """

    def __init__(
        self,
        batches: Mapping[str, Batch],
        limits: Limits,
        *,
        post: Callable[[Callable[[], None]], object],
        metrics: Metrics,
        contexts: Mapping[str, int | None] | None = None,
    ) -> None:
        self.broken = False
        context_of = contexts or {}
        self._generation = {
            name: GenerationQueue(name, batch, limits.max_rows) for name, batch in batches.items()
        }
        self._scoring = {
            name: ScoringQueue(name, batch, context_of.get(name)) for name, batch in batches.items()
        }
        self._inside = {
            name: InsideQueue(name, batch, context_of.get(name)) for name, batch in batches.items()
        }
        self._queues: list[ModelQueue[Any]] = [
            *self._generation.values(),
            *self._scoring.values(),
            *self._inside.values(),
        ]
        self._limits = limits
        self._post = post
        self._metrics = metrics
        self._changed = threading.Condition()
        self._stop: Failure | None = None
        self._clock = 0.0  # `seconds` of the queue in service
        self._row_seconds = 1.0  # running average from joining to leaving
        self._thread = threading.Thread(target=self._run, name="escada-scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more, fail what is left, and end the thread."""
        with self._changed:
            self._stop = self._stop or Failure("The service is shutting down.", stopping=True)
            self._changed.notify()

    def join(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join()

    def submit(
        self, model: str, client: str, requests: Sequence[Request], receive: Receiver
    ) -> Job:
        """Queue texts to generate; from any thread.

        Raises:
            ApiError: the client would hold more of the queue than is free, and has texts waiting
                (429) or none (503); the scheduler is stopping or broken (503).
        """
        return self._submit(self._generation[model], client, requests, receive)

    def submit_scoring(
        self, model: str, client: str, texts: Sequence[TextToScore], receive: Receiver
    ) -> Job:
        """Queue texts to score; otherwise as `submit`."""
        return self._submit(self._scoring[model], client, texts, receive)

    def submit_view(self, model: str, client: str, view: ToShow, receive: Receiver) -> Job:
        """Queue a view of what is inside a model; otherwise as `submit`."""
        return self._submit(self._inside[model], client, [view], receive)

    def _submit(
        self, queue: ModelQueue[Work], client: str, work: Sequence[Work], receive: Receiver
    ) -> Job:
        job = Job(queue, client, receive, time.perf_counter())
        with self._changed:
            if self._stop is not None:
                raise shutting_down()
            own = sum(each.waiting.count(client) for each in self._queues)
            if not self._has_room(own, len(work)):
                error = queue_full if own else overloaded
                raise error(self._retry_seconds(own + len(work)))
            if not queue.busy:
                queue.seconds = max(queue.seconds, self._clock)
            for number, one in enumerate(work):
                queue.waiting.push(client, Row(job, number, one))
            self._changed.notify()
        return job

    def check_room(self) -> None:
        """Whether a client that has nothing waiting could submit one text; from any thread.

        Raises:
            ApiError: 503, the queue is full.
        """
        with self._changed:
            if not self._has_room(0, 1):
                raise overloaded(self._retry_seconds(1))

    def _has_room(self, own: int, more: int) -> bool:
        free = self._limits.max_queue - sum(len(each.waiting) for each in self._queues)
        reserved = 0 if own + more == 1 else self._limits.reserved_queue
        return may_hold(own, free - reserved, more)

    def cancel(self, job: Job) -> None:
        """Remove the rows of a job, if unfinished; from any thread."""
        with self._changed:
            queue = job.queue
            queue.waiting.remove(lambda row: row.job is job)
            if any(row.job is job for row in queue.rows.values()):
                queue.cancelled.add(job)
                self._changed.notify()

    def rows(self) -> dict[str, tuple[int, int]]:
        """By model: running rows, waiting rows."""
        with self._changed:
            found: dict[str, tuple[int, int]] = dict.fromkeys(self._generation, (0, 0))
            for queue in self._queues:
                running, waiting = found[queue.name]
                found[queue.name] = running + len(queue.rows), waiting + len(queue.waiting)
            return found

    def _retry_seconds(self, ahead: int) -> int:
        """Estimated time until half of the rows ahead are done."""
        seconds = ahead / 2 * self._row_seconds / self._limits.max_rows
        return min(MAX_RETRY_SECONDS, max(1, math.ceil(seconds)))

    # The methods below run in the scheduler's thread.

    def _run(self) -> None:
        try:
            while (queue := self._next_queue()) is not None:
                self._step(queue)
        except BaseException:
            self.broken = True
            self._stop = Failure("The scheduler stopped after an internal error.")
            raise  # threading prints it
        finally:
            self._fail_all()

    def _next_queue(self) -> ModelQueue[Any] | None:
        """The busy queue that has used the least time, with its waiting rows admitted."""
        with self._changed:
            while self._stop is None:
                for queue in self._queues:
                    queue.drop_cancelled()
                busy = [queue for queue in self._queues if queue.busy]
                if busy:
                    queue = min(busy, key=lambda each: each.seconds)
                    self._clock = queue.seconds
                    queue.admit()
                    return queue
                self._clock = max(queue.seconds for queue in self._queues)
                self._changed.wait()
        return None

    def _step(self, queue: ModelQueue[Any]) -> None:
        began = time.perf_counter()
        events: Sequence[Event | Whole] = ()
        try:
            events = queue.step()
        except EscadaError as error:
            with self._changed:
                jobs = queue.drop_all()
            failure = Failure(f"The model failed: {error}")
            self._deliver({job: [failure] for job in jobs})
        now = time.perf_counter()
        news: dict[Job, list[Delivery]] = defaultdict(list)
        with self._changed:
            queue.seconds += now - began
            for event in events:
                row = queue.rows[event.request]
                queue.record(event, row, now, self._metrics)
                news[row.job].append((row.number, event))
                if event.finish is not None:
                    self._row_seconds += 0.05 * (now - row.joined - self._row_seconds)
                    queue.finish(event.request)
            if not queue.busy:
                queue.release()
        self._deliver(news)

    def _fail_all(self) -> None:
        with self._changed:
            failure = self._stop or Failure("The scheduler stopped.")
            rows: list[Row[Any]] = [row for queue in self._queues for row in queue.rows.values()]
            rows += [
                row for queue in self._queues for row in queue.waiting.remove(lambda row: True)
            ]
            for queue in self._queues:
                queue.rows.clear()
        self._deliver({row.job: [failure] for row in rows})

    def _deliver(self, news: Mapping[Job, Sequence[Delivery]]) -> None:
        def deliver() -> None:
            for job, deliveries in news.items():
                job.receive(deliveries)

        if news:
            self._post(deliver)
