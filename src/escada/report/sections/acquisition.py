"""What was learned when: agreement, bits per byte by source and words, at each kept step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

from escada.evaluation.tasks.acquisition import AcquisitionResult, AcquisitionStep, curves
from escada.evaluation.tasks.minimal_pairs import Share
from escada.report.blocks import Block, Details, Figure, Group, Heading, Section, Text
from escada.report.contents import Contents
from escada.report.figures.acquisition import Curve, CurvePoint, draw_acquisition
from escada.report.i18n import NOTHING, Language
from escada.report.schema import RungRow
from escada.report.sections.shared import lexicon_controls, rung_cell, rung_column, values_alt
from escada.report.tables import Cell, Column, Detail, Provenance, Row, Table, page_table
from escada.typed_json import Interval

CHANCE = 0.5
MOST_SOURCES = 5
"""More sources than these have no figure of their own; CSV has them all."""
Measured = tuple[float, Interval | None]
Value = Callable[[AcquisitionStep], Measured | None]
"""A figure of a step and its interval; None if it was not measured."""


def section(contents: Contents) -> Section | None:
    """Build the section; None where no rung has kept weights."""
    found = {rung.name: one for rung in contents.ladder.rungs if (one := _of(contents, rung))}
    if not found:
        return None
    say = contents.language.say
    blocks: list[Block] = [
        Text(say("acquisition.intro", bytes=contents.language.memory(_first(found).bytes)))
    ]
    if phenomena := _phenomena(found):
        blocks += [Heading(say("acquisition.agreement")), *_learned(contents, found, phenomena)]
        blocks.append(Group([_agreement(contents, found, one) for one in phenomena], "pair three"))
    blocks += [
        Heading(say("acquisition.bits")),
        Group(list(_by_source(contents, found)), "pair three"),
        Heading(say("acquisition.words")),
        Group([_words(contents, found)], "pair three"),
        Details(say("acquisition.all"), [_whole_table(contents, found, phenomena)]),
    ]
    return Section("acquisition", say("acquisition.title"), say("nav.acquisition"), blocks)


def _of(contents: Contents, rung: RungRow) -> AcquisitionResult | None:
    run = contents.runs.get(rung.name)
    return run.acquisition if run and run.acquisition and run.acquisition.steps else None


def _first(found: Mapping[str, AcquisitionResult]) -> AcquisitionResult:
    return next(iter(found.values()))


def _phenomena(found: Mapping[str, AcquisitionResult]) -> list[str]:
    return sorted({name for one in found.values() for name in one.steps[-1].agreement})


def above_chance_since(steps: Sequence[AcquisitionStep], phenomenon: str) -> AcquisitionStep | None:
    """The first step from which on every interval lies above chance; None if the last does not."""
    since: AcquisitionStep | None = None
    for step in reversed(steps):
        share = step.agreement.get(phenomenon)
        if share is None or share.ci95 is None or share.ci95[0] <= CHANCE:
            break
        since = step
    return since


def _learned(
    contents: Contents, found: Mapping[str, AcquisitionResult], phenomena: Sequence[str]
) -> Iterator[Block]:
    """A sentence per phenomenon, and a table: from where on each rung is above chance."""
    t, say = contents.language, contents.language.say
    since = {
        name: {one: above_chance_since(result.steps, one) for one in phenomena}
        for name, result in found.items()
    }
    for one in phenomena:
        known = {name: step for name, steps in since.items() if (step := steps[one])}
        never = t.names([name for name in since if name not in known])
        if not known:
            yield Text(say("acquisition.never", what=_name(one, t)))
            continue
        first = min(known, key=lambda name: known[name].flops or 0.0)
        values = {
            "what": _name(one, t),
            "name": first,
            "tokens": t.compact(known[first].tokens),
            "flops": t.power(known[first].flops),
        }
        if len(found) == 1:
            yield Text(say("acquisition.since_alone", **values))
            continue
        others = say("acquisition.others", names=never) if never else say("acquisition.no_others")
        yield Text(f"{say('acquisition.since', **values)} {others}")
    columns = [rung_column(t), *(Column(one, _name(one, t)) for one in phenomena)]
    rows = [
        Row(
            [rung_cell(rung), *(_since_cell(since[rung.name][one], t) for one in phenomena)],
            (Provenance.of(rung),),
        )
        for rung in contents.ladder.rungs
        if rung.name in since
    ]
    shown = [column.key for column in columns]
    caption, notes = say("acquisition.learned"), [say("acquisition.note"), contents.origin]
    yield Table("learned", caption, columns, rows, notes, page=shown, paper=shown)


def _since_cell(step: AcquisitionStep | None, t: Language) -> Cell:
    if step is None:
        return Cell(t.say("acquisition.not_yet"))
    return Cell(
        t.compact(step.tokens), step.tokens, details=[Detail(f"{t.power(step.flops)} FLOP")]
    )


def _name(phenomenon: str, t: Language) -> str:
    return t.messages.get(f"phenomenon.{phenomenon}", phenomenon)


def _agreement(
    contents: Contents, found: Mapping[str, AcquisitionResult], phenomenon: str
) -> Figure:
    t = contents.language

    def value(step: AcquisitionStep) -> Measured | None:
        share = step.agreement.get(phenomenon)
        return None if share is None else (share.accuracy, share.ci95)

    return _figure(
        contents,
        found,
        f"acquisition-{phenomenon}",
        t.say("acquisition.of_pairs", what=_name(phenomenon, t)),
        value,
        marks=[(t.say("acquisition.chance"), CHANCE)],
    )


def _by_source(contents: Contents, found: Mapping[str, AcquisitionResult]) -> Iterator[Figure]:
    say = contents.language.say

    def overall(step: AcquisitionStep) -> Measured:
        return step.bits_per_byte, step.ci95

    name = "acquisition-bits"
    yield _figure(contents, found, name, say("acquisition.of_all"), overall, shares=False)
    last = _first(found).steps[-1].sources
    largest = sorted(last, key=lambda name: -last[name].bytes)[:MOST_SOURCES]
    for number, source in enumerate(sorted(largest) if len(last) > 1 else (), start=1):

        def value(step: AcquisitionStep, source: str = source) -> Measured | None:
            part = step.sources.get(source)
            return None if part is None else (part.bits_per_byte, part.ci95)

        name = f"acquisition-source-{number}"
        caption = say("acquisition.of_source", source=source)
        yield _figure(contents, found, name, caption, value, shares=False)


def _words(contents: Contents, found: Mapping[str, AcquisitionResult]) -> Figure:
    t = contents.language
    controls = lexicon_controls(contents)
    marks = [(t.say(f"figures.{name}"), share) for name, share in controls.items()]

    def value(step: AcquisitionStep) -> Measured:
        return step.lexicon_share, step.lexicon_ci95

    caption = t.say("acquisition.of_words")
    return _figure(contents, found, "acquisition-words", caption, value, marks=marks)


def _figure(
    contents: Contents,
    found: Mapping[str, AcquisitionResult],
    name: str,
    caption: str,
    value: Value,
    *,
    shares: bool = True,
    marks: Sequence[tuple[str, float]] = (),
) -> Figure:
    t, say = contents.language, contents.language.say
    write = t.percent if shares else t.bits
    lines: list[Curve] = []
    told: list[str] = []
    for place, rung in enumerate(contents.ladder.rungs):
        steps = found[rung.name].steps if rung.name in found else []
        points = [
            CurvePoint(step.flops, *measured)
            for step in steps
            if step.flops and (measured := value(step)) is not None
        ]
        if points:
            lines.append(Curve(rung.name, contents.roles[rung.name], place, points))
            first, last = write(points[0].value), write(points[-1].value)
            told.append(say("curves.curve", name=rung.name, first=first, last=last))
    return Figure(
        name,
        caption,
        values_alt("acquisition.alt", [caption, *told], t),
        partial(draw_acquisition, lines, t, shares=shares, marks=marks),
        table=_ends_table(contents, found, name, caption, value, write),
        paper=caption,
        data=_data(contents, found),
    )


def _ends_table(
    contents: Contents,
    found: Mapping[str, AcquisitionResult],
    name: str,
    caption: str,
    value: Value,
    write: Callable[[float], str],
) -> Table:
    """Four points of each curve, evenly spaced, with their intervals."""
    t, say = contents.language, contents.language.say

    def reached(step: AcquisitionStep) -> Cell:
        measured = value(step)
        if measured is None:
            return Cell(NOTHING)
        ends = "" if measured[1] is None else f"[{t.separator.join(map(write, measured[1]))}]"
        at = f"{say('curves.at')} {t.power(step.flops)} FLOP"
        return Cell(write(measured[0]), measured[0], details=[Detail(ends), Detail(at)])

    rows: list[Row] = []
    for rung in contents.ladder.rungs:
        if rung.name in found:
            steps = found[rung.name].steps
            chosen = [steps[i * (len(steps) - 1) // 3] for i in range(4)]
            rows.append(Row([rung_cell(rung), *map(reached, chosen)]))
    heads = [Column(key, say(f"acquisition.{key}")) for key in ("first", "early", "late", "last")]
    return page_table(name, caption, [rung_column(t), *heads], rows)


def _whole_table(
    contents: Contents, found: Mapping[str, AcquisitionResult], phenomena: Sequence[str]
) -> Table:
    """Every kept step of every rung."""
    t, say = contents.language, contents.language.say

    def share(one: Share | None) -> Cell:
        return Cell(NOTHING) if one is None else _shown(one.accuracy, one.ci95, t)

    def cells(rung: RungRow, step: AcquisitionStep) -> list[Cell]:
        return [
            rung_cell(rung),
            Cell(t.number(step.step), step.step),
            Cell(t.compact(step.tokens), step.tokens),
            Cell(t.power(step.flops), step.flops),
            *(share(step.agreement.get(one)) for one in phenomena),
            Cell(t.bits(step.bits_per_byte), details=[Detail(t.interval(step.ci95))]),
            _shown(step.lexicon_share, step.lexicon_ci95, t),
        ]

    heads = ("step", "tokens", "flops")
    columns = [
        rung_column(t),
        *(Column(key, say(f"acquisition.{key}")) for key in heads),
        *(Column(one, _name(one, t)) for one in phenomena),
        Column("bits_per_byte", say("acquisition.bits")),
        Column("lexicon_share", say("acquisition.words")),
    ]
    rows = [
        Row(cells(rung, step))
        for rung in contents.ladder.rungs
        if rung.name in found
        for step in found[rung.name].steps
    ]
    return page_table("acquisition", say("acquisition.all"), columns, rows)


def _shown(share: float, ci95: Interval | None, t: Language) -> Cell:
    return Cell(t.percent(share), share, details=[Detail(t.percents(ci95))])


def _data(contents: Contents, found: Mapping[str, AcquisitionResult]) -> Table:
    keys = ("step", "tokens", "flops", "measure", "of", "value", "low", "high")
    rows = [
        Row(
            [
                *(Cell("", value) for value in (rung.name, rung.key)),
                *(Cell("", point[key]) for key in keys),
            ],
            (Provenance.of(rung),),
        )
        for rung in contents.ladder.rungs
        if rung.name in found
        for point in curves(found[rung.name])
    ]
    return Table("acquisition", "", [Column(key) for key in ("name", "key", *keys)], rows)
