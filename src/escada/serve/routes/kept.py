"""`/escada/kept`: what a model wrote on the way through its training, for the slider."""

from __future__ import annotations

from fastapi import APIRouter

from escada.serve.errors import ApiError
from escada.serve.kept import KeptSteps
from escada.serve.models import find_model
from escada.serve.routes import ERRORS, CurrentService

router = APIRouter(responses=ERRORS)


@router.get("/escada/kept")
async def kept(model: str, service: CurrentService) -> KeptSteps:
    """The continuations of the default prompts at each kept step, from one seed."""
    found = find_model(service.models, model).kept
    if found is None:
        what = f"The run of {model!r} has kept no weights, or they were not measured."
        raise ApiError(404, what, param="model")
    return found
