"""What the web framework refuses, in OpenAI's form and in words that help."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from escada.errors import nearest
from escada.serve.errors import ApiError
from escada.serve.limits import LOGPROBS, STOP_CHARACTERS, STOP_STRINGS
from escada.serve.schema import CompletionRequest

_JSON_TYPE = re.compile(r"application/([\w.-]+\+)?json\s*(;|$)", re.IGNORECASE)
STOP_LIMITS = (
    f"or a list of at most {STOP_STRINGS} texts, each of 1 to {STOP_CHARACTERS} characters"
)
NOT_SUPPORTED = ("suffix", "presence_penalty", "frequency_penalty", "logit_bias")
"""Fields that may only have the value that means nothing."""


def validation_refusal(error: RequestValidationError, content_type: str) -> ApiError:
    """The first problem of a body, of which the header says that it is `content_type`."""
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
    if param in NOT_SUPPORTED:
        return ApiError(400, f"{param} is not supported: leave it out.", param=param)
    if param == "stop":
        return ApiError(400, f"stop must be text, {STOP_LIMITS}.", param=param)
    if param == "logprobs":
        return ApiError(400, f"logprobs must be a whole number from 0 to {LOGPROBS}.", param=param)
    if param == "best_of":
        return ApiError(400, "best_of is not supported: it must equal n.", param=param)
    if param == "prompt":
        message = "prompt must be text, a list of texts, token ids, or lists of them; none empty."
        return ApiError(400, message, param=param)
    return ApiError(400, f"{param}: {problem['msg']}.", param=param)


def http_refusal(request: Request, error: HTTPException) -> ApiError:
    """A path or method that there is not, or a body that cannot be read."""
    if error.status_code == 404:
        message = f"There is nothing at {request.url.path}."
    elif error.status_code == 405:
        message = f"{request.method} is not allowed at {request.url.path}."
    else:
        message = str(error.detail)
    return ApiError(error.status_code, message, headers=error.headers)
