"""The tables as Markdown, for people, and as CSV, for programs.

Markdown has what readers see, in their language. CSV has the values as they are in ladder.json,
with a point and all their digits, columns that a page has no room for, and the same names in any
language; an interval is two columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from escada.report.tables import Cell, Table, Value

_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#~&"} | {"\n": " ", "\t": " "})


def markdown(tables: Sequence[Table], *, title: str, mark: str) -> str:
    """All tables in one Markdown document."""
    return "\n".join(
        [f"<!-- {mark} -->", "", f"# {plain(title)}", *(_section(table) for table in tables)]
    )


def _section(table: Table) -> str:
    notes = "".join(f"\n{plain(note)}\n" for note in table.notes)
    return f"\n## {plain(table.caption)}\n\n{markdown_table(table)}{notes}"


def markdown_table(table: Table) -> str:
    """A table alone, without its caption and notes."""
    shown = table.shown
    columns = [table.columns[i] for i in shown]
    lines = [_line(_heading(column.heading) for column in columns)]
    lines.append(_line("---:" if column.numeric else "---" for column in columns))
    lines += [_line(_cell(row.cells[i]) for i in shown) for row in table.rows]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _heading(text: str) -> str:
    """In one line; a word that was divided over two is whole again."""
    return plain(text.replace("-\n", ""))


def plain(text: str) -> str:
    """Text as Markdown that shows it."""
    return text.translate(_SPECIAL)


def _cell(cell: Cell) -> str:
    match cell.style:
        case "strong":
            return f"**{plain(cell.text)}**"
        case "code":
            return f"`{cell.text.replace('`', '')}`"
        case _:
            return plain(cell.text)


def csv_text(table: Table) -> str:
    """One table as CSV (RFC 4180, but for lines that end in a line feed alone)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    pairs = [
        any(isinstance(row.cells[i].value, tuple) for row in table.rows)
        for i in range(len(table.columns))
    ]
    header: list[str] = []
    for column, pair in zip(table.columns, pairs, strict=True):
        header += [f"{column.key}_low", f"{column.key}_high"] if pair else [column.key]
    writer.writerow(header)
    for row in table.rows:
        values: list[object] = []
        for cell, pair in zip(row.cells, pairs, strict=True):
            values += _values(cell.value, pair)
        writer.writerow(values)
    return out.getvalue()


def _values(value: Value, pair: bool) -> list[object]:
    if pair:
        return list(value) if isinstance(value, tuple) else ["", ""]
    return ["" if value is None else value]
