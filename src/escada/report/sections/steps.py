"""Each rung against the one it follows, and whether it met its goals."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from escada.report.blocks import Block, Heading, Section, StepCard, StepCards, Text
from escada.report.changes import changed_in
from escada.report.contents import Contents
from escada.report.i18n import NOTHING
from escada.report.objectives import objectives
from escada.report.schema import ComparisonRow, RungRow, SeedRun
from escada.report.sections.shared import difference_cell, rung_cell, rung_column, rung_names
from escada.report.sentences import verdict
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
    figure,
    page_table,
    rung_rows,
)

_SIGNS = {"met": "✓", "missed": "✗", "open": "≈", "untested": NOTHING}


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    several_seeds = any(rung.other_seeds for rung in contents.ladder.rungs)
    return Section(
        "steps",
        say("steps.title"),
        say("nav.steps"),
        [
            Text(say("steps.intro")),
            Text(say("objectives.intro")),
            StepCards(list(_cards(contents))),
            changes_table(contents),
            objectives_table(contents),
            *_comparisons(contents),
            *(_seeds(contents) if several_seeds else ()),
            Text(say("steps.several_seeds" if several_seeds else "steps.seeds"), "note"),
        ],
    )


def _cards(contents: Contents) -> Iterator[StepCard]:
    t, say, findings = contents.language, contents.language.say, contents.findings
    for rung in contents.ladder.rungs:
        found, about = verdict(rung, findings, t), rung.about
        title = t.pick(about.title) if about else ""
        card = StepCard(rung.name, title, found.kind, found.pill, found.sentence)
        changed = changed_in(rung, contents.ladder)
        terms = [(changed.heading(t), changed.sentence(t))] if changed else []
        if about:
            goals = objectives(rung, contents.ladder, findings)
            if about.changes:
                label = "steps.authors_note" if changed else "steps.changes"
                terms.append((say(label), t.pick(about.changes)))
            terms = [
                (say("steps.objective"), t.pick(about.objective)),
                *terms,
                (say("steps.expected"), t.pick(about.expected)),
            ]
            card = replace(
                card,
                measured=(say("objectives.measured"), goals.sentences(t) or NOTHING),
                outcome=(goals.outcome, f"{_SIGNS[goals.outcome]} {goals.verdict(t)}"),
            )
        yield replace(card, terms=terms)


def changes_table(contents: Contents) -> Table:
    """What changed from rung to rung; for paper."""
    t, say = contents.language, contents.language.say
    rows: list[Row] = []
    for rung in contents.ladder.rungs:
        if changed := changed_in(rung, contents.ladder):
            against = changed.against
            if changed.preset is not None:
                against = say("changes.of_preset", name=against, preset=changed.preset)
            said = changed.sentence(t)
            cells = [rung_cell(rung), Cell(against, changed.against), Cell(said, said)]
            rows.append(Row(cells, (Provenance.of(rung),)))
    columns = [
        rung_column(t),
        Column("against", say("tables.against"), numeric=False),
        Column("changes", say("changes.title"), numeric=False, width=0.74),
    ]
    paper = [column.key for column in columns]
    return Table("changes", say("changes.caption"), columns, rows, [contents.origin], paper=paper)


def objectives_table(contents: Contents) -> Table:
    """Each rung's objective and its outcome; for paper."""
    t, say = contents.language, contents.language.say
    rows: list[Row] = []
    for rung in contents.ladder.rungs:
        if rung.about is None:
            continue
        found = objectives(rung, contents.ladder, contents.findings)
        objective, expected = t.pick(rung.about.objective), t.pick(rung.about.expected)
        measured = found.sentences(t)
        cells = [
            rung_cell(rung),
            Cell(objective, objective),
            Cell(expected, expected),
            Cell(measured or NOTHING, measured),
            Cell(found.verdict(t), found.outcome),
        ]
        rows.append(Row(cells, (Provenance.of(rung),)))
    columns = [
        rung_column(t),
        Column("objective", say("steps.objective"), numeric=False, width=0.24),
        Column("expected", say("steps.expected"), numeric=False, width=0.18),
        Column("measured", say("objectives.measured"), numeric=False, width=0.28),
        Column("outcome", say("guard.verdict"), numeric=False, width=0.1),
    ]
    notes = [say("objectives.note"), contents.origin]
    paper = [column.key for column in columns]
    return Table("objectives", say("objectives.caption"), columns, rows, notes, paper=paper)


def _comparisons(contents: Contents) -> Iterator[Block]:
    say = contents.language.say
    table = comparisons_table(contents)
    if contents.ladder.comparisons:
        yield Text(say("compare.caption"), "caption")
    yield table
    if contents.ladder.comparisons:
        if contents.sources:
            yield Text(say("compare.by_source"), "caption")
            yield _by_source(contents)
        yield Text(say("compare.note"), "note")


