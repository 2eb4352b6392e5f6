"""`escada train`: one rung, from its first step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escada.cli.shared import completion, options, training


def train(
    rung: Annotated[
        str | None,
        typer.Argument(
            help="A rung's name, or a spec file ending in .toml.", autocompletion=completion.rungs
        ),
    ] = None,
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
) -> None:
    """Train a rung in a new run folder, whose path is the last line printed."""
    from escada.budget import Budget
    from escada.errors import EscadaError
    from escada.spec import load_spec

    # What can be wrong is looked at before torch is loaded, which takes seconds.
    wanted = None if budget is None else Budget.parse(budget)
    options.check_paths(data, out)
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

    from escada.runs.run import Run, open_run
    from escada.training.distributed import World
    from escada.training.run import start

    def train_in(world: World) -> Run:
        return start(
            spec,
            world.first_then_others(lambda: options.open_corpus(data, spec.text.profile)),
            out,
            seed=seed,
            device=device,
            dry_run=dry_run,
            warm_start=open_run(warm_start) if warm_start else None,
            continued=continued,
            world=world,
            say=training.say_first(world),
        )

    training.train_together(device, train_in)


def _check_continuing(run: Path, budget: str | None, *others: object) -> None:
    """Refuse what a run that is continued cannot have, and one without a budget.

    Raises:
        EscadaError: says which.
    """
    from escada.errors import EscadaError

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
