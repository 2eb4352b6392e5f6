"""The routes.

    service = Service(models, limits)
    app = service.asgi(tokens=["…"])

`/v1/…` is OpenAI's form; `/escada/ladder`, `/` and `/static/…` are for the playground; `/health`,
`/ready` and `/metrics` for those who run the service.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import escada
from escada.errors import EscadaError
from escada.evaluation.scoring import TokenScores, window_of
from escada.evaluation.text_score import TextScore, sequence_of, text_score
from escada.serve.answering import Answer
from escada.serve.errors import ApiError, queue_full, stopping
from escada.serve.ladder_view import ladder
from escada.serve.lane import ToScore
from escada.serve.limits import Limits
from escada.serve.metrics import Metrics
from escada.serve.middleware import CLIENT, Gate
from escada.serve.models import ServedModel, model_named
from escada.serve.page import INDEX, static_file
from escada.serve.refusals import http_refusal, validation_refusal
from escada.serve.request import check_length, understand
from escada.serve.response import (
    CLIENT_LEFT,
    ClientLeft,
    Completing,
    Scoring,
    Stream,
    while_connected,
    whole_answer,
)
from escada.serve.scheduler import Engine
from escada.serve.schema import (
    Completion,
    CompletionRequest,
    ErrorBody,
    ModelCard,
    ModelList,
    ScoreRequest,
)
from escada.serve.tokenizing import add_tokenizer_routes
from escada.text.cleaning import clean_prompt

ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 404, 408, 413, 415, 421, 429, 500, 503)
}
COMPLETIONS = "/v1/completions"
SCORE = "/escada/score"
EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
STREAM_CONTENT = {"text/event-stream": {"schema": EVENT}}


class Service:
    """Models and the one engine that writes with them.

    Args:
        models: by name.
        limits: for everybody.

    Attributes:
        active: requests for completions that are being answered.
        stopping: nothing new is taken.
    """

    engine: Engine

    def __init__(self, models: Mapping[str, ServedModel], limits: Limits) -> None:
        self.models, self.limits, self.metrics = dict(models), limits, Metrics()
        self.active = 0
        self.stopping = False
        self._most_active = limits.max_queue + limits.max_rows * len(models)

    def asgi(
        self,
        *,
        tokens: Sequence[str] = (),
        only_this_machine: bool = True,
        host: str = "127.0.0.1",
    ) -> ASGIApp:
        """The application, behind its gate; see `Gate` for the arguments."""
        app = FastAPI(
            title="escada",
            version=escada.__version__,
            docs_url=None,  # they load scripts from elsewhere
            redoc_url=None,
            lifespan=self._lifespan,
        )
        _add_errors(app)
        _add_openai(app, self)
        _add_operation(app, self)
        _add_page(app, self)
        _describe(app, with_token=bool(tokens))
        return Gate(
            self._counted(app),
            self.limits,
            tokens=tokens,
            only_this_machine=only_this_machine,
            host=host,
        )

    def _counted(self, app: ASGIApp) -> ASGIApp:
        """Know how many requests for completions are still to be answered."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            counts = scope["type"] == "http" and scope["path"] in (COMPLETIONS, SCORE)
            self.active += counts
            try:
                await app(scope, receive, send)
            finally:
                self.active -= counts

        return count

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncGenerator[None]:
        del app
        batches = {name: served.batch for name, served in self.models.items()}
        loop = asyncio.get_running_loop()

        def post(call: Callable[[], None]) -> None:
            # After a second signal the loop ends first: then nobody is left to hear of it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)

        self.engine = Engine(
            batches,
            self.limits,
            post=post,
            metrics=self.metrics,
            contexts={name: served.ruler_context for name, served in self.models.items()},
        )
        self.engine.start()
        try:
            yield
        finally:
            self.engine.stop()
            await asyncio.to_thread(self.engine.join)

    async def complete(self, body: CompletionRequest, request: Request) -> Response:
        """Answer a request for completions."""
        served = model_named(self.models, body.model)
        try:
            if self.stopping:
                raise stopping()
            if self.active > self._most_active:  # none of these could find a place
                raise queue_full(1)
            # Cleaning and encoding a long prompt takes milliseconds that the others need.
            asked = await asyncio.to_thread(understand, body, served, self.limits)
            scored = await self._scored(served, asked.to_score, request)
            completing = Completing(self.engine, served.name, request.scope[CLIENT], asked)
        except ClientLeft:
            self.metrics.requests.labels(served.name, str(CLIENT_LEFT)).inc()
            return Response(status_code=CLIENT_LEFT)
        except ApiError as error:
            self.metrics.requests.labels(served.name, str(error.status)).inc()
            raise
        self.metrics.prompt_tokens.labels(served.name).inc(asked.prompt_tokens)
        echo, logprobs = bool(body.echo), body.logprobs is not None
        answer = Answer(served, asked, echo=echo, logprobs=logprobs, scored=scored)
        if body.stream:
            options = body.stream_options
            return Stream(
                completing,
                answer,
                model=served.name,
                include_usage=options is not None and bool(options.include_usage),
                metrics=self.metrics,
            )
        return await self._in_one_piece(completing, answer, served.name, request)

    async def _scored(
        self, served: ServedModel, texts: Sequence[ToScore], request: Request
    ) -> list[TokenScores]:
        """The scores of texts, unless the client leaves before."""
        if not texts:
            return []
        scoring = Scoring(self.engine, served.name, request.scope[CLIENT], texts)
        try:
            return await while_connected(request.receive, scoring.scores())
        finally:
            scoring.close()

    async def score(self, body: ScoreRequest, request: Request) -> Response:
        """Score one text of a client's, as `escada score` does."""
        served = model_named(self.models, body.model)
        if self.stopping:
            raise stopping()
        cleaned = await asyncio.to_thread(clean_prompt, body.text, served.profile)
        try:
            sequence = await asyncio.to_thread(sequence_of, cleaned, served.tokenizer)
        except EscadaError as error:
            raise ApiError(400, f"{error}.", param="text") from error
        check_length(len(sequence) - 1, self.limits, param="text")
        try:
            (scores,) = await self._scored(served, [ToScore(sequence, body.alternatives)], request)
        except ClientLeft:
            return Response(status_code=CLIENT_LEFT)

        def found() -> str:
            window = window_of(served.batch.model, served.ruler_context)
            return text_score(
                scores, cleaned, served.tokenizer, profile=served.profile, window=window
            ).model_dump_json()

        return Response(await asyncio.to_thread(found), media_type="application/json")

    async def _in_one_piece(
        self, completing: Completing, answer: Answer, model: str, request: Request
    ) -> Response:
        status = 200
        try:
            work = whole_answer(completing, answer)
            completion = await while_connected(request.receive, work)
            return Response(completion.model_dump_json(), media_type="application/json")
        except ClientLeft:
            status = CLIENT_LEFT
            return Response(status_code=CLIENT_LEFT)
        except ApiError as error:
            status = error.status
            raise
        finally:
            completing.close()
            self.metrics.requests.labels(model, str(status)).inc()


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(ApiError)
    async def refused(request: Request, error: ApiError) -> Response:  # pyright: ignore[reportUnusedFunction]
        del request
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        return validation_refusal(error, request.headers.get("content-type", "")).response()

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        return http_refusal(request, error).response()

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        del request, error  # starlette raises it again once this is sent: the log has it
        return ApiError(500, "Internal error.").response()


