"""Errors as OpenAI's API writes them, so that its clients raise what they always raise."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

_TYPES = {
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


class ApiError(Exception):
    """Something that the client is told.

    Args:
        status: of HTTP.
        message: a sentence.
        param: the field of the request that it concerns.
        code: a word for programs.
        headers: of the answer.
    """

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

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        kind = _TYPES.get(self.status, "invalid_request_error")
        content = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return {"error": content}

    def response(self) -> Response:
        """The answer."""
        # ASCII, because a message may quote what UTF-8 cannot carry: a lone surrogate.
        text = json.dumps(self.body(), ensure_ascii=True)
        return Response(
            text, self.status, media_type="application/json", headers=self.headers or None
        )


def stopping() -> ApiError:
    """The answer while the service goes down."""
    return ApiError(
        503, "The service is shutting down.", code="shutting_down", headers={"Retry-After": "5"}
    )


def queue_full(retry_seconds: int) -> ApiError:
    """The answer when there is no place to wait."""
    return ApiError(
        429,
        f"Too many samples wait; try again in {retry_seconds} s.",
        code="queue_full",
        headers={"Retry-After": str(retry_seconds)},
    )
