"""All calls of a review: concurrency, retries, stopping.

    reason = asyncio.run(JudgeClient(endpoint, journal, settings).ask(questions))

All retries are made here. A retryable error is retried after an exponentially growing wait with
jitter, never shorter than the server's Retry-After, during which all calls wait. Too many such
errors on one question end the review: the endpoint is down. An invalid answer is requested again a
few times, then the question is given up. The journal records each call.

Until the first answer, questions are sent one at a time, so that a wrong address, a missing model
or a too small output limit is reported after a few calls.

Stopping (Ctrl-C, the budget, an error) lets pending replies arrive, since they are paid for. A
second Ctrl-C drops them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Literal

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
from escada.judge.journal import Event, Journal
from escada.judge.questions import Question, read_answer
from escada.signals import on_stop

Stop = Literal["done", "budget", "interrupted"]
RECORDED_CHARACTERS = 2000
REFUSALS_BEFORE_ANY_ANSWER = 4
"""Refusals that end a review: then the request is wrong, not the question."""
USELESS_BEFORE_ANY_ANSWER = 6
"""Invalid replies that end a review: two questions, three attempts each."""
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When to retry a failed call.

    `attempts` includes the first. Waits double up to `longest_wait_seconds`; a longer Retry-After
    ends the review.
    """

    attempts: int = 8
    first_wait_seconds: float = 1.0
    longest_wait_seconds: float = 120.0

    def wait_seconds(self, failures: int, asked_for: float | None, jitter: float) -> float:
        """Wait after this many failures; `jitter`, 0 to 1, shortens the wait by up to a half."""
        doubled = min(self.first_wait_seconds * 2 ** (failures - 1), self.longest_wait_seconds)
        return max(asked_for or 0.0, doubled * (1 - jitter / 2))


