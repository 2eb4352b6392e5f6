"""`escada train`: one rung, from its first step; `escada resume`: on from where it stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.cli.shared import options
from escada.errors import EscadaError
from escada.signals import INTERRUPTED
from escada.terminal import echo

if TYPE_CHECKING:
    from escada.runs.run import Run
    from escada.training.distributed import World


def train(
    rung: options.MaybeRung = None,
    preset: options.Preset = "laptop",
    budget: options.BudgetOption = None,
    data: options.Data = None,
    overrides: options.Overrides = None,
    seed: options.Seed = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="At most 1,000 steps and a minute.")
    ] = False,
    out: options.Out = Path("runs"),
    device: options.Device = "auto",
    warm_start: Annotated[
        Path | None,
        options.other_run("Begin with the best weights of this run."),
    ] = None,
    continue_from: Annotated[
        Path | None,
        options.other_run(
            "Train this finished run for --budget more, into a new run, in place of a rung."
        ),
    ] = None,
    or_resume: Annotated[
        bool,
        typer.Option("--or-resume", help="Resume this training if it was begun in --out before."),
    ] = False,
    tracker: options.Tracker = None,
    trust_code: options.TrustCode = False,
) -> None:
    """Train a rung in a new run folder, whose path is the last line printed.

    Started again by torchrun --max-restarts, it resumes its run.
    """
    from escada.api import open_corpus
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.training.trackers import choose_tracker

    # What can be wrong is looked at before torch is loaded, which takes seconds.
    wanted = None if budget is None else Budget.parse(budget)
    options.check_paths(data, out)
    choose_tracker(tracker)
    continued = None
    if continue_from is not None:
        from escada.runs.run import open_run

        _check_continuing(continue_from, budget, rung, overrides, seed, dry_run, warm_start)
        continued = open_run(continue_from)
        spec, seed, data = continued.spec, continued.seed, data or continued.data_path
    elif rung is None:
        raise EscadaError("train needs a rung", fix="name one, such as v1; see `escada rungs`")
    else:
        spec = load_spec(rung, preset=preset, overrides=overrides or [])
    if wanted is not None:
        spec = spec.with_budget(wanted)

    from escada.runs.run import open_run
    from escada.training.launch import attempt
    from escada.training.run import start

    def train_in(world: World) -> Run:
        return start(
            spec,
            world.first_then_others(lambda: open_corpus(data, spec.text.profile)),
            out,
            seed=seed,
            device=device,
            dry_run=dry_run,
            warm_start=open_run(warm_start) if warm_start else None,
            continued=continued,
            begun=or_resume or attempt() > 0,
            world=world,
            say=_say_first(world),
        )

    _train_together(device, train_in)


def _check_continuing(run: Path, budget: str | None, *others: object) -> None:
    """Refuse what a run that is continued cannot have, and one without a budget.

    Raises:
        EscadaError: says which.
    """
    if budget is None:
        raise EscadaError(
            "how much longer?", where=run, fix="say with --budget, such as --budget '20 min'"
        )
    if any(others):
        raise EscadaError(
            "a run is continued with its own rung, seed and spec",
            where=run,
            fix="leave out RUNG, --set, --seed, --dry-run and --warm-start",
        )


def resume(
    run: options.RunFolder,
    data: options.RunData = None,
    allow_differences: Annotated[
        bool,
        typer.Option(
            help="Resume although device, threads, processes or versions differ: not bit-identical."
        ),
    ] = False,
    tracker: options.Tracker = None,
    trust_code: options.TrustCode = False,
) -> None:
    """Resume an interrupted training, bit for bit as if it had never stopped."""
    from escada.training.trackers import choose_tracker

    choose_tracker(tracker)
    from escada.training.run import recorded_device
    from escada.training.run import resume as resume_run

    _train_together(
        recorded_device(run),
        lambda world: resume_run(
            run,
            data=data,
            allow_differences=allow_differences,
            world=world,
            say=_say_first(world),
        ),
    )


def _say_finished(run: Run) -> None:
    """The score of a training, whether it kept to its time, and what to do next."""
    from escada.runs.climb_lock import is_under_way
    from escada.runs.time_budget import planned_seconds, time_warning

    record = run.record
    assert record.training_seconds is not None
    planned = planned_seconds(record)
    if warning := time_warning(run.spec.name, record.training_seconds, planned):
        echo(f"warning: {warning}", err=True)
    if record.best_bits_per_byte is not None:
        echo(
            f"validation: {record.best_bits_per_byte:.3f} bits per byte at step "
            f"{record.best_step:,}: what the model needs per byte of text that it has not "
            "read (lower is better; 8 is knowing nothing)",
            err=True,
        )
    if not is_under_way(run.path.parent):  # a climb evaluates its runs itself
        given = f"{run.path}{_flag(run)}"
        echo(f"next: escada evaluate {given}   or: escada sample {given}", err=True)


def _flag(run: Run) -> str:
    """The option that every verb needs to open a run with code from outside escada."""
    return " --trust-code" if run.record.module_folders else ""


def _say_first(world: World) -> Callable[[str], None]:
    """Says on standard error what a training is doing; of several processes, the first one."""

    def say(text: str) -> None:
        if world.first:
            echo(text, err=True)

    return say


def _train_together(device: str, train: Callable[[World], Run]) -> None:
    """Train in one process or in several, and close the run as it ended.

    Args:
        device: as for `resolve_device`.
        train: starts or resumes a run in the world that it is given.
    """
    from escada.cost.sheet import in_one_line, read_sheet
    from escada.report.writers.card import write_card
    from escada.runs.run import open_run
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
                write_card(stopped_run := open_run(stop.path))
                how = f"escada resume {stop.path}{_flag(stopped_run)}"
                echo(f"Stopped and saved. Resume with: {how}", err=True)
        else:
            if world.first:
                write_card(run)
                if sheet := read_sheet(run.layout.cost):
                    echo(in_one_line(sheet), err=True)
                _say_finished(run)
                echo(run.path)
    if stopped:
        raise typer.Exit(INTERRUPTED)
