"""`escada demo`: the climb that everybody can repeat, from an installed package too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from escada.cli.climb import climb
from escada.cli.shared import options

BUDGET = "3e12 flop"
LAPTOP_SCALE = Path(__file__).parents[1] / "ladder" / "laptop-scale"
"""The result of the `escada scale` that docs/results/laptop-scale describes."""


def demo(
    out: Annotated[Path, typer.Option("--out", help="The climb's folder.")] = Path("runs/demo"),
    jobs: options.Jobs = 2,
    keep: Annotated[
        Literal["last", "log"],
        typer.Option(
            help="log: also keep the weights of 12 steps per rung and measure them, for the "
            "report's curves of what was learned when (about 1.8 GB on disk)."
        ),
    ] = "last",
    device: options.Device = "auto",
) -> None:
    """Climb the ladder on the default corpus and write a report: eight minutes on two CPU cores.

    It is the same as: escada climb --preset laptop --budget "3e12 flop" --jobs 2 --out runs/demo;
    the report also shows a measured scale, which says where the rungs' curves cross.
    """
    overrides = [] if keep == "last" else [f"train.keep={keep}"]
    climb(
        preset="laptop",
        budget=BUDGET,
        scale=LAPTOP_SCALE,
        out=out,
        jobs=jobs,
        device=device,
        overrides=overrides,
    )