@dataclass(frozen=True, slots=True)
class ReviewProgress:
    """Questions settled, and the rate of this invocation."""

    settled: int
    total: int
    retries: int
    per_second: float

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the rate; None before the first answer."""
        return (self.total - self.settled) / self.per_second if self.per_second else None


@dataclass(frozen=True)
class Settings:
    """Settings of a review; only `prompts` and `seed` can change an answer.

    Attributes:
        prompts: number of stored samples of each run to judge; None: all.
        seed: for held-out openings, noise, the order of questions, and the bootstrap.
        device: for generating samples, and for a reference.
        timeout_seconds: per call.
        say: gets messages for the user.
    """

    prompts: int | None = None
    seed: int = 0
    device: str = "auto"
    concurrency: int = 4
    timeout_seconds: float = 120.0
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    budget: CallBudget = field(default_factory=CallBudget)
    progress: Callable[[ReviewProgress], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None


class JudgeClient:
    """The calls of one invocation; `ask` may be called once."""

    def __init__(self, endpoint: Endpoint, journal: Journal, settings: Settings) -> None:
        self.endpoint, self.journal, self.settings = endpoint, journal, settings
        self.budget = settings.budget
        self._queue: deque[Question] = deque()
        self._stopping, self._came_back = asyncio.Event(), asyncio.Event()
        self._stop: Stop = "done"
        self._error: EscadaError | None = None
        self._not_before = 0.0  # no call before this time, by the server's Retry-After
        self._in_flight = self._retries = 0
        self._answered = self._refusals = self._useless = 0

    async def ask(self, questions: Sequence[Question]) -> Stop:
        """Ask the questions that have no answer yet, and return why it ended.

        Raises:
            EscadaError: the endpoint is down or rejects the requests; earlier answers are kept.
        """
        self._began = time.monotonic()
        self._total = len(questions)
        self._queue.extend(q for q in questions if not self.journal.settled(q.key))
        self._settled = self._total - len(self._queue)
        for event in self.journal.events:  # what this server refused in earlier invocations
            if event.part is not None and event.base_url == self.endpoint.url:
                self.endpoint.dropped.add(event.part)
        self._report()
        with self._interruptions():
            try:
                await self._work(until_an_answer=True)
                await asyncio.gather(*(self._work() for _ in range(self.settings.concurrency)))
            except asyncio.CancelledError:
                self._stop = "interrupted"
            finally:
                await self.endpoint.close()
        if self._error:
            raise self._error
        return self._stop

    async def _work(self, *, until_an_answer: bool = False) -> None:
        while self._queue and not self._stopping.is_set():
            if until_an_answer and self._answered:
                return
            try:
                await self._settle(self._queue.popleft())
            except EscadaError as error:
                self._error = self._error or error
                self._stopping.set()

    async def _settle(self, question: Question) -> None:
        """Ask one question until it is answered or given up, or the review stops."""
        failures = 0
        while not self.journal.settled(question.key):
            while (
                early := self._not_before - time.monotonic()
            ) > 0 and not self._stopping.is_set():
                await self._pause(early)  # another call may extend the wait meanwhile
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
        """Reserve a call; pending calls may still release part of their reservations."""
        while (reserved := self.budget.reserve(question, self.endpoint.judge)) is None:
            if not self._in_flight:
                return None
            self._came_back.clear()
            await self._came_back.wait()
        return reserved

    async def _call(self, question: Question, reserved: float) -> None:
        """Make one call and record it.

        Raises:
            RetryableError: recorded.
        """
        event = Event(
            event="failed",
            key=question.key,
            kind=question.kind,
            opening=question.opening,
            entrants=question.entrants,
            attempt=self.journal.attempts[question.key] + 1,
        )
        began = time.monotonic()
        self._in_flight += 1
        try:
            reply = await self.endpoint.ask(question, event.attempt)
        except RetryableError as error:
            self.budget.settle(reserved, None if error.maybe_billed else Tokens(0, 0))
            self._record(event, error.reason)
            raise
        except RefusedError as refusal:
            self.budget.settle(reserved, Tokens(0, 0))
            self._refused(event, refusal)
        except EscadaError as error:
            self._record(event, error.what)
            raise
        else:
            self.budget.settle(reserved, reply.tokens)
            event.seconds = round(time.monotonic() - began, 3)
            event.tokens, event.form = reply.tokens, reply.form
            self._replied(event, reply)
        finally:
            self._in_flight -= 1
            self._came_back.set()

    def _record(self, event: Event, reason: str) -> None:
        event.reason = reason
        self.journal.append(event)

    def _replied(self, event: Event, reply: Reply) -> None:
        try:
            if reply.problem:
                raise ValueError(reply.problem)
            event.answer = read_answer(event.kind, reply.text)
        except ValueError as error:
            # a web page before any answer: the address is wrong, so the question loses no attempt
            if self._answered or not reply.elsewhere:
                event.event = "malformed"
            event.text = self.endpoint.scrub(reply.text)[:RECORDED_CHARACTERS]
            self._record(event, str(error))
            if not self._answered:
                self._useless += 1
                self._stop_if_useless(reply, str(error))
        else:
            self._answered += 1
            event.event = "answer"
            self.journal.append(event)

    def _stop_if_useless(self, reply: Reply, reason: str) -> None:
        """Raise EscadaError if the first replies are all invalid, before it costs more."""
        began = self.endpoint.scrub(" ".join(reply.text.split()))[:SHOWN_CHARACTERS]
        came_back = f"; it began: {began}" if began else ""
        where = self.endpoint.url
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

    def _refused(self, event: Event, refusal: RefusedError) -> None:
        """Drop the part that the server refuses, or count a refusal of the question itself."""
        part, reason, url = refusal.part, refusal.reason, self.endpoint.url
        if part is None and not self._answered:
            part = form_part(self.endpoint.dropped)  # some servers do not name what they refuse
        if part is not None:
            self._record(event, reason)
            if part not in self.endpoint.dropped:
                self.endpoint.dropped.add(part)
                degraded = Event(event="degraded", part=part, base_url=url, reason=reason)
                self.journal.append(degraded)
                self.settings.say(f"The server refuses {part}; going on without it ({reason})")
            return
        self._refusals += 1
        # before any answer the request may be at fault, so the question loses no attempt
        if self._answered:
            event.event = "refused"
        self._record(event, reason)
        if not self._answered and self._refusals >= REFUSALS_BEFORE_ANY_ANSWER:
            raise EscadaError(f"the endpoint refuses every question ({reason})", where=url)

    async def _wait_for(self, error: RetryableError, failures: int) -> None:
        """Wait before a retry; if the server requested it, all calls wait.

        Raises:
            EscadaError: too many failures, or too long a Retry-After.
        """
        policy, asked_for = self.settings.retry_policy, error.wait_seconds
        problem = None
        if failures >= policy.attempts:
            problem = f"the endpoint failed {failures} times in a row ({error.reason})"
        elif asked_for is not None and asked_for > policy.longest_wait_seconds:
            problem = f"the endpoint asks for a wait of {asked_for:.0f} s"
        where = self.endpoint.url
        if problem:
            later = "what was answered is kept: run the same command later"
            raise EscadaError(problem, where=where, fix=later)
        self._retries += 1
        if self._retries == 1:
            self.settings.say(f"{where}: {error.reason}; trying again")
        if asked_for is not None:
            self._not_before = max(self._not_before, time.monotonic() + asked_for)
        self._report()
        await self._pause(policy.wait_seconds(failures, asked_for, random.random()))

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    def _end(self, why: Stop) -> None:
        if not self._stopping.is_set():
            self._stop = why
        self._stopping.set()

    def _report(self) -> None:
        seconds = time.monotonic() - self._began
        pace = self._answered / seconds if seconds else 0.0
        self.settings.progress(ReviewProgress(self._settled, self._total, self._retries, pace))

    @contextlib.contextmanager
    def _interruptions(self) -> Generator[None]:
        """The first Ctrl-C (or SIGTERM) stops gracefully; a second one cancels."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def interrupt() -> None:
            if self._stopping.is_set():
                task.cancel()
                return
            self._end("interrupted")
            self.settings.say(
                f"Stopping: waiting for {self._in_flight} replies on their way "
                "(Ctrl-C again drops them)"
            )

        with on_stop(lambda: loop.call_soon_threadsafe(interrupt)):
            yield
