"""The tables as Markdown, for people, and as CSV, for programs.

Markdown has what readers see, in their language. CSV has the values as they are in ladder.json, with
a point and all their digits, columns that a page has no room for, and the same names in any language;
an interval is two columns.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from escada.report.tables import Cell, Table, Value

_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#"} | {"\n": " ", "\t": " "})


def markdown(tables: Sequence[Table], *, title: str, mark: str) -> str:
    """All tables in one Markdown document."""
    return "\n".join(
        [f"<!-- {mark} -->", "", f"# {_plain(title)}", *(_markdown(table) for table in tables)]
    )


def _markdown(table: Table) -> str:
    shown = table.shown
    columns = [table.columns[i] for i in shown]
    lines = ["", f"## {_plain(table.caption)}", ""]
    lines.append(_line(_plain(column.heading) for column in columns))
    lines.append(_line("---:" if column.numeric else "---" for column in columns))
    lines += [_line(_cell(row.cells[i]) for i in shown) for row in table.rows]
    for note in table.notes:
        lines += ["", _plain(note)]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(text: str) -> str:
    return text.translate(_SPECIAL)


def _cell(cell: Cell) -> str:
    match cell.style:
        case "strong":
            return f"**{_plain(cell.text)}**"
        case "code":
            return f"`{cell.text.replace('`', '')}`"
        case _:
            return _plain(cell.text)


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
