"""`escada runs`: what has been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escada.cli.shared import options
from escada.errors import EscadaError
from escada.terminal import echo, echo_json, print_table


def runs(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")] = Path("runs"),
    json: options.Json = False,
) -> None:
    """List the runs below a folder, climbs included."""
    from escada.runs.catalogue import catalogue

    if folder.is_file():
        raise EscadaError(
            "no such folder, but a file", where=folder, fix="name the folder that it lies in"
        )
    if not folder.is_dir():
        alone = folder == Path("runs")
        fix = "train something first" if alone else "check the path; without one it is runs/"
        raise EscadaError("no such folder", where=folder, fix=fix)
    rows = catalogue(folder)
    if json:
        echo_json(rows)
        return
    if not rows:
        echo(f"No runs below {folder} yet.")
        return
    print_table(
        [
            *(("run", "left"), ("status", "left"), ("steps", "right")),
            *(("validation bits/byte", "right"), ("test bits/byte", "right")),
        ],
        [
            (
                row["run"],
                row["status"],
                row["step"] or 0,
                *(
                    f"{row[key]:.3f}" if row[key] is not None else "–"
                    for key in ("best_bits_per_byte", "test_bits_per_byte")
                ),
            )
            for row in rows
        ],
        whole=[0],  # the paths are there to be copied
    )
    for row in rows:
        if row["problem"]:
            echo(f"damaged: {row['run']}: {row['problem'].removeprefix('damaged: ')}", err=True)
