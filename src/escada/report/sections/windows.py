"""The roadmap's windows: the rungs' own figures, and below them those that others published."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from escada.evaluation.published import Publication, PublishedFigure
from escada.evaluation.tasks.windows import WindowsResult
from escada.report.blocks import Block, Heading, Section, Text
from escada.report.contents import Contents
from escada.report.i18n import Language
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
    csv_attributes,
    csv_only,
    figure,
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
    filled: list[Filled[WindowsResult]] = [
        (Column("windows", say("windows.windows")), lambda w: _windows(w, t)),
        (
            Column("loss_nats", say("windows.loss")),
            lambda w: Cell(t.bits(w.loss), w.loss, details=[Detail(t.interval(w.loss_ci95))]),
        ),
        *csv_attributes("loss_ci95"),
        figure("perplexity", say("ladder.perplexity"), partial(t.number, digits=2)),
        figure("accuracy", say("costs.accuracy"), t.percent),
        *csv_attributes("protocol", "window_tokens", "window_stride"),
    ]
    rows = [
        Row([rung_cell(rung), *cells_of(filled, found)], (Provenance.of(rung),))
        for rung in contents.ladder.rungs
        if (found := contents.runs[rung.name].windows)
    ]
    shown = ("rung", "windows", "loss_nats", "perplexity", "accuracy")
    return Table(
        "windows",
        say("windows.title"),
        [rung_column(t), *columns_of(filled)],
        rows,
        [say("windows.note"), contents.origin],
        page=shown,
        paper=shown,
    )


class _Published(NamedTuple):
    by: Bilingual | str
    figure: PublishedFigure


def _published(contents: Contents) -> Table:
    t, say, published = contents.language, contents.language.say, contents.climb.beside
    filled: list[Filled[_Published]] = [
        figure("model", say("windows.model"), str, of="figure.name", numeric=False),
        (Column("by", say("windows.by"), numeric=False), lambda p: _text(p.by, t)),
        figure(
            "unit",
            say("windows.unit"),
            lambda unit: say(f"windows.{unit}"),
            of="figure.unit",
            numeric=False,
        ),
        (Column("windows", say("windows.windows")), lambda p: _windows(p.figure, t)),
        figure("loss_nats", say("windows.loss"), t.bits, of="figure.loss"),
        figure(
            "perplexity",
            say("ladder.perplexity"),
            partial(t.number, digits=2),
            of="figure.perplexity",
        ),
        figure("accuracy", say("costs.accuracy"), t.percent, of="figure.accuracy"),
        figure("bits_per_character", say("windows.bits"), t.bits, of="figure.bits_per_character"),
        csv_only("window_tokens", lambda p: p.figure.window_tokens),
        csv_only("window_stride", lambda p: p.figure.window_stride),
    ]
    columns = columns_of(filled)
    rows = [
        Row(cells_of(filled, _Published(one.by, found)), control=True)
        for one in published
        for found in one.figures
    ]
    notes = [say("windows.beside_note"), *(note for one in published if (note := _note(one, t)))]
    shown = tuple(column.key for column in columns if column.heading)
    return Table("beside", say("windows.beside"), columns, rows, notes, page=shown, paper=shown)


def _note(publication: Publication, t: Language) -> str:
    text = _text(publication.note, t).text
    return f"{_text(publication.by, t).text}: {text}" if text else ""


def _text(text: Bilingual | str, t: Language) -> Cell:
    """In the reader's language; the value, as all of CSV, is English."""
    if isinstance(text, str):
        return Cell(text, text)
    return Cell(t.pick(text), text.en)


def _windows(found: WindowsResult | PublishedFigure, t: Language) -> Cell:
    """`250,000 of 256 tokens, stride 2`, without what is unknown."""
    said = t.number(found.windows)
    if found.window_tokens is not None:
        said += f" {t.say('windows.long', n=t.number(found.window_tokens))}"
    if found.window_stride is not None:
        said += f", {t.say('windows.stride', n=found.window_stride)}"
    details = [Detail(found.protocol)] if isinstance(found, WindowsResult) else []
    return Cell(said, found.windows, details=details)
