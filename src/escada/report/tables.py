"""Tables of results without markup, for every writer.

A cell holds its text in the reader's language and the exact value behind it; a row names the runs
its figures come from. A table lists the columns shown on the page and on paper (LaTeX, Markdown);
CSV has them all. Sections build tables, writers format them; neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar

from escada.evaluation.scale import ScaleRun
from escada.report.i18n import NOTHING
from escada.report.schema import RungRow

Value = float | int | str | tuple[float, float] | None
"""The value behind a cell; a pair is an interval."""
Style = Literal["plain", "strong", "code", "rung"]
"""`rung` is set in the rung's colour on the page."""


class Detail(NamedTuple):
    """A less prominent line below a cell, on the page only; `kind` is a CSS class."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry: its text for readers and its exact value.

    Attributes:
        details: less prominent lines below the text.
        tone: a CSS class such as `fail`, which paper sets in bold.
        tag: a short label next to the text.
        share: length of a bar, relative to the column's largest value (0 to 1).
    """

    text: str
    value: Value = None
    style: Style = "plain"
    details: Sequence[Detail] = ()
    tone: str = ""
    tag: str = ""
    share: float | None = None

    @property
    def is_bold(self) -> bool:
        """Whether it is bold on paper."""
        return self.style == "strong" or self.tone == "fail"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: its name in CSV, including the unit if any.
        heading: its name for readers; may contain line breaks.
        numeric: right-aligned.
        width: share of the line width for a column of prose on paper (0 to 1); None: fits its text.
        detail: a less prominent line below the heading.
        csv: whether it is in CSV; False for columns composed for readers only.
    """

    key: str
    heading: str = ""
    numeric: bool = True
    width: float | None = None
    detail: str = ""
    emphasis: bool = False
    csv: bool = True

    @property
    def one_line(self) -> str:
        """The heading without line breaks or hyphenation."""
        return self.heading.replace("-\n", "").replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The run that figures come from."""

    run: str
    key: str | None
    spec_hash: str | None

    @classmethod
    def of(cls, run: RungRow | ScaleRun) -> Provenance:
        """The source of a row of figures."""
        return cls(run.run, run.key, run.spec_hash)

    def __str__(self) -> str:
        key, spec = (self.key or "none")[:16], (self.spec_hash or "none")[:16]
        return f"run {self.run}, key {key}, spec {spec}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table, with one cell for each column.

    Attributes:
        sources: the runs of its figures.
        control: not a rung, and set apart from the rungs.
        tone: a CSS class, such as `best` or `worse`.
    """

    cells: Sequence[Cell]
    sources: tuple[Provenance, ...] = ()
    control: bool = False
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A self-contained table.

    Attributes:
        key: names its file and its LaTeX label.
        caption: one sentence.
        rows: the rungs, then the controls.
        notes: what a reader on paper needs to know, the provenance last.
        page: keys of the columns on the page, in order; empty: not on the page.
        paper: keys of the columns on paper; empty: neither on paper nor in CSV.
        label: its name on the page; default: the caption.
        kind: a CSS class.
    """

    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    notes: Sequence[str] = ()
    page: Sequence[str] = ()
    paper: Sequence[str] = ()
    label: str = ""
    kind: str = ""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise ValueError(
                    f"{self.key}: {len(row.cells)} cells for {len(self.columns)} columns"
                )

    def places(self, keys: Sequence[str]) -> list[int]:
        """Indices of the columns with these keys; a repeated key takes the next equal column."""
        left: dict[str, list[int]] = {}
        for place, column in enumerate(self.columns):
            left.setdefault(column.key, []).append(place)
        return [left[key].pop(0) for key in keys]

    def transposed(self, key: str, heading: str, columns: Sequence[str]) -> Table:
        """A table with a row for each of these columns and a column for each row."""
        rows = [
            Row(
                [
                    Cell(self.columns[place].one_line, self.columns[place].key),
                    *(row.cells[place] for row in self.rows),
                ],
                tuple(source for row in self.rows for source in row.sources),
            )
            for place in self.places(columns)
        ]
        heads = [Column(str(row.cells[0].value), row.cells[0].text) for row in self.rows]
        shown = [key, *(head.key for head in heads)]
        first = Column(key, heading, numeric=False)
        return replace(self, columns=[first, *heads], rows=rows, page=(), paper=shown)


_Item = TypeVar("_Item")
Filled = tuple[Column, Callable[[_Item], Cell]]
"""A column, and the function that makes its cell from an item."""


def columns_of(filled: Sequence[Filled[_Item]]) -> list[Column]:
    """The columns of filled columns."""
    return [column for column, _ in filled]


def cells_of(filled: Sequence[Filled[_Item]], item: _Item) -> list[Cell]:
    """The cells of one item."""
    return [fill(item) for _, fill in filled]


def rung_rows(filled: Sequence[Filled[RungRow]], rungs: Iterable[RungRow]) -> list[Row]:
    """A row for each rung, with its run as the source."""
    return [Row(cells_of(filled, rung), (Provenance.of(rung),)) for rung in rungs]


def figure(
    key: str,
    heading: str,
    write: Callable[[Any], str],
    of: str = "",
    *,
    style: Style = "plain",
    numeric: bool = True,
) -> Filled[Any]:
    """A column of the items' attribute `of` (dotted; default: `key`), formatted by `write`."""
    value_of = attrgetter(of or key)

    def fill(item: object) -> Cell:
        value = value_of(item)
        return Cell(write(value), value, style)

    return Column(key, heading, numeric), fill


def text(key: str, heading: str, style: Style = "plain") -> Filled[Any]:
    """A column of the items' attribute `key`, a text or None."""
    return figure(key, heading, lambda value: value or NOTHING, style=style, numeric=False)


def csv_only(key: str, value: Callable[[_Item], Value]) -> Filled[_Item]:
    """A column that is in CSV only."""
    return Column(key), lambda item: Cell("", value(item))


def csv_attributes(*keys: str) -> list[Filled[Any]]:
    """CSV-only columns of the items' attributes."""
    return [csv_only(key, attrgetter(key)) for key in keys]


def page_table(
    key: str, label: str, columns: Sequence[Column], rows: Sequence[Row], kind: str = ""
) -> Table:
    """A table for the page only, with all its columns."""
    return Table(key, label, columns, rows, page=[column.key for column in columns], kind=kind)


def control_row(columns: Sequence[Column], cells: Mapping[str, Cell]) -> Row:
    """A row for a control; a column without a cell shows `–`."""
    return Row([cells.get(column.key, Cell(NOTHING)) for column in columns], control=True)
