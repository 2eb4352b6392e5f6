"""Bits per byte of each source of the corpus."""

from __future__ import annotations

from functools import partial

from escada.report.blocks import Block, Figure, Group, Section, Text
from escada.report.contents import Contents
from escada.report.figures.curves import draw_sources
from escada.report.schema import RungRow
from escada.report.sections.shared import rung_names, values_alt
from escada.report.tables import (
    Cell,
    Column,
    Detail,
    Filled,
    Provenance,
    Row,
    Table,
    columns_of,
    csv_attributes,
    figure,
    rung_rows,
)


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    blocks: list[Block] = [Text(say("sources.intro"))]
    if contents.sources:
        blocks.append(Group([_figure(contents), sources_table(contents)], "pair sources"))
        blocks += [Text(note, "note") for note in _notes(contents)]
    return Section("sources", say("sources.title"), say("nav.sources"), blocks)


def sources_table(contents: Contents) -> Table:
    """A row per measured rung, a column per source."""
    t, say, sources = contents.language, contents.language.say, contents.sources
    filled: list[Filled[RungRow]] = [
        rung_names(t),
        *(
            (
                Column(source, source),
                lambda r, source=source: Cell(
                    t.bits(r.by_source.get(source)), r.by_source.get(source)
                ),
            )
            for source in sources
        ),
        (
            Column("macro_bits_per_byte", say("sources.macro")),
            lambda r: Cell(
                t.bits(r.macro_bits_per_byte),
                r.macro_bits_per_byte,
                details=[Detail(t.interval(r.macro_ci95))],
            ),
        ),
        figure("bits_per_byte", say("tables.all_sources"), t.bits),
        *csv_attributes("macro_ci95", "groups", "effective_groups"),
    ]
    page = ("rung", *sources, "macro_bits_per_byte")
    return Table(
        "sources",
        say("tables.sources"),
        columns_of(filled),
        rung_rows(filled, [rung for rung in contents.ladder.rungs if rung.by_source]),
        [*_notes(contents), contents.origin],
        page=page,
        paper=(*page, "bits_per_byte"),
        label=say("sources.title"),
    )


def _figure(contents: Contents) -> Figure:
    t, say, ladder = contents.language, contents.language.say, contents.ladder
    told: list[str] = []
    for source in contents.sources:
        there = [rung for rung in ladder.rungs if source in rung.by_source]
        first, last = there[0], there[-1]
        told.append(
            say(
                "sources.value",
                source=source,
                first=t.bits(first.by_source[source]),
                first_name=first.name,
                last=t.bits(last.by_source[source]),
                last_name=last.name,
            )
        )
    return Figure(
        "sources",
        say("sources.caption"),
        values_alt("sources.alt", told, t),
        partial(draw_sources, ladder, t),
        data=_numbers(contents),
    )


def _numbers(contents: Contents) -> Table:
    keys = ("name", "source", "bits_per_byte")
    rows = [
        Row([Cell("", value) for value in (rung.name, source, bits)], (Provenance.of(rung),))
        for rung in contents.ladder.rungs
        for source, bits in rung.by_source.items()
    ]
    return Table("sources-curve", "", [Column(key) for key in keys], rows)


def _notes(contents: Contents) -> list[str]:
    """What the intervals over all sources rest on; the same for every rung."""
    t, say = contents.language, contents.language.say
    rung = next((r for r in contents.ladder.rungs if r.effective_groups is not None), None)
    if rung is None:
        return []
    notes: list[str] = []
    if rung.groups is None or rung.groups > 1:
        effective = t.number(rung.effective_groups, 1)
        notes.append(say("sources.groups", groups=t.number(rung.groups), effective=effective))
    if rung.ci95_leaves_out:
        notes.append(say("sources.alone", sources=", ".join(rung.ci95_leaves_out)))
    return notes
