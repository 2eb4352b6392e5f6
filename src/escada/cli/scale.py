"""`escada scale`: a grid of budgets, a law fitted to it, and the largest run predicted."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from escada.cli.shared import completion, options
from escada.errors import EscadaError
from escada.signals import INTERRUPTED
from escada.terminal import echo


def scale(
    rungs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUNG…",
            help="Rungs or spec files.",
            callback=options.check_spec_sizes,
            autocompletion=completion.rungs,
        ),
    ],
    budgets: Annotated[
        str,
        typer.Option(
            "--budgets",
            help="Three or more, in FLOP: '1e12 flop,3e12 flop,1e13 flop'. The largest is "
            "predicted from the others before it is trained.",
        ),
    ],
    predict: Annotated[
        str | None,
        typer.Option("--predict", help="A larger one to predict and then train: '1e14 flop'."),
    ] = None,
    size: Annotated[
        list[str] | None,
        typer.Option(
            "--size",
            help="A size to try for every budget, 'model.d_model=96 model.d_ff=384', or of one "
            "rung, 'v5: model.d_model=96'; may be repeated. Without it, the preset's.",
        ),
    ] = None,
    seeds: Annotated[
        str,
        typer.Option("--seeds", help="'0,1,2', or how many, from 0 on. Intervals need several."),
    ] = "0,1,2",
    preset: options.Preset = "laptop",
    data: options.Data = None,
    overrides: options.Overrides = None,
    out: Annotated[
        Path, typer.Option("--out", help="The folder of scale.json and the runs.")
    ] = Path("runs/scale"),
    jobs: Annotated[
        int, typer.Option(min=1, help="Trainings of one budget at a time, sharing the threads.")
    ] = 1,
    device: options.Device = "auto",
) -> None:
    """Train a small grid and fit bits per byte against FLOP: which size, where curves cross.

    Writes OUT/scale.json and OUT/scale/index.html. All figures are of validation documents. The
    same command goes on where it was stopped.
    """
    from escada.api import open_corpus
    from escada.spec import load_spec, read_spec_table

    # What can be wrong is looked at before torch is loaded, which takes seconds.
    flops = _all_flops(budgets, predict)
    wanted = _seeds(seeds)
    options.check_paths(data, out)
    for name in rungs:
        read_spec_table(name)
    sizes = _sizes(rungs, size or [])
    profile = load_spec(rungs[0], preset=preset, overrides=overrides or []).text.profile

    from escada.ladder.grid import Plan
    from escada.ladder.grid import scale as scale_rungs
    from escada.ladder.training import TrainingInterrupted
    from escada.report.i18n import Language
    from escada.report.sections.scaling import scale_findings, scaling_tables
    from escada.report.writers.html import write_scale
    from escada.report.writers.terminal import show_table

    plan = Plan(
        rungs=rungs,
        preset=preset,
        flops=flops,
        corpus=open_corpus(data, profile),
        out=out,
        seeds=wanted,
        sizes=sizes,
        device=device,
        overrides=overrides or [],
        jobs=jobs,
    )
    # Asked to end by whoever manages it, a grid has its training save, as on Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = scale_rungs(plan, partial(echo, err=True))
    except (TrainingInterrupted, KeyboardInterrupt):
        echo("Stopped and saved. The same command goes on with the grid.", err=True)
        raise typer.Exit(INTERRUPTED) from None
    page = write_scale(out)
    english = Language.load("en")
    for table in scaling_tables(found, english):
        show_table(table)
    for _, sentence in scale_findings(found, english):
        echo(sentence)
    echo(f"Page: {page}")


def _all_flops(budgets: str, predict: str | None) -> list[float]:
    """The budgets, ascending; the one to predict last.

    Raises:
        EscadaError: not in FLOP, given twice, or one is larger than that to predict.
    """
    flops = [_flops(text, "--budgets") for text in budgets.split(",")]
    largest = _flops(predict, "--predict") if predict else max(flops)
    if max(flops) > largest:
        raise EscadaError(
            f"--predict {predict!r} is below the largest of --budgets",
            fix="predict the largest: leave out what lies above it",
        )
    smaller = [one for one in flops if one != largest]
    if len(set(smaller)) < len(smaller) or flops.count(largest) > 1:
        raise EscadaError("a budget is given twice", where=budgets, fix="give each once")
    return [*sorted(smaller), largest]


def _flops(text: str, option: str) -> float:
    from escada.budget import Budget

    budget = Budget.parse(text)
    if budget.unit != "flop":
        raise EscadaError(
            f"{option}: {text.strip()!r} is not in FLOP, which curves are compared by",
            fix="write '1e12 flop'",
        )
    return budget.amount


def _seeds(text: str) -> list[int]:
    """`0,1,2`, or `3` for as many, as in a climb.

    Raises:
        EscadaError: neither.
    """
    if not re.fullmatch(r"\s*\d{1,18}(\s*,\s*\d{1,18})*\s*", text):
        raise EscadaError(f"--seeds {text!r} is no list of seeds", fix="write 0,1,2 or 3")
    numbers = [int(word) for word in text.split(",")]
    seeds = list(range(numbers[0])) if len(numbers) == 1 else numbers
    if not seeds or len(set(seeds)) < len(seeds):
        raise EscadaError(f"--seeds {text!r} names none, or one twice", fix="write 0,1,2 or 3")
    return seeds


def _sizes(rungs: Sequence[str], given: Sequence[str]) -> dict[str, list[str]]:
    """The sizes of each rung; `RUNG: KEY=VALUE …` is for one rung, `KEY=VALUE …` for all.

    Raises:
        EscadaError: a size names another rung.
    """
    sizes: dict[str, list[str]] = {rung: [] for rung in rungs}
    for text in given:
        head, colon, rest = text.partition(":")
        only = head.strip() if colon and "=" not in head else None
        if only is not None and only not in sizes:
            raise EscadaError(
                f"--size names {only!r}, which is not one of the rungs",
                where=text,
                fix="write RUNG: KEY=VALUE …, or leave out RUNG for all",
            )
        words = " ".join((text if only is None else rest).split())
        for rung in rungs if only is None else (only,):
            sizes[rung].append(words)
    return {rung: of_rung or [""] for rung, of_rung in sizes.items()}
