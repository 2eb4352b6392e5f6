"""From the scheduler's events to a client's response: text, logprobs and usage, whole or streamed.

A job's events arrive in a mailbox, bounded by what the request may generate. A disconnect is
noticed even when nothing is being sent, and cancels the client's rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from pydantic import BaseModel
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from escada.errors import EscadaError
from escada.evaluation.scoring import TokenScores
from escada.generation.batch import Event
from escada.generation.pieces import PieceTable, TextPieces
from escada.inside.views import View
from escada.serve.errors import ApiError, shutting_down
from escada.serve.inside_queue import Shown
from escada.serve.logprobs import event_logprobs, merge_logprobs, prompt_logprobs
from escada.serve.models import LoadedModel
from escada.serve.queues import Delivery, Failure, Job, Receiver, Whole
from escada.serve.request import ParsedRequest
from escada.serve.scheduler import Scheduler
from escada.serve.schema import Choice, Completion, Logprobs, Usage
from escada.serve.scoring_queue import Scored

T = TypeVar("T")
STREAM_END = b"data: [DONE]\n\n"


class ClientDisconnected(Exception):  # noqa: N818
    """The client disconnected; there is nobody to answer."""


async def while_connected(receive: Receive, work: Awaitable[T]) -> T:
    """Await `work`, but cancel it if the client disconnects first.

    Raises:
        ClientDisconnected: the work was cancelled.
    """

    async def disconnected() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(disconnected())
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


class Mailbox:
    """The events of a job, as they come from the scheduler.

    `submit` is `Scheduler.submit` (or `submit_scoring`, `submit_view`) with all arguments but the
    receiver.
    """

    def __init__(self, scheduler: Scheduler, submit: Callable[[Receiver], Job]) -> None:
        self._scheduler = scheduler
        self._deliveries: asyncio.Queue[Sequence[Delivery]] = asyncio.Queue()
        self._job = submit(self._deliveries.put_nowait)

    async def events(self) -> list[tuple[int, Event | Whole]]:
        """The events of one scheduler step, with the number of each row.

        Raises:
            ApiError: the model failed, or the service is stopping.
        """
        if not self._deliveries.empty():
            await asyncio.sleep(0)  # else nothing else would run until they are all sent
        events: list[tuple[int, Event | Whole]] = []
        for delivery in await self._deliveries.get():
            if isinstance(delivery, Failure):
                if delivery.stopping:
                    raise shutting_down()
                raise ApiError(500, delivery.message, code="model_failed")
            events.append(delivery)
        return events

    def close(self) -> None:
        """Cancel unfinished rows."""
        self._scheduler.cancel(self._job)


async def scores_of(mailbox: Mailbox, texts: int) -> list[TokenScores]:
    """The scores of a job's texts, in order."""
    found: dict[int, TokenScores] = {}
    while len(found) < texts:
        for number, event in await mailbox.events():
            assert isinstance(event, Scored)
            found[number] = event.scores
    return [found[number] for number in sorted(found)]


async def view_of(mailbox: Mailbox) -> View:
    """The view of a job.

    Raises:
        ApiError: the request does not fit the model (400).
    """
    while True:
        for _, event in await mailbox.events():
            assert isinstance(event, Shown)
            if isinstance(event.view, EscadaError):
                raise ApiError(400, f"{event.view}.", param="look") from event.view
            return event.view


class _Row:
    """State of one text of a response."""

    def __init__(self, table: PieceTable, echo: str, echoed: Logprobs | None) -> None:
        self.echo, self.echoed = echo, echoed  # not sent yet
        self.offset = len(echo)
        self.pieces = TextPieces(table)  # no stop strings: for token offsets


