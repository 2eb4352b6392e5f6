"""One request for completions, from its rows to the last byte of its answer.

The engine's news arrive in a mailbox, which holds at most what the request may write. A client that
leaves is noticed whether or not there is something to send, and its rows are let go.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from escada.evaluation.scoring import TokenScores
from escada.generation.batch import Event
from escada.serve.answering import STREAM_END, Answer, joined, server_sent
from escada.serve.errors import ApiError, queue_full, stopping
from escada.serve.lane import Delivery, Failure, Scored, Ticket, ToScore
from escada.serve.metrics import Metrics
from escada.serve.request import Asked
from escada.serve.scheduler import Engine, QueueFull, Stopped
from escada.serve.schema import Choice, Completion

T = TypeVar("T")
CLIENT_LEFT = 499
"""nginx's status of a request whose client left; nobody is there to read it."""


class ClientLeft(Exception):  # noqa: N818
    """There is nobody to answer."""


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """The result of some work, unless the client leaves before.

    Raises:
        ClientLeft: the work was cancelled.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientLeft
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Queued:
    """Rows in the engine's hands, and their news."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._mailbox: asyncio.Queue[Sequence[Delivery]] = asyncio.Queue()
        try:
            self._ticket = self._submit(self._mailbox.put_nowait)
        except QueueFull as full:
            raise queue_full(full.retry_seconds) from full
        except Stopped as stopped:
            raise stopping() from stopped

    def _submit(self, receive: Callable[[Sequence[Delivery]], None]) -> Ticket:
        raise NotImplementedError

    async def _news(self) -> list[tuple[int, Event | Scored]]:
        """What one step of the engine adds.

        Raises:
            ApiError: the model failed, or the service stops.
        """
        news: list[tuple[int, Event | Scored]] = []
        for delivery in await self._mailbox.get():
            if isinstance(delivery, Failure):
                raise _error_of(delivery)
            news.append(delivery)
        return news

    def close(self) -> None:
        """Let go of rows that are not finished."""
        self._engine.cancel(self._ticket)


class Completing(_Queued):
    """A request whose texts the engine writes, and what came of it.

    Args:
        engine: that writes.
        model: which of its models.
        client: whose turn it uses.
        asked: the rows; without any, only the prompts come back.

    Raises:
        ApiError: there is no place in the queue, or the service stops.
    """

    def __init__(self, engine: Engine, model: str, client: str, asked: Asked) -> None:
        self._model, self._client, self._asked = model, client, asked
        super().__init__(engine)

    def _submit(self, receive: Callable[[Sequence[Delivery]], None]) -> Ticket:
        return self._engine.submit(self._model, self._client, self._asked.rows, receive)

    async def pieces(self, answer: Answer) -> AsyncIterator[list[Choice]]:
        """What each step of the engine adds, until the last row is finished.

        Raises:
            ApiError: the model failed, or the service stops.
        """
        if not self._asked.rows:
            yield answer.prompts_alone()
        while answer.unfinished:
            yield [
                answer.take(number, event)
                for number, event in await self._news()
                if isinstance(event, Event)
            ]


class Scoring(_Queued):
    """Texts that the engine scores.

    Args:
        engine: that reads.
        model: which of its models.
        client: whose turn it uses.
        texts: to score.

    Raises:
        ApiError: there is no place in the queue, or the service stops.
    """

    def __init__(self, engine: Engine, model: str, client: str, texts: Sequence[ToScore]) -> None:
        self._model, self._client, self._texts = model, client, texts
        super().__init__(engine)

    def _submit(self, receive: Callable[[Sequence[Delivery]], None]) -> Ticket:
        return self._engine.submit_scoring(self._model, self._client, self._texts, receive)

    async def scores(self) -> list[TokenScores]:
        """Of each text, in their order.

        Raises:
            ApiError: the model failed, or the service stops.
        """
        found: dict[int, TokenScores] = {}
        while len(found) < len(self._texts):
            for number, event in await self._news():
                assert isinstance(event, Scored)
                found[number] = event.scores
        return [found[number] for number in sorted(found)]


def _error_of(failure: Failure) -> ApiError:
    return stopping() if failure.stopping else ApiError(500, failure.message, code="model_failed")


async def whole_answer(completing: Completing, answer: Answer) -> Completion:
    """The answer in one piece."""
    by_row: dict[int, list[Choice]] = defaultdict(list)
    async for choices in completing.pieces(answer):
        for choice in choices:
            by_row[choice.index].append(choice)
    rows = [joined(by_row[number]) for number in sorted(by_row)]
    return answer.completion(rows, answer.usage())


class Stream(Response):
    """An answer as server-sent events, which begins with the first token.

    Until then an error has its own status; later it is an event, and the last one.
    """

    def __init__(
        self,
        completing: Completing,
        answer: Answer,
        *,
        model: str,
        include_usage: bool,
        metrics: Metrics,
    ) -> None:
        super().__init__(
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )
        self.raw_headers = [h for h in self.raw_headers if h[0] != b"content-length"]
        self._completing, self._answer = completing, answer
        self._model, self._include_usage, self._metrics = model, include_usage, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it."""
        status = "200"
        try:
            await while_connected(receive, self._send_all(scope, receive, send))
        except ClientLeft:
            status = str(CLIENT_LEFT)
        except ApiError as error:
            status = str(error.status)
        finally:
            self._completing.close()
            self._metrics.requests.labels(self._model, status).inc()

    async def _send_all(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = False
        try:
            async for choices in self._completing.pieces(self._answer):
                if not began:
                    began = True
                    await self._start(send)
                await self._send(send, b"".join(self._event(choice) for choice in choices))
        except ApiError as error:
            if not began:
                await error.response()(scope, receive, send)
            else:
                text = error.response().body
                await self._send(send, b"data: " + bytes(text) + b"\n\n", last=True)
            raise
        usage = self._usage_event() if self._include_usage else b""
        await self._send(send, usage + STREAM_END, last=True)

    def _event(self, choice: Choice) -> bytes:
        unset = None if self._include_usage else {"usage"}
        chunk = self._answer.completion([choice])
        return server_sent(chunk.model_dump_json(exclude=unset))

    def _usage_event(self) -> bytes:
        return server_sent(self._answer.completion([], self._answer.usage()).model_dump_json())

    async def _start(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )

    async def _send(self, send: Send, body: bytes, *, last: bool = False) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": not last})