def _add_openai(app: FastAPI, service: Service) -> None:
    def card(served: ServedModel) -> ModelCard:
        return ModelCard(id=served.name, created=served.created)

    @app.get("/v1/models", response_model=ModelList, responses=ERRORS)
    async def models() -> ModelList:  # pyright: ignore[reportUnusedFunction]
        """The models that can be asked."""
        return ModelList(data=[card(served) for served in service.models.values()])

    @app.get("/v1/models/{model}", response_model=ModelCard, responses=ERRORS)
    async def model(model: str) -> ModelCard:  # pyright: ignore[reportUnusedFunction]
        """One of them."""
        return card(model_named(service.models, model))

    @app.post(
        COMPLETIONS,
        response_model=Completion,
        responses={**ERRORS, 200: {"content": STREAM_CONTENT}},
    )
    async def completions(body: CompletionRequest, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """Continue prompts."""
        return await service.complete(body, request)

    add_tokenizer_routes(app, service.models, service.limits, ERRORS)


def _add_operation(app: FastAPI, service: Service) -> None:
    @app.get("/health", responses=ERRORS)
    async def health() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Whether the process is well; if not, it is to be restarted."""
        if service.engine.broken:
            raise ApiError(503, "The engine stopped by an internal error.", code="broken")
        return {"status": "ok"}

    @app.get("/ready", responses=ERRORS)
    async def ready() -> dict[str, str]:  # pyright: ignore[reportUnusedFunction]
        """Whether new requests are taken."""
        if service.engine.broken or service.stopping:
            raise stopping()
        return {"status": "ready"}

    @app.get(
        "/metrics",
        response_class=Response,
        responses={**ERRORS, 200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:  # pyright: ignore[reportUnusedFunction]
        """For Prometheus."""
        text = service.metrics.exposition(service.engine.rows())
        return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _add_page(app: FastAPI, service: Service) -> None:
    @app.get("/escada/ladder", responses=ERRORS)
    async def ladder_facts() -> JSONResponse:  # pyright: ignore[reportUnusedFunction]
        """The rungs that are served, with their figures, and the limits."""
        rungs = (served.facts for served in service.models.values())
        return JSONResponse(ladder(rungs, service.limits))

    @app.post(SCORE, response_model=TextScore, responses=ERRORS)
    async def score(body: ScoreRequest, request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        """A text with the bits of each token, as `escada score` has it."""
        return await service.score(body, request)

    async def index(request: Request) -> Response:
        return static_file(INDEX, request.headers.get("if-none-match"))

    async def static(path: str, request: Request) -> Response:
        return static_file(path, request.headers.get("if-none-match"))

    async def no_icon() -> Response:
        return Response(status_code=204)

    for route, handler in (
        ("/", index),
        ("/static/{path:path}", static),
        ("/favicon.ico", no_icon),
    ):
        app.add_api_route(route, handler, methods=["GET", "HEAD"], include_in_schema=False)


def _describe(app: FastAPI, *, with_token: bool) -> None:
    """The OpenAPI description as it is: wrong requests are answered 400, never 422."""
    describe = app.openapi

    def description() -> dict[str, Any]:
        schema = describe()
        for path in schema["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        if with_token:
            schemes = {"token": {"type": "http", "scheme": "bearer"}}
            schema.setdefault("components", {})["securitySchemes"] = schemes
            schema["security"] = [{"token": []}]
        return schema

    app.openapi = description
