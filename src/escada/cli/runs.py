"""`escada runs`: what has been trained."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escada.cli import options


def runs(
    folder: Annotated[Path, typer.Argument(help="A folder of runs.")] = Path("runs"),
    json: options.Json = False,
) -> None:
    """List the runs below a folder, climbs included."""
    import json as json_module

    from rich.console import Console
    from rich.table import Table

    from escada.errors import EscadaError
    from escada.runs.catalogue import catalogue

    if not folder.is_dir():
        raise EscadaError("no such folder", where=folder, fix="train something first")
    rows = catalogue(folder)
    if json:
        typer.echo(json_module.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        typer.echo(f"No runs below {folder} yet.")
        return
    table = Table("run", "status", "steps", "validation bits/byte", "test bits/byte", box=None)
    for column in table.columns:
        column.no_wrap = True  # the paths are there to be copied
    for row in rows:
        table.add_row(
            str(row["run"]),
            str(row["status"]),
            f"{row['step'] or 0:,}",
            *(
                f"{row[key]:.3f}" if row[key] is not None else "–"
                for key in ("best_bits_per_byte", "test_bits_per_byte")
            ),
        )
    longest = max(len(str(row["run"])) for row in rows)
    Console(width=max(Console().width, longest + 70)).print(table)
