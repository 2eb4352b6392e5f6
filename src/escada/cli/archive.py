"""`escada archive DIR`: all that repeats and checks a climb, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from escada.cli.shared import completion
from escada.errors import EscadaError
from escada.terminal import echo


def archive(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A climb's folder.", autocompletion=completion.runs_and_climbs),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write; default: DIR.zip, beside the folder."),
    ] = None,
    with_corpus: Annotated[
        bool,
        typer.Option(
            "--with-corpus", help="With the corpus's text, if every licence is known as open."
        ),
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="FILE",
            help="Check an archive: all sums, and bits per byte from the documents' scores.",
        ),
    ] = None,
) -> None:
    """Write a climb's archive, to be deposited (such as at Zenodo), or check one.

    It has records, specs, logs, tokenizers, evaluations, weights, report and a README that says
    how to check it; the corpus as its manifest. The same folder gives the same bytes.
    """
    from escada.export.archive import check_archive, say_checked, write_archive

    if (folder is None) == (check is None):
        fix = "escada archive runs/demo, or escada archive --check demo.zip"
        raise EscadaError("name a climb's folder, or a file to --check", fix=fix)
    if check is not None:
        echo(say_checked(check_archive(check)))
    elif folder is not None:
        whole = folder.resolve()
        written = out or whole.with_name(f"{whole.name}.zip")
        echo(write_archive(folder, written, with_corpus=with_corpus))