class CompletionBuilder:
    """Builds the response to one request, event by event.

    `scores` are those of the request's `to_score`.
    """

    def __init__(
        self, model: LoadedModel, request: ParsedRequest, scores: Sequence[TokenScores]
    ) -> None:
        self._model, self._request = model, request
        table = model.pieces
        self._rows = [
            _Row(
                table,
                prompt.text if request.echo else "",
                prompt_logprobs(table, prompt, scores[place // request.n]) if scores else None,
            )
            for place, prompt in enumerate(request.prompts)
        ]
        self._id = f"cmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._completion_tokens = 0
        self._unfinished = len(request.rows)

    async def choices(self, mailbox: Mailbox) -> AsyncIterator[list[Choice]]:
        """The choices of each scheduler step, until the last text is finished."""
        if not self._unfinished:  # nothing to generate: return the prompts alone
            yield [
                Choice(text=row.echo, index=number, logprobs=row.echoed, finish_reason="length")
                for number, row in enumerate(self._rows)
            ]
        while self._unfinished:
            yield [
                self._choice(number, event)
                for number, event in await mailbox.events()
                if isinstance(event, Event)
            ]

    def _choice(self, number: int, event: Event) -> Choice:
        row = self._rows[number]
        text, echoed = row.echo + event.text, row.echoed
        row.echo, row.echoed = "", None
        self._completion_tokens += 1
        self._unfinished -= event.finish is not None
        logprobs = None
        if self._request.logprobs:
            table = self._model.pieces
            logprobs = event_logprobs(table, event, row.offset)
            row.offset += len(row.pieces.push(event.token))
            logprobs = logprobs if echoed is None else merge_logprobs([echoed, logprobs])
        reason = None if event.finish is None else "length" if event.finish == "length" else "stop"
        return Choice(text=text, index=number, logprobs=logprobs, finish_reason=reason)

    def usage(self) -> Usage:
        """Token counts so far."""
        prompt, completion = self._request.prompt_tokens, self._completion_tokens
        return Usage(
            prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion
        )

    def completion(self, choices: list[Choice], usage: Usage | None = None) -> Completion:
        """Wrap choices in a `Completion`."""
        return Completion(
            id=self._id,
            created=self._created,
            model=self._model.name,
            system_fingerprint=self._model.fingerprint,
            seed=self._request.seed,
            choices=choices,
            usage=usage,
        )


class Form(Protocol):
    """The form in which a response is sent."""

    def whole(self, completion: Completion) -> BaseModel:
        """Of a response in one piece."""
        ...

    def chunk(self, completion: Completion) -> BaseModel:
        """Of a piece of a stream."""
        ...


class CompletionForm:
    """The one of /v1/completions: as it is."""

    def whole(self, completion: Completion) -> BaseModel:
        """The completion."""
        return completion

    chunk = whole


async def whole_completion(builder: CompletionBuilder, mailbox: Mailbox) -> Completion:
    """The response in one piece."""
    pieces: dict[int, list[Choice]] = {}
    async for choices in builder.choices(mailbox):
        for choice in choices:
            pieces.setdefault(choice.index, []).append(choice)
    return builder.completion(
        [merge_choices(pieces[number]) for number in sorted(pieces)], builder.usage()
    )


async def completion_chunks(
    builder: CompletionBuilder, mailbox: Mailbox, form: Form, *, include_usage: bool
) -> AsyncGenerator[bytes]:
    """The response as server-sent events."""
    left_out = None if include_usage else {"usage"}
    async for choices in builder.choices(mailbox):
        chunks = (form.chunk(builder.completion([choice])) for choice in choices)
        yield b"".join(sse_event(chunk.model_dump_json(exclude=left_out)) for chunk in chunks)
    if include_usage:
        last = form.chunk(builder.completion([], builder.usage()))
        yield sse_event(last.model_dump_json())
    yield STREAM_END


def sse_event(json_text: str) -> bytes:
    """One server-sent event."""
    return b"data: " + json_text.encode("utf-8") + b"\n\n"


class EventStream(StreamingResponse):
    """Server-sent events.

    `first` is already available, so that an earlier error still gets its HTTP status; `others` are
    closed at the end, or when the client disconnects.
    """

    def __init__(self, first: bytes, others: AsyncGenerator[bytes]) -> None:
        self._first, self._others = first, others
        super().__init__(
            self._events(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _events(self) -> AsyncIterator[bytes]:
        yield self._first
        try:
            async for event in self._others:
                yield event
        except ApiError as error:  # the status has been sent: report it as the last event
            yield sse_event(error.json())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all events."""
        del scope
        async with contextlib.aclosing(self._others):
            with contextlib.suppress(ClientDisconnected):
                await while_connected(receive, self.stream_response(send))


def merge_choices(pieces: Sequence[Choice]) -> Choice:
    """Join the pieces of one text into one choice."""
    last = pieces[-1]
    parts = [piece.logprobs for piece in pieces if piece.logprobs is not None]
    return Choice(
        text="".join(piece.text for piece in pieces),
        index=last.index,
        logprobs=merge_logprobs(parts) if last.logprobs is not None else None,
        finish_reason=last.finish_reason,
    )
