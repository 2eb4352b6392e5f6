"""For operators: `/health`, `/ready` and `/metrics`."""

from __future__ import annotations

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from escada.serve.errors import ApiError
from escada.serve.routes import ERRORS, CurrentService

router = APIRouter(responses=ERRORS)


@router.get("/health")
async def health(service: CurrentService) -> dict[str, str]:
    """Whether the process is well; if not, it is to be restarted."""
    if service.scheduler.broken:
        raise ApiError(503, "The scheduler stopped after an internal error.", code="broken")
    return {"status": "ok"}


@router.get("/ready")
async def ready(service: CurrentService) -> dict[str, str]:
    """Whether a request of a new client would be taken."""
    service.check_room()
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(service: CurrentService) -> Response:
    """For Prometheus."""
    text = service.metrics.exposition(service.scheduler.rows())
    return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
