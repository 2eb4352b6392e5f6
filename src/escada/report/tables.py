"""A table of results before anybody has set it: one source of rows for LaTeX, Markdown and CSV.

A cell holds what a reader sees, in his language, and the value that it was written from, whole; a
row names the run that its figures come from. The builders (`rows.py`) fill tables from the facts,
the writers (`tex.py`, `plain.py`) set them: none of the two knows the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from escada.report.data import RungFacts

Value = float | int | str | tuple[float, float] | None
"""What a cell was written from; a pair is an interval."""
Style = Literal["plain", "strong", "code"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry: as a reader sees it, and as it is in ladder.json."""

    text: str
    value: Value = None
    style: Style = "plain"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: its name in CSV, with the unit where it has one.
        heading: its name for readers.
        numeric: set to the right.
        width: share of the line that a column of prose may take (0 to 1); None: as its text.
        data_only: in CSV alone, for what a page has no room for.
    """

    key: str
    heading: str
    numeric: bool = True
    width: float | None = None
    data_only: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """The run that figures come from."""

    run: str
    key: str | None
    spec_hash: str | None

    @classmethod
    def of(cls, rung: RungFacts) -> Source:
        """Of a rung's row."""
        return cls(rung.run, rung.key, rung.spec_hash)

    def __str__(self) -> str:
        key, spec = (self.key or "none")[:16], (self.spec_hash or "none")[:16]
        return f"run {self.run}, key {key}, spec {spec}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table; a control is set apart from the rungs."""

    cells: Sequence[Cell]
    sources: tuple[Source, ...] = ()
    control: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table with all that it needs to stand alone.

    Attributes:
        key: names its file and its label.
        caption: one sentence.
        columns: of every row, in this order.
        rows: the rungs, then the controls.
        notes: what a reader must know to read it right, where it comes from last.
    """

    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"{self.key}: {len(row.cells)} cells for {len(self.columns)} columns"
                )

    @property
    def shown(self) -> list[int]:
        """Which columns readers see."""
        return [i for i, column in enumerate(self.columns) if not column.data_only]
