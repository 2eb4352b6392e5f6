"""`escada train`: one rung, from its first step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escada.cli import options


def train(
    rung: options.Rung,
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
) -> None:
    """Train a rung in a new run folder, whose path is the last line printed."""
    from escada.runs.run import Run, open_run
    from escada.spec import Budget, load_spec
    from escada.training.distributed import World
    from escada.training.start import start

    spec = load_spec(rung, preset=preset, overrides=overrides or [])
    if budget is not None:
        spec = spec.with_budget(Budget.parse(budget))

    def train_in(world: World) -> Run:
        return start(
            spec,
            world.first_then_others(lambda: options.open_corpus(data, spec.text.profile)),
            out,
            seed=seed,
            device=device,
            dry_run=dry_run,
            warm_start=open_run(warm_start) if warm_start else None,
            world=world,
            say=options.say_first(world),
        )

    options.train_together(device, train_in)
