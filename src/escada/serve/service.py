"""The state behind the routes: models, scheduler and metrics."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial

from fastapi import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from escada.evaluation.scoring import TokenScores, window_of
from escada.evaluation.text_score import text_score
from escada.serve.errors import ApiError, overloaded, shutting_down
from escada.serve.inside_queue import ToShow
from escada.serve.limits import Limits
from escada.serve.metrics import Metrics
from escada.serve.middleware import CLIENT
from escada.serve.models import LoadedModel, find_model
from escada.serve.request import parse_request, parse_score_request
from escada.serve.response import (
    ClientDisconnected,
    CompletionBuilder,
    CompletionForm,
    EventStream,
    Form,
    Mailbox,
    completion_chunks,
    scores_of,
    view_of,
    while_connected,
    whole_completion,
)
from escada.serve.scheduler import Scheduler
from escada.serve.schema import Completion, CompletionRequest, InsideRequest, ScoreRequest
from escada.serve.scoring_queue import TextToScore

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a request whose client disconnected; only metrics see it."""


class Service:
    """The models and the scheduler that runs them.

    Attributes:
        active: number of completion, score and inside requests in progress.
        stopping: new requests are refused.
    """

    scheduler: Scheduler

    def __init__(self, models: Mapping[str, LoadedModel], limits: Limits) -> None:
        self.models, self.limits, self.metrics = dict(models), limits, Metrics()
        self.active = 0
        self.stopping = False
        self._most_active = limits.max_queue + limits.max_rows * len(models)

    @contextlib.asynccontextmanager
    async def lifespan(self, app: object) -> AsyncGenerator[None]:
        """Run the scheduler for as long as the application runs."""
        del app
        loop = asyncio.get_running_loop()

        def post(call: Callable[[], None]) -> None:
            # After a second signal the loop ends first, and there is no receiver left.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

        self.scheduler = Scheduler(
            {name: model.batch for name, model in self.models.items()},
            self.limits,
            post=post,
            metrics=self.metrics,
            contexts={name: model.ruler_context for name, model in self.models.items()},
        )
        self.scheduler.start()
        try:
            yield
        finally:
            self.scheduler.stop()
            await asyncio.to_thread(self.scheduler.join)

    def count_active(self, app: ASGIApp, paths: Sequence[str]) -> ASGIApp:
        """Middleware that counts the requests in progress on `paths`."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            counts = scope["type"] == "http" and scope["path"] in paths
            self.active += counts
            try:
                await app(scope, receive, send)
            finally:
                self.active -= counts

        return count

    def check_room(self) -> None:
        """Whether a client that has no request in progress could be served now.

        Raises:
            ApiError: 503, stopping or overloaded.
        """
        if self.scheduler.broken or self.stopping:
            raise shutting_down()
        self._check_active(self.active + 1)
        self.scheduler.check_room()

    def _check_active(self, active: int) -> None:
        if active > self._most_active:  # more than all queues and batches can hold
            raise overloaded(1)

    async def complete(
        self, body: CompletionRequest, request: Request, form: Form | None = None
    ) -> Response:
        """Answer a completion request; an ApiError if that fails before the first token."""
        form = form or CompletionForm()
        model, client = find_model(self.models, body.model), str(request.scope[CLIENT])
        try:
            if body.stream:
                chunks = self._stream(body, model, client, form)
                first = await while_connected(request.receive, anext(chunks))
                return EventStream(first, chunks)
            completion = await while_connected(request.receive, self._whole(body, model, client))
        except ClientDisconnected:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        answer = form.whole(completion).model_dump_json()
        return Response(answer, media_type="application/json")

    async def _stream(
        self, body: CompletionRequest, model: LoadedModel, client: str, form: Form
    ) -> AsyncGenerator[bytes]:
        options = body.stream_options
        include_usage = options is not None and bool(options.include_usage)
        async with self._generation(body, model, client) as (builder, mailbox):
            chunks = completion_chunks(builder, mailbox, form, include_usage=include_usage)
            async for chunk in chunks:
                yield chunk

    async def _whole(self, body: CompletionRequest, model: LoadedModel, client: str) -> Completion:
        async with self._generation(body, model, client) as (builder, mailbox):
            return await whole_completion(builder, mailbox)

    @contextlib.asynccontextmanager
    async def _generation(
        self, body: CompletionRequest, model: LoadedModel, client: str
    ) -> AsyncGenerator[tuple[CompletionBuilder, Mailbox]]:
        """Submit a request's rows; at the end, count the request by its status."""
        status = 500
        try:
            if self.stopping:
                raise shutting_down()
            self._check_active(self.active)  # this request is among them
            # Cleaning and encoding a long prompt takes milliseconds: keep it off the event loop.
            parsed = await asyncio.to_thread(parse_request, body, model, self.limits)
            scores = await self._scores(model, client, parsed.to_score)
            submit = partial(self.scheduler.submit, model.name, client, parsed.rows)
            with contextlib.closing(Mailbox(self.scheduler, submit)) as mailbox:
                self.metrics.prompt_tokens.labels(model.name).inc(parsed.prompt_tokens)
                yield CompletionBuilder(model, parsed, scores), mailbox
            status = 200
        except ApiError as error:
            status = error.status
            raise
        except (asyncio.CancelledError, GeneratorExit):
            status = CLIENT_CLOSED_REQUEST
            raise
        finally:
            self.metrics.requests.labels(model.name, str(status)).inc()

    async def _scores(
        self, model: LoadedModel, client: str, texts: Sequence[TextToScore]
    ) -> list[TokenScores]:
        if not texts:
            return []
        submit = partial(self.scheduler.submit_scoring, model.name, client, texts)
        with contextlib.closing(Mailbox(self.scheduler, submit)) as mailbox:
            return await scores_of(mailbox, len(texts))

    async def score(self, body: ScoreRequest, request: Request) -> Response:
        """Score one text, as `escada score` does."""
        model = find_model(self.models, body.model)
        if self.stopping:
            raise shutting_down()
        text, to_score = await asyncio.to_thread(parse_score_request, body, model, self.limits)
        work = self._scores(model, str(request.scope[CLIENT]), [to_score])
        try:
            (scores,) = await while_connected(request.receive, work)
        except ClientDisconnected:
            return Response(status_code=CLIENT_CLOSED_REQUEST)

        def result() -> str:
            window = window_of(model.batch.model, model.ruler_context)
            return text_score(
                scores, text, model.tokenizer, profile=model.profile, window=window
            ).model_dump_json()

        return Response(await asyncio.to_thread(result), media_type="application/json")

    async def inside(self, body: InsideRequest, request: Request) -> Response:
        """A view of what is inside a model."""
        model = find_model(self.models, body.model)
        if self.stopping:
            raise shutting_down()
        client, to_show = str(request.scope[CLIENT]), ToShow(body.look, model.profile)
        submit = partial(self.scheduler.submit_view, model.name, client, to_show)
        with contextlib.closing(Mailbox(self.scheduler, submit)) as mailbox:
            try:
                view = await while_connected(request.receive, view_of(mailbox))
            except ClientDisconnected:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
        shown = await asyncio.to_thread(view.model_dump_json)
        return Response(shown, media_type="application/json")
