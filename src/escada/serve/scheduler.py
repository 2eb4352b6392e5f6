"""One thread that decodes for everybody.

    engine = Engine({"v1": batch}, limits, post=…, metrics=…)
    engine.start()
    ticket = engine.submit("v1", client, requests, receive)
    ticket = engine.submit_scoring("v1", client, texts, receive)
    engine.cancel(ticket)

All models share the thread. A step of a small model is mostly the starting of operators, for which
Python runs one thread at a time anyhow; a thread for each model would set their operator threads
against one another on the same cores and leave fewer for HTTP. The thread steps the busy model that
has had the least time, so a fast model is not slowed to the pace of a slow one: it gets as many
seconds, and so more tokens. A model that becomes busy begins at the time of the one in service
(start-time fair queueing, Goyal, Vin and Cheng 1996): its idleness is no credit, and what it had
while no other was busy is no debt.

A row that joins waits in a `FairQueue` until its client may hold one more row of the batch; see
`escada.serve.lane`. Texts to score wait in a lane of their own (`escada.serve.scoring_lane`), which
takes turns with the others in the same way. Batches are touched by the engine's thread only; others
talk to it under a lock, and hear from it through `post`, once a step.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from escada.errors import EscadaError
from escada.generation.batch import Batch, Request
from escada.serve.fair_queue import may_hold
from escada.serve.lane import Delivery, Failure, Lane, Row, Ticket, ToScore
from escada.serve.limits import Limits
from escada.serve.metrics import Metrics
from escada.serve.scoring_lane import ScoringLane

MAX_RETRY_SECONDS = 60


class QueueFull(Exception):  # noqa: N818 - an answer, not a mistake
    """No place for a request.

    Attributes:
        retry_seconds: after which there may be one.
    """

    def __init__(self, retry_seconds: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_seconds} s")
        self.retry_seconds = retry_seconds


class Stopped(Exception):  # noqa: N818
    """The engine takes nothing any more."""


class Engine:
    """See the module docstring.

    Args:
        batches: by model; each made with `limits.max_rows`.
        contexts: W of the ruler by model, for scoring; a model without one has its own.
        limits: of the service.
        post: runs a function in the thread of those who receive.
        metrics: told of tokens and times.

    Attributes:
        broken: whether the thread ended by a bug.
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
        self._writing = {
            name: Lane(name, batch, limits.max_rows) for name, batch in batches.items()
        }
        self._scoring = {
            name: ScoringLane(name, batch, context_of.get(name)) for name, batch in batches.items()
        }
        self._lanes: list[Lane | ScoringLane] = [*self._writing.values(), *self._scoring.values()]
        self._limits = limits
        self._post = post
        self._metrics = metrics
        self._changed = threading.Condition()
        self._stop: Failure | None = None
        self._clock = 0.0  # `seconds` of the model in service
        self._row_seconds = 1.0  # from joining to leaving, lately
        self._thread = threading.Thread(target=self._run, name="escada-engine", daemon=True)

    def start(self) -> None:
        """Begin to decode."""
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more; fail what is left, and end the thread."""
        with self._changed:
            self._stop = self._stop or Failure("The service is shutting down.", stopping=True)
            self._changed.notify()

    def join(self) -> None:
        """Wait for the end of the thread."""
        self._thread.join()

    def submit(
        self,
        model: str,
        client: str,
        requests: Sequence[Request],
        receive: Callable[[Sequence[Delivery]], None],
    ) -> Ticket:
        """Queue the rows of a request; from any thread.

        Raises:
            QueueFull: there is no place, or the client holds more of them than are free.
            Stopped: the engine stops, or broke.
        """
        lane = self._writing[model]
        ticket = Ticket(lane, client, receive, time.perf_counter())
        with self._changed:
            self._make_room(lane, client, len(requests))
            for number, request in enumerate(requests):
                lane.waiting.push(client, Row(ticket, number, request))
            self._changed.notify()
        return ticket

    def submit_scoring(
        self,
        model: str,
        client: str,
        texts: Sequence[ToScore],
        receive: Callable[[Sequence[Delivery]], None],
    ) -> Ticket:
        """Queue texts to score, each as a row: `submit` for them."""
        lane = self._scoring[model]
        ticket = Ticket(lane, client, receive, time.perf_counter())
        with self._changed:
            self._make_room(lane, client, len(texts))
            for number, text in enumerate(texts):
                lane.waiting.push(client, Row(ticket, number, text))
            self._changed.notify()
        return ticket

    def _make_room(self, lane: Lane | ScoringLane, client: str, rows: int) -> None:
        """Refuse rows that have no place, or begin the lane's time."""
        if self._stop is not None:
            raise Stopped
        free = self._limits.max_queue - sum(len(each.waiting) for each in self._lanes)
        own = sum(each.waiting.count(client) for each in self._lanes)
        if not may_hold(own, free, rows):
            raise QueueFull(self._retry_seconds(own + rows))
        if not lane.busy:
            lane.seconds = max(lane.seconds, self._clock)

    def cancel(self, ticket: Ticket) -> None:
        """Let a request go; from any thread. Nothing happens if it is finished."""
        with self._changed:
            lane = ticket.lane
            lane.waiting.remove(lambda row: row.ticket is ticket)
            if any(row.ticket is ticket for row in lane.rows.values()):
                lane.cancelled.add(ticket)
                self._changed.notify()

    def rows(self) -> dict[str, tuple[int, int]]:
        """By model: rows that are written or scored, rows that wait."""
        with self._changed:
            return {
                name: (len(lane.rows) + len(other.rows), len(lane.waiting) + len(other.waiting))
                for name, lane in self._writing.items()
                for other in (self._scoring[name],)
            }

    def _retry_seconds(self, ahead: int) -> int:
        """About when half of the rows that are ahead have left."""
        seconds = ahead / 2 * self._row_seconds / self._limits.max_rows
        return min(MAX_RETRY_SECONDS, max(1, math.ceil(seconds)))

    # What follows runs in the engine's thread.

    def _run(self) -> None:
        try:
            while (lane := self._next_lane()) is not None:
                self._step(lane)
        except BaseException:
            self.broken = True
            self._stop = Failure("The engine stopped by an internal error.")
            raise  # threading prints it
        finally:
            self._fail_all()

    def _next_lane(self) -> Lane | ScoringLane | None:
        """The busy lane that has had the least time, ready for a step."""
        with self._changed:
            while self._stop is None:
                for lane in self._lanes:
                    lane.let_go()
                busy = [lane for lane in self._lanes if lane.busy]
                if busy:
                    lane = min(busy, key=lambda each: each.seconds)
                    self._clock = lane.seconds
                    lane.admit()
                    return lane
                self._clock = max(lane.seconds for lane in self._lanes)
                self._changed.wait()
        return None

    def _step(self, lane: Lane | ScoringLane) -> None:
        began = time.perf_counter()
        try:
            events = lane.step()
        except EscadaError as error:
            self._fail(lane, Failure(f"The model failed: {error}"))
            events = []
        now = time.perf_counter()
        news: dict[Ticket, list[Delivery]] = defaultdict(list)
        with self._changed:
            lane.seconds += now - began
            for event in events:
                row = lane.rows[event.request]
                lane.measure(event, row, now, self._metrics)
                news[row.ticket].append((row.number, event))
                if event.finish is not None:
                    self._row_seconds += 0.05 * (now - row.joined - self._row_seconds)
                    lane.leave(event.request)
            if not lane.busy:
                lane.rest()
        self._deliver(news)

    def _fail(self, lane: Lane | ScoringLane, failure: Failure) -> None:
        with self._changed:
            tickets = lane.clear()
        self._deliver({ticket: [failure] for ticket in tickets})

    def _fail_all(self) -> None:
        """The end: nobody who still waits hears anything more."""
        with self._changed:
            failure = self._stop or Failure("The engine stopped.")
            rows: list[Row[Any]] = [row for lane in self._lanes for row in lane.rows.values()]
            rows += [row for lane in self._lanes for row in lane.waiting.remove(_any)]
            for lane in self._lanes:
                lane.rows.clear()
        self._deliver({row.ticket: [failure] for row in rows})

    def _deliver(self, news: Mapping[Ticket, Sequence[Delivery]]) -> None:
        if news:
            self._post(partial(_hand_out, news))


def _any(row: Row[Any]) -> bool:
    del row
    return True


def _hand_out(news: Mapping[Ticket, Sequence[Delivery]]) -> None:
    for ticket, deliveries in news.items():
        ticket.receive(deliveries)
