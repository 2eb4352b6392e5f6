"""`escada report DIR`: write the page of a climb again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The folder of a climb: it holds ladder.json.")
    ],
) -> None:
    """Write DIR/report/index.html and its figures, and say in plain words what the climb found."""
    from escada.report.page import conclusions, write_report

    page = write_report(folder)
    for sentence in conclusions(folder):
        typer.echo(sentence)
    typer.echo(str(page))
