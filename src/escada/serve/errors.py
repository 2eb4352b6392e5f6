"""Errors in the format of OpenAI's API, so that its clients raise their usual exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from escada.errors import nearest
from escada.serve.limits import LOGPROBS, STOP_CHARACTERS, STOP_STRINGS
from escada.serve.schema import CompletionRequest

_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
_JSON_TYPE = re.compile(r"application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)
_NOT_SUPPORTED = (
    *("suffix", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("tools", "tool_choice", "functions", "response_format", "top_logprobs"),
)
"""Fields accepted only with their neutral value."""
_FIELD_MESSAGES = {
    **{name: f"{name} is not supported: leave it out." for name in _NOT_SUPPORTED},
    "messages": "messages must be a list of texts, each with its role: no images, sounds or tools.",
    "best_of": "best_of is not supported: it must equal n.",
    "logprobs": f"logprobs must be a whole number from 0 to {LOGPROBS}.",
    "prompt": "prompt must be text, a list of texts, token ids, or lists of them; none empty.",
    "stop": (
        f"stop must be text, or a list of at most {STOP_STRINGS} texts, "
        f"each of 1 to {STOP_CHARACTERS} characters."
    ),
}


class ApiError(Exception):
    """An error for the client; `param` is a field of the request, `code` is machine-readable."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = dict(headers or {})

    def json(self) -> str:
        """The body, as `ErrorBody`."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        content = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        # ASCII, because a message may quote a lone surrogate, which UTF-8 cannot encode.
        return json.dumps({"error": content}, ensure_ascii=True)

    def response(self) -> Response:
        """The response."""
        return Response(
            self.json(), self.status, media_type="application/json", headers=self.headers
        )


def shutting_down() -> ApiError:
    """503 while the service shuts down."""
    return ApiError(
        503, "The service is shutting down.", code="shutting_down", headers={"Retry-After": "5"}
    )


def queue_full(retry_seconds: int) -> ApiError:
    """429 when a client has its share of the queue."""
    return ApiError(
        429,
        f"Too many of your samples wait; try again in {retry_seconds} s.",
        code="queue_full",
        headers={"Retry-After": str(retry_seconds)},
    )


def overloaded(retry_seconds: int) -> ApiError:
    """503 when there is no room for a client that has nothing waiting."""
    return ApiError(
        503,
        f"Too many samples wait; try again in {retry_seconds} s.",
        code="overloaded",
        headers={"Retry-After": str(retry_seconds)},
    )


def too_many_connections() -> ApiError:
    """429 when a client has too many connections, all of them in use."""
    return ApiError(
        429,
        "Too many connections of your address are in use; try again in 1 s.",
        code="too_many_connections",
        headers={"Retry-After": "1", "Connection": "close"},
    )


def validation_error(error: RequestValidationError, content_type: str) -> ApiError:
    """The first problem of an invalid body; `content_type` is its Content-Type header."""
    if not _JSON_TYPE.match(content_type):
        given = f"not {content_type!r}" if content_type else "and none was given"
        return ApiError(
            415,
            f"The header 'Content-Type' must be application/json, {given}.",
            code="unsupported_media_type",
        )
    problem: Mapping[str, Any] = error.errors()[0]
    place = [part for part in problem["loc"] if part != "body"]
    kind = str(problem["type"])
    if kind == "json_invalid":
        return ApiError(400, "The body is not JSON.", code="invalid_json")
    if not place:
        return ApiError(400, "The body must be a JSON object.")
    param = str(place[0])
    if kind == "extra_forbidden":
        name = str(place[-1])
        hint = nearest(name, CompletionRequest.model_fields) if len(place) == 1 else ""
        hint = f"; {hint}" if "?" in hint else "."
        return ApiError(400, f"Unknown field {name!r}{hint}", param=name, code="unknown_field")
    message = _FIELD_MESSAGES.get(param, f"{param}: {problem['msg']}.")
    return ApiError(400, message, param=param)


def http_error(request: Request, error: HTTPException) -> ApiError:
    """An unknown path, a method that is not allowed, or a body that cannot be read."""
    if error.status_code == 404:
        message = f"There is nothing at {request.url.path}."
    elif error.status_code == 405:
        message = f"{request.method} is not allowed at {request.url.path}."
    else:
        message = str(error.detail)
    return ApiError(error.status_code, message, headers=error.headers)


def add_error_handlers(app: FastAPI) -> None:
    """Return every error in the same format."""

    @app.exception_handler(ApiError)
    async def api(request: Request, error: ApiError) -> Response:  # pyright: ignore[reportUnusedFunction]
        del request
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:  # pyright: ignore[reportUnusedFunction]
        content_type = request.headers.get("content-type", "")
        return validation_error(error, content_type).response()

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:  # pyright: ignore[reportUnusedFunction]
        return http_error(request, error).response()

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:  # pyright: ignore[reportUnusedFunction]
        del request, error  # starlette re-raises it after the response, so it is logged
        return ApiError(500, "Internal error.").response()