def comparisons_table(contents: Contents) -> Table:
    """Each rung against the one before it and those in `also_against`."""
    t, say, ladder = contents.language, contents.language.say, contents.ladder
    rungs = {rung.name: rung for rung in ladder.rungs}

    def scope(row: ComparisonRow) -> Cell:
        errors = row.standard_error
        detail = ""
        if errors.seeds is not None:
            values = {"documents": t.bits(errors.documents), "seeds": t.bits(errors.seeds)}
            detail = say("compare.errors", **values)
        text = say(f"compare.scope_{row.scope}")
        return Cell(text, row.scope, details=[Detail(detail)])

    def flops(row: ComparisonRow) -> Cell:
        found = row.cost.get("training_flops")
        if found is None or found.ratio is None:
            return Cell(NOTHING)
        return Cell(f"× {t.significant(found.ratio)}", found.ratio)

    def significant(row: ComparisonRow) -> Cell:
        key = f"yes_{row.verdict}" if row.significant else "no"
        return Cell(say(f"compare.{key}"), tone="verdict-cell")

    filled: list[Filled[ComparisonRow]] = [
        figure("rung", say("ladder.rung"), str, of="a", numeric=False),
        figure("against", say("tables.against"), str, of="b", numeric=False),
        (
            Column("difference", say("tables.difference"), emphasis=True),
            lambda c: difference_cell(c.difference, c.ci95, t),
        ),
        figure("ci95", say("tables.interval"), lambda ci95: t.interval(ci95) or NOTHING),
        figure("p_value", "p", t.p_value),
        figure(
            "verdict", say("guard.verdict"), lambda v: say(f"tables.verdict_{v}"), numeric=False
        ),
        (Column("scope", say("compare.scope"), numeric=False), scope),
        *csv_attributes("relative"),
        (
            Column("pair", say("compare.pair"), numeric=False, csv=False),
            lambda c: Cell(say("compare.against", a=c.a, b=c.b)),
        ),
        (Column("significant", say("compare.significant"), numeric=False, csv=False), significant),
        (
            Column("minimal_pairs", say("compare.pairs"), csv=False),
            lambda c: Cell(
                t.percent(c.minimal_pairs.a), details=[Detail(t.percent(c.minimal_pairs.b))]
            ),
        ),
        (Column("flops_ratio", say("compare.flops")), flops),
    ]
    compared = list(ladder.comparisons or _steps_alone(ladder.rungs))
    rows = [
        Row(
            cells_of(filled, row),
            tuple(Provenance.of(rungs[name]) for name in (row.a, row.b) if name in rungs),
            tone=row.verdict,
        )
        for row in compared
    ]
    notes = [say("tables.comparisons_note")]
    notes += [
        say(f"tables.scope_{scope}") for scope in dict.fromkeys(row.scope for row in compared)
    ]
    page = ("pair", "significant", "difference", "p_value", "scope", "minimal_pairs", "flops_ratio")
    return Table(
        "comparisons",
        say("tables.comparisons"),
        columns_of(filled),
        rows,
        [*notes, contents.origin],
        page=page if ladder.comparisons else (),
        paper=("rung", "against", "difference", "ci95", "p_value", "verdict"),
        label=say("compare.title"),
        kind="comparisons",
    )


def _steps_alone(rungs: Sequence[RungRow]) -> Iterator[ComparisonRow]:
    """The steps as comparison rows, for a ladder that has no comparisons."""
    for rung in rungs:
        if step := rung.beats_previous:
            yield ComparisonRow(
                a=rung.name,
                b=step.against,
                significant=step.verdict != "undecided",
                **step.model_dump(include={"scope", "difference", "ci95", "p_value", "verdict"}),
            )


def _by_source(contents: Contents) -> Table:
    t, say = contents.language, contents.language.say

    def part(row: ComparisonRow, source: str) -> Cell:
        found = row.by_source.get(source)
        return difference_cell(found.difference, found.ci95, t) if found else Cell(NOTHING)

    rows = [
        Row(
            [
                Cell(say("compare.against", a=row.a, b=row.b)),
                *(part(row, source) for source in contents.sources),
            ]
        )
        for row in contents.ladder.comparisons
    ]
    columns = [Column("pair", say("compare.pair"), numeric=False)]
    columns += [Column(source, source) for source in contents.sources]
    caption = say("compare.by_source")
    return page_table("comparisons_by_source", caption, columns, rows, kind="comparisons")


def _seeds(contents: Contents) -> Iterator[Block]:
    t, say = contents.language, contents.language.say

    def each(rung: RungRow) -> list[SeedRun]:
        own = SeedRun(seed=rung.seed, run=rung.run, bits_per_byte=rung.bits_per_byte)
        return [own, *rung.other_seeds]

    def over_all(rung: RungRow, summary: Callable[[list[float]], float]) -> Cell:
        """Over all seeds, if every one has been measured."""
        figures = [one.bits_per_byte for one in each(rung) if one.bits_per_byte is not None]
        value = summary(figures) if len(figures) == len(each(rung)) else None
        return Cell(t.bits(value), value)

    filled: list[Filled[RungRow]] = [
        rung_names(t),
        (Column("mean", say("compare.mean")), lambda r: over_all(r, statistics.mean)),
        (
            Column("standard_deviation", say("compare.spread")),
            lambda r: over_all(r, statistics.stdev),
        ),
        (
            Column("each", say("compare.each"), numeric=False),
            lambda r: Cell(
                " · ".join(f"{one.seed}: {t.bits(one.bits_per_byte)}" for one in each(r)),
                "; ".join(f"{one.seed}: {one.bits_per_byte}" for one in each(r)),
            ),
        ),
    ]
    columns = columns_of(filled)
    keys = [column.key for column in columns]
    rungs = [rung for rung in contents.ladder.rungs if rung.other_seeds]
    yield Heading(say("compare.seeds_title"))
    yield Text(say("compare.seeds_caption"), "caption")
    yield Table(
        "seeds",
        say("tables.seeds"),
        columns,
        rung_rows(filled, rungs),
        [contents.origin],
        page=keys,
        paper=keys,
        label=say("compare.seeds_title"),
    )
