"""What a section of the report is made of, without markup: texts, tables, figures, groups of them.

    Section("ladder", nav="Ladder", title="The ladder", blocks=[Text("…"), table, figure])

A writer takes the blocks that it can set: the page all of them, paper the tables and figures that
say so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from matplotlib.figure import Figure as Drawing

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
    """Draws a figure in the size that is asked for, or in its own."""

    def __call__(self, *, width: int = ..., height: int = ...) -> Drawing:
        """In CSS pixels, or points on paper."""
        ...


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure that is drawn when a writer asks for it.

    Attributes:
        name: of its files.
        caption: below it on the page.
        alt: what a reader who cannot see it is told.
        draw: see `Draw`.
        table: its numbers, which the page shows on demand.
        narrow: width of a second drawing for telephones, in pixels.
        paper: its caption on paper; empty: it is not on paper.
        data: its numbers for CSV, whole.
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
class Group:
    """Blocks side by side where there is room; `kind` is a CSS class."""

    blocks: Sequence[Block]
    kind: str = "pair"


@dataclass(frozen=True, slots=True)
class Details:
    """Blocks that are shown on demand."""

    summary: str
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class StepCard:
    """A rung beside the one that it follows.

    Attributes:
        rung: its name.
        title: what it is.
        kind: how the comparison came out; a CSS class.
        pill: the same in a few words.
        sentence: the same in a sentence.
        terms: objective, changes and expectation.
        measured: a label and what was measured of the objective.
        outcome: `met`, `missed` or `open`, and in words.
    """

    rung: str
    title: str
    kind: str
    pill: str
    sentence: str
    terms: Sequence[tuple[str, str]] = ()
    measured: tuple[str, str] = ("", "")
    outcome: tuple[Literal["met", "missed", "open", ""], str] = ("", "")


@dataclass(frozen=True, slots=True)
class StepCards:
    """One after the other, in the order of the ladder."""

    cards: Sequence[StepCard]


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a rung made of a prompt.

    Attributes:
        text: that the model wrote.
        cut: what is said of a text that reached the token limit; empty: it ended by itself.
        bits: bits per token under the model, in words.
    """

    text: str
    cut: str
    bits: str


@dataclass(slots=True)
class Prompt:
    """A prompt and what each rung made of it; `opening` is its beginning, whole unless `long`."""

    text: str
    opening: str
    long: bool
    category: str
    by_rung: dict[str, list[Continuation]] = field(default_factory=dict[str, list[Continuation]])


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts with the continuations of every rung side by side.

    Attributes:
        prompts: in their order.
        rungs: those that wrote anything, in the order of the ladder.
        warnings: what is said above every text of a rung; by its name.
        absent: what is said where a rung has no text for a prompt.
    """

    prompts: Sequence[Prompt]
    rungs: Sequence[str]
    warnings: dict[str, str]
    absent: str


Block = Text | Heading | Terms | Table | Figure | Group | Details | StepCards | Prompts


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the report.

    Attributes:
        key: its anchor on the page, after the language.
        title: its heading.
        nav: its name in the page's row of links.
        blocks: in their order. Tables and figures that are for paper alone are among them.
    """

    key: str
    title: str
    nav: str
    blocks: Sequence[Block]

    def tables(self) -> Iterator[Table]:
        """The tables that are for paper, in their order."""
        return (b for b in _flat(self.blocks) if isinstance(b, Table) and b.paper and b.rows)

    def figures(self) -> Iterator[Figure]:
        """All figures, in their order."""
        return (b for b in _flat(self.blocks) if isinstance(b, Figure))


def _flat(blocks: Sequence[Block]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Group | Details):
            yield from _flat(block.blocks)
        else:
            yield block
