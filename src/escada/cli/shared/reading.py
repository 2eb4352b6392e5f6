"""Options of the verbs that read documents, and what they say of what they did not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from escada.errors import counted
from escada.terminal import echo

if TYPE_CHECKING:
    from escada.text.sources import ReadCounts

TextColumn = Annotated[
    str | None,
    typer.Option(help="The column of the text in JSONL, CSV or Parquet; without it, text."),
]
IdColumn = Annotated[
    str | None, typer.Option(help="The column of the id; without it, id where there is one.")
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        help="What must not be divided between splits (author, site): its column; of addresses, "
        "the site counts. Without it, group where there is one."
    ),
]
SourceColumn = Annotated[
    str | None,
    typer.Option(help="The column of the source; without it, source where there is one."),
]
SkipBadRows = Annotated[
    bool,
    typer.Option("--skip-bad-rows", help="Skip and count rows without text or that are damaged."),
]


def say_what_was_not_read(counts: ReadCounts) -> None:
    """Say on standard error what a source left out, skipped and renamed."""
    from escada.text.sources.walk import NOT_UTF8

    for reason, files in counts.left_out.items():
        more = ", …" if files.count > len(files.names) else ""
        echo(f"left out, {reason}: {files.count:,} ({', '.join(files.names)}{more})", err=True)
        if reason == NOT_UTF8:
            echo("  to have them read: iconv -f cp1252 -t utf-8 FILE > NEW, for each", err=True)
    if counts.skipped_rows:
        first = counts.first_skipped_row
        echo(f"skipped {counted(counts.skipped_rows, 'bad row')}; the first: {first}", err=True)
    if counts.repeated_ids:
        echo(f"repeated ids, told apart by #2, #3, …: {counts.repeated_ids:,}", err=True)
