"""`/v1/…`, in the format of OpenAI's API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from escada.serve.models import find_model
from escada.serve.routes import COMPLETIONS, ERRORS, CurrentService
from escada.serve.schema import Completion, CompletionRequest, ModelCard, ModelList

EVENT = {"type": "object", "properties": {"data": {"type": "string"}}, "required": ["data"]}
STREAM_CONTENT = {"text/event-stream": {"schema": EVENT}}

router = APIRouter(responses=ERRORS)


@router.get("/v1/models")
async def models(service: CurrentService) -> ModelList:
    """The models served."""
    cards = [ModelCard(id=one.name, created=one.created) for one in service.models.values()]
    return ModelList(data=cards)


@router.get("/v1/models/{model}")
async def model(model: str, service: CurrentService) -> ModelCard:
    """One of them."""
    found = find_model(service.models, model)
    return ModelCard(id=found.name, created=found.created)


@router.post(COMPLETIONS, response_model=Completion, responses={200: {"content": STREAM_CONTENT}})
async def completions(
    body: CompletionRequest, request: Request, service: CurrentService
) -> Response:
    """Continue prompts."""
    return await service.complete(body, request)
