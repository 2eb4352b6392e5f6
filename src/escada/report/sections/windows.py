"""The roadmap's windows: the rungs' own figures, and below them those that others published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from escada.evaluation.published import Publication, PublishedFigure
from escada.evaluation.tasks.windows import WindowsResult
from escada.report.blocks import Block, Heading, Section, Text
from escada.report.contents import Contents
from escada.report.i18n import Language
from escada.report.schema import RungRow
from escada.report.sections.shared import rung_cell, rung_column
from escada.report.tables import (
    Cell,
    Column,
    Detail,
    Filled,
    Provenance,
    Row,
    Table,
    cells_of,
    columns_of,
    csv_only,
)
from escada.spec import Bilingual


def section(contents: Contents) -> Section | None:
    """A table of the rungs measured so, and one per publication; None without either."""
    say = contents.language.say
    measured = _measured(contents)
    published = _published(contents)
    blocks: list[Block] = []
    if measured.rows:
        blocks += [Text(measured.notes[0]), measured]
    if published.rows:
        caveat, *notes = published.notes
        blocks += [Heading(published.caption), Text(caveat), published]
        blocks += [Text(note, "note") for note in notes]
    if not blocks:
        return None
    return Section("windows", say("windows.title"), say("nav.windows"), blocks)


def _measured(contents: Contents) -> Table:
    t, say = contents.language, contents.language.say
    found = {name: run.windows for name, run in contents.runs.items()}
    filled: list[Filled[WindowsResult]] = [
        (Column("windows", say("windows.windows")), lambda w: _windows(w, t)),
        (
            Column("loss_nats", say("windows.loss")),
            lambda w: Cell(t.bits(w.loss), w.loss, details=[Detail(t.interval(w.loss_ci95))]),
        ),
        csv_only("loss_ci95", lambda w: w.loss_ci95),
        (
            Column("perplexity", say("ladder.perplexity")),
            lambda w: Cell(t.number(w.perplexity, 2), w.perplexity),
        ),
        (
            Column("accuracy", say("costs.accuracy")),
            lambda w: Cell(t.percent(w.accuracy), w.accuracy),
        ),
        csv_only("protocol", lambda w: w.protocol),
        csv_only("window_tokens", lambda w: w.window_tokens),
        csv_only("window_stride", lambda w: w.window_stride),
    ]

    def row(rung: RungRow, windows: WindowsResult) -> Row:
        return Row([rung_cell(rung), *cells_of(filled, windows)], (Provenance.of(rung),))

    return Table(
        "windows",
        say("windows.title"),
        [rung_column(t), *columns_of(filled)],
        [row(rung, one) for rung in contents.ladder.rungs if (one := found.get(rung.name))],
        [say("windows.note"), contents.origin],
        page=(shown := ("rung", "windows", "loss_nats", "perplexity", "accuracy")),
        paper=shown,
    )


def _published(contents: Contents) -> Table:
    t, say, published = contents.language, contents.language.say, contents.climb.beside
    filled: list[Filled[tuple[Publication, PublishedFigure]]] = [
        (
            Column("model", say("windows.model"), numeric=False),
            lambda p: Cell(p[1].name, p[1].name),
        ),
        (Column("by", say("windows.by"), numeric=False), lambda p: _text(p[0].by, t)),
        (
            Column("unit", say("windows.unit"), numeric=False),
            lambda p: Cell(say(f"windows.{p[1].unit}"), p[1].unit),
        ),
        (Column("windows", say("windows.windows")), lambda p: _windows(p[1], t)),
        (
            Column("loss_nats", say("windows.loss")),
            lambda p: Cell(t.number(p[1].loss, 3), p[1].loss),
        ),
        (
            Column("perplexity", say("ladder.perplexity")),
            lambda p: _number(p[1].perplexity, partial(t.number, digits=2)),
        ),
        (
            Column("accuracy", say("costs.accuracy")),
            lambda p: _number(p[1].accuracy, t.percent),
        ),
        (
            Column("bits_per_character", say("windows.bits")),
            lambda p: _number(p[1].bits_per_character, t.bits),
        ),
        csv_only("window_tokens", lambda p: p[1].window_tokens),
        csv_only("window_stride", lambda p: p[1].window_stride),
    ]
    columns = columns_of(filled)
    notes = [say("windows.beside_note"), *(note for one in published if (note := _note(one, t)))]
    return Table(
        "beside",
        say("windows.beside"),
        columns,
        [
            Row(cells_of(filled, (one, figure)), control=True)
            for one in published
            for figure in one.figures
        ],
        notes,
        page=(shown := tuple(column.key for column in columns if column.heading)),
        paper=shown,
    )


def _note(publication: Publication, t: Language) -> str:
    text = _text(publication.note, t).text
    return f"{_text(publication.by, t).text}: {text}" if text else ""


def _text(text: Bilingual | str, t: Language) -> Cell:
    """In the reader's language; the value, as all of CSV, is English."""
    if isinstance(text, str):
        return Cell(text, text)
    return Cell(getattr(text, t.code), text.en)


def _number(value: float | None, write: Callable[[float | None], str]) -> Cell:
    return Cell(write(value), value)


def _windows(found: WindowsResult | PublishedFigure, t: Language) -> Cell:
    """`250,000 of 256 tokens, stride 2`, without what is unknown."""
    said = t.number(found.windows)
    if found.window_tokens is not None:
        said += f" {t.say('windows.long', n=t.number(found.window_tokens))}"
    if found.window_stride is not None:
        said += f", {t.say('windows.stride', n=found.window_stride)}"
    details = [Detail(found.protocol)] if isinstance(found, WindowsResult) else []
    return Cell(said, found.windows, details=details)
