"""The application: routes, middleware and error handlers around a service.

    service = Service(models, limits)
    app = create_app(service, tokens=["…"])

`/v1/…` follows OpenAI's API; `/escada/…`, `/` and `/static/…` are the playground; `/health`,
`/ready` and `/metrics` are for operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp

import escada
from escada.serve.errors import add_error_handlers
from escada.serve.middleware import STATIC, SecurityMiddleware
from escada.serve.routes import (
    CHAT,
    COMPLETIONS,
    INSIDE,
    SCORE,
    chat,
    kept,
    openai,
    operation,
    playground,
    tokenization,
)
from escada.serve.service import Service


def create_app(
    service: Service,
    *,
    tokens: Sequence[str] = (),
    only_this_machine: bool = True,
    host: str = "127.0.0.1",
) -> ASGIApp:
    """Build the application with its middleware; for the arguments see `SecurityMiddleware`."""
    app = FastAPI(
        title="escada",
        version=escada.__version__,
        docs_url=None,  # the docs pages load scripts from another host
        redoc_url=None,
        lifespan=service.lifespan,
    )
    app.state.service = service
    add_error_handlers(app)
    for routes in (openai, chat, tokenization, operation, playground, kept):
        app.include_router(routes.router)
    app.mount(STATIC, playground.files)
    _describe(app, with_token=bool(tokens))
    return SecurityMiddleware(
        service.count_active(app, paths=(COMPLETIONS, CHAT, SCORE, INSIDE)),
        service.limits,
        tokens=tokens,
        only_this_machine=only_this_machine,
        host=host,
    )


def _describe(app: FastAPI, *, with_token: bool) -> None:
    """Fix the OpenAPI description: invalid requests get 400, never 422; the token is declared."""
    describe = app.openapi

    def description() -> dict[str, Any]:
        schema = describe()
        for path in schema["paths"].values():
            for method in path.values():
                method["responses"].pop("422", None)
        if with_token:
            schemes = {"token": {"type": "http", "scheme": "bearer"}}
            schema.setdefault("components", {})["securitySchemes"] = schemes
            schema["security"] = [{"token": []}]
        return schema

    app.openapi = description
