"""`escada resume`: go on with a run."""

from __future__ import annotations

from typing import Annotated

import typer

from escada.cli.shared import options, training


def resume(
    run: options.RunFolder,
    data: options.RunData = None,
    allow_differences: Annotated[
        bool,
        typer.Option(
            help="Resume although device, threads, processes or versions differ: not bit-identical."
        ),
    ] = False,
) -> None:
    """Resume an interrupted training, bit for bit as if it had never stopped."""
    from escada.training.run import recorded_device
    from escada.training.run import resume as resume_run

    training.train_together(
        recorded_device(run),
        lambda world: resume_run(
            run,
            data=data,
            allow_differences=allow_differences,
            world=world,
            say=training.say_first(world),
        ),
    )
