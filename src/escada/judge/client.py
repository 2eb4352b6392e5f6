"""All calls of a review: a few at a time, tried again when that may help, stopped in order.

    reason = asyncio.run(JudgeClient(endpoint, journal, budget, …).ask(questions))

Retries are made here and nowhere else. A call that may succeed later is repeated after a wait that
doubles each time, with jitter, and is never shorter than the server asked for; when one call is
told to wait, all wait. A question that fails so too often ends the review: the endpoint is down,
which says nothing of the question. A reply of another form is asked for again a few times and then
given up. Each call leaves a line in the journal, so a review can stop anywhere.

Until the first answer one question is asked at a time: an address that is not a chat API, a model
that is not there or thinks beyond the limit is noticed after a few calls, and said.

Stopping (Ctrl-C, the budget, an error) means that nothing new is asked; replies on their way are
waited for, since they are paid for. A second Ctrl-C drops them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from escada.errors import EscadaError
from escada.judge.budget import CallBudget
from escada.judge.endpoint import (
    CUT_OFF,
    Endpoint,
    RefusedError,
    Reply,
    RetryableError,
    Tokens,
    form_part,
)
from escada.judge.journal import Journal
from escada.judge.questions import Question, read_answer
from escada.signals import on_stop

Stop = Literal["done", "budget", "interrupted"]
RECORDED_CHARACTERS = 2000
"""Of a malformed reply."""
REFUSALS_BEFORE_ANY_ANSWER = 4
"""That end a review: then it is the request that is wrong, not a question."""
USELESS_BEFORE_ANY_ANSWER = 6
"""Replies that are no answer, likewise: two questions, asked three times each."""
SHOWN_CHARACTERS = 200
"""Of a reply that ends a review."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on with a call that does not get through.

    Attributes:
        attempts: calls of one question, the first included.
        first_wait_seconds: before the second; doubled each time.
        longest_wait_seconds: that doubling leads to; and beyond which a server's own wish ends the
            review.
    """

    attempts: int = 8
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0

    def wait_seconds(self, failures: int, asked_for: float | None, jitter: float) -> float:
        """Before the next call, after so many failures; `jitter` from 0 to 1 halves it at most."""
        doubled = min(self.first_wait_seconds * 2 ** (failures - 1), self.longest_wait_seconds)
        return max(asked_for or 0.0, doubled * (1 - jitter / 2))


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """Where a review is: questions settled of all, and the pace of this invocation."""

    settled: int
    total: int
    calls: int
    retries: int
    per_second: float

    @property
    def seconds_left(self) -> float | None:
        """At this pace; None before the first answer."""
        return (self.total - self.settled) / self.per_second if self.per_second else None


@dataclass
class JudgeClient:
    """One invocation's calls. `ask` is used once."""

    endpoint: Endpoint
    journal: Journal
    budget: CallBudget
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    concurrency: int = 4
    progress: Callable[[ReviewProgress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None

    _queue: deque[Question] = field(default_factory=deque[Question])
    _stop: Stop = "done"
    _error: EscadaError | None = None
    _not_before: float = 0.0
    _in_flight: int = 0
    _retries: int = 0
    _answered: int = 0
    _refusals: int = 0
    _useless: int = 0

    async def ask(self, questions: Sequence[Question]) -> Stop:
        """Ask what has no answer yet.

        Returns:
            Why it ended: `done`, `budget` or `interrupted`.

        Raises:
            EscadaError: the endpoint is down or wants something else; what was answered is kept.
        """
        self._stopping, self._came_back = asyncio.Event(), asyncio.Event()
        self._began = time.monotonic()
        self._total = len(questions)
        self._queue.extend(q for q in questions if not self.journal.settled(q.key))
        self._settled = self._total - len(self._queue)
        self._restore_dropped()
        self._report()
        with self._interruptions():
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(self.endpoint.close)
                workers = [self._work() for _ in range(max(1, self.concurrency))]
                try:
                    await self._probe()
                    await asyncio.gather(*workers)
                except asyncio.CancelledError:
                    self._stop = "interrupted"
        if self._error:
            raise self._error
        return self._stop

    async def _probe(self) -> None:
        """One question at a time until the first answer: a wrong address costs a call or two."""
        while self._queue and not self._answered and not self._stopping.is_set():
            await self._settle_next()

    async def _work(self) -> None:
        """One of a few that take questions from the queue."""
        while self._queue and not self._stopping.is_set():
            await self._settle_next()

    async def _settle_next(self) -> None:
        try:
            await self._settle(self._queue.popleft())
        except EscadaError as error:
            self._error = self._error or error
            self._stopping.set()

    async def _settle(self, question: Question) -> None:
        """Ask one question until it has an answer, is given up, or all stops."""
        failures = 0
        while not self.journal.settled(question.key):
            while (
                early := self._not_before - time.monotonic()
            ) > 0 and not self._stopping.is_set():
                await self._pause(early)  # meanwhile another call may have been told to wait longer
            if self._stopping.is_set():
                return
            reserved = await self._reserve(question)
            if reserved is None:
                self._end("budget")
                return
            try:
                await self._call(question, reserved)
            except RetryableError as error:
                failures += 1
                await self._wait_for(error, failures)
        self._settled += 1
        self._report()

    async def _reserve(self, question: Question) -> float | None:
        """Take a call out of the budget; calls on their way may yet cost less than was reserved."""
        while (reserved := self.budget.reserve(question, self.endpoint.judge)) is None:
            if not self._in_flight:
                return None
            self._came_back.clear()
            await self._came_back.wait()
        return reserved

    async def _call(self, question: Question, reserved: float) -> None:
        """One call and its line in the journal.

        Raises:
            RetryableError: recorded; worth another try.
        """
        attempt = self.journal.attempts.get(question.key, 0) + 1
        call = _event_of(question) | {"attempt": attempt}
        began = time.monotonic()
        self._in_flight += 1
        try:
            reply = await self.endpoint.ask(question, attempt)
        except RetryableError as error:
            self.budget.settle(reserved, None if error.maybe_billed else Tokens(0, 0))
            self.journal.append({"event": "failed", **call, "reason": error.reason})
            raise
        except RefusedError as refusal:
            self.budget.settle(reserved, Tokens(0, 0))
            self._refused(call, refusal)
        except EscadaError as error:
            self.journal.append({"event": "failed", **call, "reason": error.what})
            raise
        else:
            self.budget.settle(reserved, reply.tokens)
            call["seconds"] = round(time.monotonic() - began, 3)
            self._replied(question, call, reply)
        finally:
            self._in_flight -= 1
            self._came_back.set()

    def _replied(self, question: Question, call: dict[str, Any], reply: Reply) -> None:
        call |= {"tokens": asdict(reply.tokens) if reply.tokens else None, "form": reply.form}
        try:
            if reply.problem:
                raise ValueError(reply.problem)
            answer = read_answer(question.kind, reply.text)
        except ValueError as error:
            text, reason = reply.text[:RECORDED_CHARACTERS], str(error)
            # a page before any answer is the address's fault, and not held against the question
            event = "failed" if reply.elsewhere and not self._answered else "malformed"
            self.journal.append({"event": event, **call, "reason": reason, "text": text})
            if not self._answered:
                self._useless += 1
                self._stop_if_useless(reply, reason)
        else:
            self._answered += 1
            self.journal.append({"event": "answer", **call, "answer": answer})

    def _stop_if_useless(self, reply: Reply, reason: str) -> None:
        """End a review whose first replies are all no answers, before it has cost more.

        Raises:
            EscadaError: that is so; the message says what came back.
        """
        began = self.endpoint.scrub(" ".join(reply.text.split()))[:SHOWN_CHARACTERS]
        came_back = f"; it began: {began}" if began else ""
        where = self.endpoint.address.url
        if reply.elsewhere:
            raise EscadaError(
                f"the address answers with {reason}{came_back}",
                where=where,
                fix="check --base-url, which mostly ends in /v1",
            )
        if self._useless < USELESS_BEFORE_ANY_ANSWER:
            return
        fix = "check --base-url and --model, or choose a model that can answer in JSON"
        if reply.problem == CUT_OFF:
            fix = (
                f"more than --max-output-tokens {self.endpoint.judge.max_output_tokens}: a judge "
                "that thinks first may need 4000"
            )
        raise EscadaError(
            f"none of the first {self._useless} replies was an answer; the last: "
            f"{reason}{came_back}",
            where=where,
            fix=fix,
        )

    def _refused(self, call: dict[str, Any], refusal: RefusedError) -> None:
        """Leave out what the server refuses; a question that it refuses as such is given up."""
        part = refusal.part
        nothing_yet = not self._answered
        if part is None and nothing_yet:
            part = form_part(self.endpoint.dropped)  # some servers do not say what they refuse
        if part is not None:
            self.journal.append({"event": "failed", **call, "reason": str(refusal)})
            if self.endpoint.do_without(part):
                url, reason = self.endpoint.address.url, str(refusal)
                event = {"event": "degraded", "part": part, "base_url": url, "reason": reason}
                self.journal.append(event)
                self.say(f"The server refuses {part}; going on without it ({reason})")
            return
        self._refusals += 1
        # before anything was answered, the fault may be the request's: that is not held against it
        event = "failed" if nothing_yet else "refused"
        self.journal.append({"event": event, **call, "reason": str(refusal)})
        if nothing_yet and self._refusals >= REFUSALS_BEFORE_ANY_ANSWER:
            raise EscadaError(
                f"the endpoint refuses every question ({refusal})", where=self.endpoint.address.url
            )

    async def _wait_for(self, error: RetryableError, failures: int) -> None:
        """Wait before another try, with all others if the server asked for it.

        Raises:
            EscadaError: tried often enough, or the server asks for too long a wait.
        """
        policy, asked_for = self.retry_policy, error.wait_seconds
        later = "what was answered is kept: run the same command later"
        where = self.endpoint.address.url
        if failures >= policy.attempts:
            raise EscadaError(
                f"the endpoint failed {failures} times in a row ({error.reason})",
                where=where,
                fix=later,
            )
        if asked_for is not None and asked_for > policy.longest_wait_seconds:
            raise EscadaError(
                f"the endpoint asks for a wait of {asked_for:.0f} s", where=where, fix=later
            )
        self._retries += 1
        if self._retries == 1:
            self.say(f"{where}: {error.reason}; trying again")
        wait = policy.wait_seconds(failures, asked_for, random.random())
        if asked_for is not None:
            self._not_before = max(self._not_before, time.monotonic() + asked_for)
        self._report()
        await self._pause(wait)

    async def _pause(self, seconds: float) -> None:
        """Wait, but not beyond the wish to stop."""
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    def _end(self, why: Stop) -> None:
        if not self._stopping.is_set():
            self._stop = why
        self._stopping.set()

    def _restore_dropped(self) -> None:
        """What this server was found to refuse by an earlier invocation."""
        for event in self.journal.events:
            here = event.get("base_url") == self.endpoint.address.url
            if event["event"] == "degraded" and here:
                self.endpoint.do_without(event["part"])

    def _report(self) -> None:
        seconds = time.monotonic() - self._began
        pace = self._answered / seconds if seconds else 0.0
        self.progress(
            ReviewProgress(self._settled, self._total, self.budget.calls, self._retries, pace)
        )

    @contextlib.contextmanager
    def _interruptions(self) -> Generator[None]:
        """The first Ctrl-C (or SIGTERM) asks to stop; a second one stops at once."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            if self._stopping.is_set():
                task.cancel()
                return
            self._end("interrupted")
            self.say(
                f"Stopping: waiting for {self._in_flight} replies on their way "
                "(Ctrl-C again drops them)"
            )

        with on_stop(lambda: loop.call_soon_threadsafe(interrupt)):
            yield


def _event_of(question: Question) -> dict[str, Any]:
    return {
        "key": question.key,
        "kind": question.kind,
        "opening": question.opening,
        "entrants": list(question.entrants),
    }
