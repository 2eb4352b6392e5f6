"""The blocks that make up a section of the report, without markup.

    Section("ladder", nav="Ladder", title="The ladder", blocks=[Text("…"), table, figure])

The page shows every block; LaTeX, Markdown and CSV take the tables and figures marked for paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from matplotlib.figure import Figure as Drawing

from escada.report.data import CurvePoint
from escada.report.tables import Table


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; `kind` is a CSS class such as `note`, `caption`, `warning` or `finding good`."""

    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Heading:
    """The title of a part of a section."""

    text: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Labels with their values."""

    entries: Sequence[tuple[str, str]]


class Draw(Protocol):
    """Draws a figure, in the given size or its default one."""

    def __call__(self, *, width: int = ..., height: int = ...) -> Drawing:
        """Sizes are in CSS pixels, or in points on paper."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure, drawn when a writer needs it.

    Attributes:
        alt: text alternative for screen readers.
        table: its numbers, which the page shows on demand.
        narrow: width in pixels of a second drawing for phones.
        paper: its caption on paper; empty: not on paper.
        data: all its numbers, for CSV.
        flatness: height over width on paper.
    """

    name: str
    caption: str
    alt: str
    draw: Draw
    table: Table | None = None
    narrow: int | None = None
    paper: str = ""
    data: Table | None = None
    flatness: float = 0.48


@dataclass(frozen=True, slots=True)
class ExplorerLine:
    """The learning curve of a rung; `role` is its colour."""

    name: str
    role: str
    points: Sequence[CurvePoint]


@dataclass(frozen=True, slots=True)
class Explorer:
    """Learning curves that answer the pointer, on a page with JavaScript only.

    `words` are what its script (templates/explorer.js) says, by the script's names.
    """

    key: str
    lines: Sequence[ExplorerLine]
    words: Mapping[str, str]

    @property
    def data(self) -> dict[str, object]:
        """What the script reads."""
        lines = [
            {"name": line.name, "role": line.role, "points": [p.model_dump() for p in line.points]}
            for line in self.lines
        ]
        return {"lines": lines, "words": dict(self.words)}


@dataclass(frozen=True, slots=True)
class Group:
    """Blocks side by side if they fit; `kind` is a CSS class."""

    blocks: Sequence[Block]
    kind: str = "pair"


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that the page shows on demand."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class StepCard:
    """A rung compared with the one it follows.

    Attributes:
        kind: outcome of the comparison; a CSS class.
        pill: the outcome in a few words.
        terms: objective, changes and expectation.
        measured: a label, and what was measured against the objective.
        outcome: whether the objective was met, as a CSS class and in words.
    """

    rung: str
    title: str
    kind: str
    pill: str
    sentence: str
    terms: Sequence[tuple[str, str]] = ()
    measured: tuple[str, str] = ("", "")
    outcome: tuple[Literal["met", "missed", "open", "untested", ""], str] = ("", "")


@dataclass(frozen=True, slots=True)
class StepCards:
    """Step cards in the order of the ladder."""

    cards: Sequence[StepCard]


@dataclass(frozen=True, slots=True)
class Continuation:
    """A rung's continuation of a prompt.

    Attributes:
        cut: note that the text reached the token limit; empty if it did not.
        bits: bits per token, in words.
    """

    text: str
    cut: str
    bits: str


@dataclass(slots=True)
class Prompt:
    """A prompt and each rung's continuations; if `long`, `opening` is only its beginning."""

    text: str
    opening: str
    long: bool
    category: str
    by_rung: dict[str, list[Continuation]] = field(default_factory=dict[str, list[Continuation]])


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts with the continuations of every rung side by side.

    Attributes:
        rungs: those with samples, in the order of the ladder.
        warnings: shown above each text of a rung; by rung name.
        absent: shown where a rung has no text for a prompt.
    """

    prompts: Sequence[Prompt]
    rungs: Sequence[str]
    warnings: dict[str, str]
    absent: str


Block = Text | Heading | Terms | Table | Figure | Explorer | Group | Details | StepCards | Prompts


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report; `nav` is its name in the page's navigation.

    `blocks` include tables and figures for paper alone. The page's anchor is `key`, prefixed with
    the language.
    """

    key: str
    title: str
    nav: str
    blocks: Sequence[Block]

    def tables(self) -> Iterator[Table]:
        """The tables for paper."""
        return (b for b in _flat(self.blocks) if isinstance(b, Table) and b.paper and b.rows)

    def figures(self) -> Iterator[Figure]:
        """All figures."""
        return (b for b in _flat(self.blocks) if isinstance(b, Figure))


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Group | Details):
            yield from _flat(block.blocks)
        else:
            yield block
