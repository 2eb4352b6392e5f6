"""`escada climb`: many rungs, one budget, one report."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from escada.cli.shared import completion, options
from escada.signals import INTERRUPTED
from escada.terminal import echo


def climb(
    rungs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Rungs or spec files; without any, all that lead to v_next_counts.",
            callback=options.check_spec_sizes,
            autocompletion=completion.rungs,
        ),
    ] = None,
    preset: options.Preset = "laptop",
    budget: options.BudgetOption = None,
    data: options.Data = None,
    out: Annotated[Path, typer.Option("--out", help="The climb's folder.")] = Path("runs/climb"),
    overrides: options.Overrides = None,
    seed: options.Seed = 0,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds",
            min=1,
            help="Number of seeds per rung, from --seed on: with several, recipes are compared.",
        ),
    ] = 1,
    task: Annotated[
        list[str] | None,
        typer.Option(
            help="A module on the path that offers TASKS to evaluate too; may be repeated."
        ),
    ] = None,
    guardrail: options.Guardrail = None,
    scale: options.Scale = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    tracker: options.Tracker = None,
) -> None:
    """Train, evaluate, sample and compare rungs, and write ladder.json and report/index.html."""
    from escada.api import open_corpus
    from escada.budget import Budget
    from escada.spec import TOP_OF_LADDER, load_spec, read_spec_table, steps_to
    from escada.training.trackers import choose_tracker

    # What can be wrong is looked at before torch is loaded, which takes seconds.
    wanted = Budget.parse(budget) if budget else None
    options.check_paths(data, out)
    choose_tracker(tracker)
    names = rungs or steps_to(TOP_OF_LADDER)
    for name in names:
        read_spec_table(name)
    profile = load_spec(names[0], preset=preset, overrides=overrides or []).text.profile

    from escada.evaluation.task import find_tasks
    from escada.guardrails.task import Guardrails
    from escada.ladder.climb import Plan
    from escada.ladder.climb import climb as climb_rungs
    from escada.ladder.training import TrainingInterrupted
    from escada.report.data import check_scale, need_scale
    from escada.report.writers.current import refresh_report
    from escada.report.writers.terminal import show_ladder

    plan = Plan(
        rungs=names,
        preset=preset,
        budget=wanted,
        corpus=open_corpus(data, profile),
        out=out,
        seeds=range(seed, seed + seeds),
        device=device,
        jobs=jobs,
        overrides=overrides or [],
        tasks=[
            *(found for name in task or [] for found in find_tasks(name)),
            *([Guardrails(guardrail)] if guardrail else []),
        ],
    )
    if scale is not None:
        asked = [plan.training(name, seed).spec for name in names]
        specs = {spec.name: spec.hash for spec in asked}
        shown = str(wanted) if wanted else None
        check_scale(need_scale(scale), plan.corpus.hash, preset, shown, specs, scale)
    # Asked to end by whoever manages it, a climb has its training save, as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        ladder = climb_rungs(plan, partial(echo, err=True))
    except (TrainingInterrupted, KeyboardInterrupt):
        echo("Stopped and saved. The same command goes on with the climb.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    report = refresh_report(out, scale)
    show_ladder(ladder)
    echo(f"Report: {report}")
    echo(f"Playground: escada serve {out}")
