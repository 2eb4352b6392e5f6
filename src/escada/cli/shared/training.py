"""What `escada train` and `escada resume` do around a training, in one process or in several."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from escada.terminal import echo

if TYPE_CHECKING:
    from escada.runs.run import Run
    from escada.training.distributed import World

INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""


def _say_interrupted(run: Path) -> None:
    """Write the card of a run that Ctrl-C stopped, and say how to go on with it."""
    from escada.report.writers.card import write_card
    from escada.runs.run import open_run

    write_card(open_run(run))
    echo(f"Stopped and saved. Resume with: escada resume {run}", err=True)


def _say_finished(run: Run) -> None:
    """The score of a training, whether it kept to its time, and what to do next."""
    from escada.runs.time_budget import budget_seconds, time_warning
    from escada.runs.underway import is_under_way

    record = run.record
    given = budget_seconds(run.spec, record)
    assert record.training_seconds is not None
    if warning := time_warning(run.spec.name, record.training_seconds, given):
        echo(f"warning: {warning}", err=True)
    if record.best_bits_per_byte is not None:
        echo(
            f"validation: {record.best_bits_per_byte:.3f} bits per byte at step "
            f"{record.best_step:,}: what the model needs per byte of text that it has not "
            "read (lower is better; 8 is knowing nothing)",
            err=True,
        )
    if not is_under_way(run.path.parent):  # a climb evaluates its runs itself
        echo(f"next: escada evaluate {run.path}   or: escada sample {run.path}", err=True)


def say_first(world: World) -> Callable[[str], None]:
    """Says on standard error what a training is doing; of several processes, the first one."""

    def say(text: str) -> None:
        if world.first:
            echo(text, err=True)

    return say


def train_together(device: str, train: Callable[[World], Run]) -> None:
    """Train in one process or in several, and close the run as it ended.

    Args:
        device: as for `resolve_device`.
        train: starts or resumes a run in the world that it is given.
    """
    from escada.cost.sheet import in_one_line, read_sheet
    from escada.report.writers.card import write_card
    from escada.training.distributed import joined
    from escada.training.loop import Interrupted

    stopped = False
    with joined(device) as world:
        # Inside, since the others wait here for the first one, which does the closing.
        try:
            run = train(world)
        except Interrupted as stop:
            stopped = True
            if world.first:
                _say_interrupted(stop.path)
        else:
            if world.first:
                write_card(run)
                if sheet := read_sheet(run.layout.cost):
                    echo(in_one_line(sheet), err=True)
                _say_finished(run)
                echo(run.path)
    if stopped:
        raise typer.Exit(INTERRUPTED)
