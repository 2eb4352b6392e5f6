"""`escada report DIR`: the page of a climb, its tables for a thesis, or a page that follows it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from escada.choices import Code
from escada.cli.shared import options
from escada.errors import EscadaError
from escada.terminal import echo, echo_over


def report(
    folder: options.RunOrClimb,
    latex: Annotated[
        Path | None,
        typer.Option(
            "--latex", metavar="OUT", help="Write tables (booktabs) and figures (PGF, PDF) there."
        ),
    ] = None,
    markdown: Annotated[
        Path | None,
        typer.Option("--markdown", metavar="FILE", help="Write the tables as Markdown."),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", metavar="OUT", help="Write the tables as CSV, one file each, there."),
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FILE", help="Write the ladder's rungs as Parquet."),
    ] = None,
    roadmap: Annotated[
        Path | None,
        typer.Option(
            "--roadmap", metavar="FILE", help="Write the roadmap's versions as they came out."
        ),
    ] = None,
    lang: Annotated[
        Code,
        typer.Option(
            "--lang", help="Language of what is printed and of the files; the page has both."
        ),
    ] = "en",
    text_width: Annotated[
        float,
        typer.Option("--text-width", min=5, max=60, help="Width of the thesis's text, in cm."),
    ] = 16.0,
    sections: Annotated[
        list[str] | None,
        typer.Option(
            "--section",
            metavar="MODULE",
            help="A section of your own: its module's name. Give it once for each.",
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            "--beside",
            metavar="FILE",
            help="Published figures of others (JSON), kept in DIR and shown beside the ranking.",
        ),
    ] = None,
    scale: options.Scale = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Rewrite the page while the climb is running.")
    ] = False,
    every: Annotated[
        str, typer.Option("--every", help="How often --watch rewrites it, such as 10s or 2min.")
    ] = "10s",
) -> None:
    """Write DIR/report/index.html and its figures, and say in plain words what the climb found.

    With --latex, --markdown, --csv, --parquet or --roadmap only those are written.
    """
    files, more = (latex, markdown, csv, parquet, roadmap), sections or []
    if beside:
        from escada.report.beside import keep_beside

        keep_beside(folder, beside)
    if watch and any((*files, scale)):
        raise EscadaError("--watch writes the page alone", fix="ask for files when it has ended")
    if watch:
        _watch(folder, _seconds(every), lang, more)
        return
    if not any(files):
        _page(folder, lang, more, scale)
        return
    from escada.report.writers import bundle as write

    if latex is not None:
        tables = write.write_latex(
            folder, latex, lang, text_width_cm=text_width, more_sections=more, scale=scale
        )
        echo(tables)
    if markdown is not None:
        echo(write.write_markdown(folder, markdown, lang, more_sections=more, scale=scale))
    if csv is not None:
        echo(write.write_csv(folder, csv, more_sections=more, scale=scale))
    if parquet is not None:
        from escada.report.writers.parquet import write_parquet

        echo(write_parquet(folder, parquet))
    if roadmap is not None:
        echo(write.write_roadmap(folder, roadmap))


def _page(folder: Path, code: Code, more_sections: list[str], scale: Path | None) -> None:
    from escada.report.writers.html import conclusions, write_report

    page = write_report(folder, more_sections=more_sections, scale=scale)
    for sentence in conclusions(folder, code, scale):
        echo(sentence)
    echo(str(page))


def _watch(folder: Path, every_seconds: float, code: Code, more_sections: list[str]) -> None:
    """Follow a climb; one line that changes on a terminal, a line for each change elsewhere."""
    from escada.report.live import step_aside, watch
    from escada.report.writers.html import conclusions

    step_aside()
    terminal = sys.stderr.isatty()
    said = ""

    def say(line: str) -> None:
        nonlocal said
        if terminal:
            echo_over(line)
        elif line != said:
            echo(line, err=True)
        said = line

    echo(f"watching; the page is {folder / 'report' / 'index.html'}", err=True)
    try:
        page = watch(folder, every_seconds, say, more_sections=more_sections)
    finally:
        if terminal and said:
            echo(err=True)
    if page is None:
        echo("The climb has ended before its first rung.", err=True)
        return
    if (folder / "ladder.json").is_file():
        for sentence in conclusions(folder, code):
            echo(sentence)
    echo(str(page))


def _seconds(text: str) -> float:
    """`10s`, `0.5 min`, `10`: seconds.

    Raises:
        EscadaError: it is no duration, or none that can be kept.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|)\s*", text)
    seconds = float(found[1]) * (60 if found[2] == "min" else 1) if found else 0.0
    if not 1 <= seconds <= 3600:
        raise EscadaError(
            f"--every {text!r} is no interval of 1 second to 1 hour", fix="such as 10s or 2min"
        )
    return seconds
