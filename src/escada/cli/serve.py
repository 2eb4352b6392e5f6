"""`escada serve`: an OpenAI-compatible API and the playground page."""

from __future__ import annotations

from typing import Annotated

import typer

from escada.cli.shared import options
from escada.serve.limits import Limits
from escada.terminal import echo

LIMITS = Limits()


def serve(
    runs: options.RunsOrClimbs,
    host: Annotated[str, typer.Option(help="Address or name to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535)] = 8000,
    token: Annotated[
        list[str] | None,
        typer.Option(
            envvar="ESCADA_TOKEN",
            help="Bearer token that clients must send; may be repeated, one for each user. "
            "Required unless the address is this machine's own.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            help="fp32, bf16, int8, w8a8 or auto for every model, or NAME=KIND for one; may be "
            "repeated."
        ),
    ] = None,
    max_rows: Annotated[
        int, typer.Option(help="Samples that a model writes at the same time.", min=1, max=4096)
    ] = LIMITS.max_rows,
    max_queue: Annotated[
        int, typer.Option(help="Samples that may wait.", min=1, max=1_000_000)
    ] = LIMITS.max_queue,
    max_prompt_tokens: Annotated[
        int, typer.Option(help="Maximum tokens per prompt.", min=1, max=1_000_000)
    ] = LIMITS.max_prompt_tokens,
    max_tokens: Annotated[
        int, typer.Option(help="Maximum tokens per sample.", min=1, max=1_000_000)
    ] = LIMITS.max_tokens,
    max_n: Annotated[
        int, typer.Option(help="Maximum samples per request, all its prompts together.", min=1)
    ] = LIMITS.max_n,
    max_body_bytes: Annotated[
        int, typer.Option(help="Maximum bytes of a request's body.", min=1024)
    ] = LIMITS.max_body_bytes,
    max_connections: Annotated[
        int, typer.Option(help="Maximum connections, all clients together.", min=1, max=100_000)
    ] = LIMITS.max_connections,
    max_connections_per_client: Annotated[
        int,
        typer.Option(
            help="Maximum connections per client address; raise it behind a proxy.", min=1
        ),
    ] = LIMITS.max_connections_per_client,
    grace_seconds: Annotated[
        float, typer.Option(help="Shutdown grace period for running requests.", min=0.0)
    ] = 20.0,
    device: options.Device = "auto",
    trust_code: options.TrustCode = False,
) -> None:
    """Serve runs: an OpenAI-compatible API, and at / a page to try them side by side."""
    from escada.serve.app import Service
    from escada.serve.models import open_models
    from escada.serve.server import Server, bind, run

    limits = Limits(
        max_prompt_tokens=max_prompt_tokens,
        max_tokens=max_tokens,
        max_n=max_n,
        max_rows=max_rows,
        max_queue=max_queue,
        max_body_bytes=max_body_bytes,
        max_connections=max_connections,
        max_connections_per_client=max_connections_per_client,
    )
    tokens = token or []
    address = bind(host, port, tokens=tokens)
    models = open_models(runs, weights=weights or (), max_rows=max_rows, device=device)

    def ready() -> None:
        echo(f"Serving {', '.join(models)} at {address.url} (Ctrl-C stops)", err=True)
        if server.max_connections < max_connections:
            echo(
                f"At most {server.max_connections} connections, not {max_connections}: the system "
                "limits this process's open files (ulimit -n)",
                err=True,
            )
        if limits.samples_per_request < max_n:
            echo(
                f"At most {limits.samples_per_request} samples per request, not {max_n}: a quarter "
                "of the queue is kept for other clients (--max-queue)",
                err=True,
            )

    service = Service(models, limits)
    server = Server(service, address, tokens=tokens, grace_seconds=grace_seconds, ready=ready)
    run(server)
