"""`escada resume`: go on with a run."""

from __future__ import annotations

from typing import Annotated

import typer

from escada.cli import options


def resume(
    run: options.RunFolder,
    allow_differences: Annotated[
        bool,
        typer.Option(help="Go on although device, threads or versions differ: not bit-identical."),
    ] = False,
) -> None:
    """Go on with an interrupted training, bit for bit as if it had never stopped."""
    from escada.cost.sheet import in_one_line, read_sheet
    from escada.evaluation.card import write_card
    from escada.training.loop import Interrupted
    from escada.training.start import resume as resume_run

    try:
        finished = resume_run(run, allow_differences=allow_differences)
    except Interrupted as stop:
        options.exit_interrupted(stop.path)
    write_card(finished)
    if sheet := read_sheet(finished.layout.cost):
        typer.echo(in_one_line(sheet), err=True)
    typer.echo(finished.path)
