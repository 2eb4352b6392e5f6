"""Tables as Markdown, for people, and as CSV, for programs.

Markdown shows the same text as the page. CSV has the values of ladder.json with all their digits, a
decimal point and language-independent column names, including columns that the page omits; an
interval takes two columns. A text that a spreadsheet would take for a formula has an apostrophe
before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from itertools import chain

from escada.report.tables import Cell, Table, Value

_SPECIAL = str.maketrans({c: "\\" + c for c in "\\`*_[]<>|#~&"} | {"\n": " ", "\t": " "})

_IN_CODE = str.maketrans({"`": "", "|": "\\|", "\n": " ", "\t": " "})
_FORMULA = tuple("=+-@\t\r")
"""Beginnings of a text that a spreadsheet would compute."""


def markdown(tables: Sequence[Table], *, title: str, mark: str) -> str:
    """All tables in one Markdown document."""
    return "\n".join(
        [f"<!-- {mark} -->", "", f"# {plain(title)}", *(_section(table) for table in tables)]
    )


def _section(table: Table) -> str:
    notes = "".join(f"\n{plain(note)}\n" for note in table.notes)
    return f"\n## {plain(table.caption)}\n\n{markdown_table(table)}{notes}"


def markdown_table(table: Table) -> str:
    """A table without caption and notes."""
    shown = table.places(table.paper)
    columns = [table.columns[i] for i in shown]
    lines = [_line(plain(column.one_line) for column in columns)]
    lines.append(_line("---:" if column.numeric else "---" for column in columns))
    lines += [_line(_cell(row.cells[i]) for i in shown) for row in table.rows]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def plain(text: str) -> str:
    """Text escaped for Markdown."""
    return text.translate(_SPECIAL)


def _cell(cell: Cell) -> str:
    if cell.style == "code":
        return f"`{cell.text.translate(_IN_CODE)}`"
    return f"**{plain(cell.text)}**" if cell.is_bold else plain(cell.text)


def csv_text(table: Table) -> str:
    """A table as CSV (RFC 4180, except that lines end in LF)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [
        (column.key, i, any(isinstance(row.cells[i].value, tuple) for row in table.rows))
        for i, column in enumerate(table.columns)
        if column.csv
    ]
    header = (
        (f"{key}_low", f"{key}_high") if is_interval else (key,) for key, _, is_interval in columns
    )
    writer.writerow(_no_formula(key) for key in chain.from_iterable(header))
    for row in table.rows:
        values = (_values(row.cells[i].value, is_interval) for _, i, is_interval in columns)
        writer.writerow(chain.from_iterable(values))
    return out.getvalue()


def _values(value: Value, is_interval: bool) -> list[object]:
    if is_interval:
        return list(value) if isinstance(value, tuple) else ["", ""]
    return ["" if value is None else _no_formula(value)]


def _no_formula(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
