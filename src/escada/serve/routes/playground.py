"""The playground: static files from the package's `static` folder, and its own routes.

Files are sent with `no-cache` and an ETag of their hash, so a browser revalidates each one and gets
304 if its copy is current.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import NotModifiedResponse, StaticFiles
from starlette.types import Scope

from escada.evaluation.text_score import TextScore
from escada.inside.views import View
from escada.serve.routes import ERRORS, INSIDE, SCORE, CurrentService
from escada.serve.schema import InsideRequest, LadderLimits, LadderResponse, ScoreRequest

FOLDER = Path(__file__).parents[1] / "static"
CONTENT_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""By suffix, for every file sent; the system's MIME table varies between machines."""


class PlaygroundFiles(StaticFiles):
    """Starlette's static files, with content type and ETag that depend on the file alone.

    Each is sent whole: a few kilobytes need no ranges.
    """

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """The file, or 304 if the browser's copy is current.

        Raises:
            HTTPException: 404, if its type is not in `CONTENT_TYPES`.
        """
        path = Path(full_path)
        content_type = CONTENT_TYPES.get(path.suffix)
        if content_type is None:
            raise HTTPException(404)
        del stat_result
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {"ETag": etag, "Cache-Control": "no-cache", "Content-Type": content_type}
        response = Response(content, status_code, headers)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


files = PlaygroundFiles(directory=FOLDER)
router = APIRouter(responses=ERRORS)


@router.get("/escada/ladder")
async def ladder(service: CurrentService) -> LadderResponse:
    """The rungs that are served, with their figures, and the limits."""
    limits = service.limits
    return LadderResponse(
        rungs=[model.rung for model in service.models.values()],
        limits=LadderLimits(
            max_prompt_tokens=limits.max_prompt_tokens,
            max_tokens=limits.max_tokens,
            n=limits.samples_per_request,
        ),
    )


@router.post(SCORE, response_model=TextScore)
async def score(body: ScoreRequest, request: Request, service: CurrentService) -> Response:
    """A text with the bits of each token, as `escada score` has it."""
    return await service.score(body, request)


@router.post(INSIDE, response_model=View)
async def inside(body: InsideRequest, request: Request, service: CurrentService) -> Response:
    """A view of what is inside a model: cells, heads, counts, embeddings, a tree, a pair."""
    return await service.inside(body, request)


@router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
async def index(request: Request) -> Response:
    """The page."""
    return await files.get_response("index.html", request.scope)


@router.api_route("/favicon.ico", methods=["GET", "HEAD"], include_in_schema=False)
async def favicon() -> Response:
    """None: the page names its icon."""
    return Response(status_code=204)
