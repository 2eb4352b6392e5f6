"""A table of results without markup: one source of rows for every writer.

A cell holds what a reader sees, in his language, and the value that it was written from, whole; a
row names the run that its figures come from. A table says which of its columns the page shows and
which paper (LaTeX, Markdown) does; CSV has them all. The sections make tables, the writers set
them: neither knows the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, Literal, NamedTuple, TypeVar

from escada.report.i18n import NOTHING
from escada.report.schema import RungRow

Value = float | int | str | tuple[float, float] | None
"""What a cell was written from; a pair is an interval."""
Style = Literal["plain", "strong", "code", "rung"]
"""A rung's name has the rung's colour on the page."""


class Detail(NamedTuple):
    """A quieter line below the figure of a cell, on the page only; `kind` is a CSS class."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One entry: as a reader sees it, and as it is in ladder.json.

    Attributes:
        text: for readers.
        value: for programs.
        style: how it is set.
        details: quieter lines below it.
        tone: a CSS class that says how to take it, such as `fail`; on paper `fail` is bold.
        tag: a word set apart beside it.
        share: of the largest value of its column (0 to 1): the length of a bar.
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
        """Whether paper sets it in bold."""
        return self.style == "strong" or self.tone == "fail"


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        key: its name in CSV, with the unit where it has one.
        heading: its name for readers; a line break where a narrow column may have one.
        numeric: set to the right.
        width: share of a line of paper that a column of prose takes (0 to 1); None: as its text.
        detail: a quieter line below the heading.
        emphasis: the figures that a reader looks for first.
        csv: it is in CSV too; not so what is put together for readers alone.
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
        """The heading without line breaks; a word that was divided is whole again."""
        return self.heading.replace("-\n", "").replace("\n", " ")


@dataclass(frozen=True, slots=True)
class Source:
    """The run that figures come from."""

    run: str
    key: str | None
    spec_hash: str | None

    @classmethod
    def of(cls, rung: RungRow) -> Source:
        """Of a rung's row."""
        return cls(rung.run, rung.key, rung.spec_hash)

    def __str__(self) -> str:
        key, spec = (self.key or "none")[:16], (self.spec_hash or "none")[:16]
        return f"run {self.run}, key {key}, spec {spec}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table.

    Attributes:
        cells: one for each column.
        sources: the runs of its figures.
        control: it is no rung, and set apart from the rungs.
        tone: a CSS class, such as `best` or `worse`.
    """

    cells: Sequence[Cell]
    sources: tuple[Source, ...] = ()
    control: bool = False
    tone: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with all that it needs to stand alone.

    Attributes:
        key: names its file and its label.
        caption: one sentence.
        columns: of every row, in the order of CSV.
        rows: the rungs, then the controls.
        notes: what a reader of paper must know to read it right, where it comes from last.
        page: keys of the columns that the page shows, in its order; none: it is not on the page.
        paper: keys of the columns that paper shows; none: it is not on paper, nor in CSV.
        label: its name on the page; the caption if empty.
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
        """Where in a row the columns with these keys are; of equal ones, in their order."""
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
"""A column, and how its cell is made of an item."""


def columns_of(filled: Sequence[Filled[_Item]]) -> list[Column]:
    """The columns alone."""
    return [column for column, _ in filled]


def cells_of(filled: Sequence[Filled[_Item]], item: _Item) -> list[Cell]:
    """The cells of one item."""
    return [fill(item) for _, fill in filled]


def rung_rows(filled: Sequence[Filled[RungRow]], rungs: Iterable[RungRow]) -> list[Row]:
    """A row for each rung, with its run as the source."""
    return [Row(cells_of(filled, rung), (Source.of(rung),)) for rung in rungs]


def figure(key: str, heading: str, write: Callable[[float | None], str]) -> Filled[Any]:
    """A column of the items' figure of that name, as `write` shows it."""

    def fill(item: object) -> Cell:
        value = getattr(item, key)
        return Cell(write(value), value)

    return Column(key, heading), fill


def csv_only(key: str, value: Callable[[_Item], Value]) -> Filled[_Item]:
    """A column for CSV alone, for what a page has no room for."""
    return Column(key), lambda item: Cell("", value(item))


def csv_attributes(*keys: str) -> list[Filled[Any]]:
    """Columns for CSV alone, of the items' attributes of these names."""
    return [csv_only(key, attrgetter(key)) for key in keys]


def page_table(
    key: str, label: str, columns: Sequence[Column], rows: Sequence[Row], kind: str = ""
) -> Table:
    """A table for the page alone, with all its columns."""
    return Table(key, label, columns, rows, page=[column.key for column in columns], kind=kind)


def control_row(columns: Sequence[Column], cells: Mapping[str, Cell]) -> Row:
    """A row that is no rung's, of the cells that it has by the keys of their columns."""
    return Row([cells.get(column.key, Cell(NOTHING)) for column in columns], control=True)
