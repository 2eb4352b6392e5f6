"""A small table that pandas, Arrow and notebooks can read."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, overload

from escada.errors import EscadaError


class Rows(Sequence[Mapping[str, Any]]):
    """Rows with the same keys, in order."""

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Rows: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Rows:
        return Rows(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    @property
    def columns(self) -> list[str]:
        """The keys."""
        return list(self._rows[0]) if self._rows else []

    def to_arrow(self) -> Any:
        """As a pyarrow.Table."""
        pyarrow: Any = importlib.import_module("pyarrow")  # partly typed
        return pyarrow.Table.from_pylist([dict(row) for row in self._rows])

    def to_pandas(self) -> Any:
        """As a pandas.DataFrame.

        Raises:
            EscadaError: pandas is not installed.
        """
        if find_spec("pandas") is None:
            raise EscadaError("pandas is not installed", fix="pip install pandas, or to_arrow()")
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        cells = [self.columns, *([_shown(value) for value in row.values()] for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = (
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in cells
        )
        return "\n".join(line.rstrip() for line in lines)

    def to_html(self) -> str:
        """As an HTML table."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(_shown(value))}</td>" for value in row.values())
            + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    _repr_html_ = to_html


def _shown(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
