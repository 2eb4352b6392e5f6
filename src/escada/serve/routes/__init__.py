"""The routes: API (`openai`, `chat`, `tokenization`), `playground`, and `operation`."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request

from escada.serve.schema import ErrorBody
from escada.serve.service import Service

COMPLETIONS = "/v1/completions"
CHAT = "/v1/chat/completions"
SCORE = "/escada/score"
INSIDE = "/escada/inside"
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorBody} for status in (400, 401, 404, 408, 413, 415, 421, 429, 500, 503)
}
"""Possible error statuses, for the OpenAPI description."""


async def _service(request: Request) -> Service:
    return request.app.state.service


CurrentService = Annotated[Service, Depends(_service)]
