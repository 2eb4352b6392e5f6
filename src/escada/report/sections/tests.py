"""Results beyond bits per byte: minimal pairs, last words, guardrails of the samples, a judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from escada.evaluation.tasks.cloze import ClozeResult
from escada.evaluation.tasks.minimal_pairs import PairsResult, Share
from escada.guardrails.results import GuardrailFound
from escada.judge.verdict import Rated
from escada.report.blocks import Block, Heading, Section, Text
from escada.report.contents import Contents
from escada.report.i18n import NOTHING, Language
from escada.report.sections.shared import (
    lexicon_controls,
    rung_cell,
    rung_column,
    share_cell,
    share_interval,
)
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
    control_row,
    figure,
    page_table,
)


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    blocks = [
        Heading(say("tests.pairs")),
        *_pairs(contents),
        Heading(say("guard.title")),
        *_guardrails(contents),
        Heading(say("judge.title")),
        *_judge(contents),
    ]
    return Section("tests", say("tests.title"), say("nav.tests"), blocks)


def _pairs(contents: Contents) -> Iterator[Block]:
    say = contents.language.say
    table = summary_of_tests(contents)
    tested = {rung.name for rung in contents.ladder.rungs if rung.minimal_pairs or rung.cloze}
    tested |= {baseline.key for baseline in contents.ladder.tested_baselines}
    rows = [row for row in table.rows if row.cells[0].value in tested]
    if rows:
        yield Text(say("tests.pairs_intro"))
        yield from _against_the_n_grams(contents)
        yield replace(table, rows=rows, paper=())
    else:
        yield Text(say("tests.no_pairs"))
    yield replace(table, page=())


class _Tested(NamedTuple):
    """A row of the tests: a rung, a baseline, or the words of human text or noise."""

    label: Cell
    pairs: PairsResult | None = None
    cloze: ClozeResult | None = None
    lexicon_share: float | None = None
    guardrails: str | None = None

    @property
    def with_attractor(self) -> Share | None:
        return self.pairs.by_attractor.get("with") if self.pairs else None

    def phenomenon(self, name: str) -> Share | None:
        return self.pairs.by_phenomenon.get(name) if self.pairs else None


def summary_of_tests(contents: Contents) -> Table:
    """Minimal pairs by phenomenon, last words, existing words, and guardrail verdicts."""
    t, say, ladder = contents.language, contents.language.say, contents.ladder
    tested = [rung.minimal_pairs for rung in ladder.rungs if rung.minimal_pairs]
    phenomena = tested[0].by_phenomenon if tested else {}
    filled: list[Filled[_Tested]] = [
        (rung_column(t, width=0.22), lambda r: r.label),
        (Column("pairs", say("tables.pairs"), emphasis=True), lambda r: share_cell(r.pairs, t)),
        (Column("pairs_ci95", say("tables.interval")), lambda r: share_interval(r.pairs, t)),
        *(
            (
                Column(
                    name,
                    t.messages.get(f"phenomenon.{name}", name),
                    detail=t.number(share.pairs),
                ),
                lambda r, name=name: share_cell(r.phenomenon(name), t),
            )
            for name, share in phenomena.items()
        ),
        (
            Column("pairs_with_attractor", say("tables.attractor")),
            lambda r: share_cell(r.with_attractor, t),
        ),
        (Column("pairs_with_attractor_ci95"), lambda r: share_interval(r.with_attractor, t)),
        (Column("cloze", say("tables.cloze")), lambda r: share_cell(r.cloze, t)),
        (Column("cloze_ci95"), lambda r: share_interval(r.cloze, t)),
        figure("lexicon_share", say("tables.lexicon"), t.percent),
        figure(
            "guardrails",
            say("tables.guardrails_short"),
            lambda verdict: _said(verdict, t) if verdict else NOTHING,
            numeric=False,
        ),
    ]
    rows: list[Row] = []
    for rung in ladder.rungs:
        verdict = rung.guardrails.verdict if rung.guardrails else None
        results = (rung.minimal_pairs, rung.cloze, rung.lexicon_share, verdict)
        if any(one is not None for one in results):
            cells = cells_of(filled, _Tested(rung_cell(rung), *results))
            rows.append(Row(cells, (Provenance.of(rung),)))
    if rows:
        controls = [
            _Tested(Cell(t.tested_baseline(one), one.key), one.minimal_pairs, one.cloze)
            for one in ladder.tested_baselines
        ]
        controls += [
            _Tested(Cell(say(f"guard.{name}"), name), lexicon_share=share)
            for name, share in lexicon_controls(contents).items()
        ]
        rows += [Row(cells_of(filled, one), control=True) for one in controls]
    return Table(
        "tests",
        say("tables.tests"),
        columns_of(filled),
        rows,
        [say("tables.tests_note"), contents.origin],
        page=("rung", "pairs", *phenomena, "pairs_with_attractor", "cloze"),
        paper=(
            *("rung", "pairs", "pairs_ci95", "pairs_with_attractor", "cloze"),
            *("lexicon_share", "guardrails"),
        ),
        label=say("tests.pairs_caption"),
    )


def _against_the_n_grams(contents: Contents) -> Iterator[Text]:
    t, ladder = contents.language, contents.ladder
    tested = [(rung, pairs) for rung in ladder.rungs if (pairs := rung.minimal_pairs)]
    controls = {b.key: pairs for b in ladder.baselines if (pairs := b.minimal_pairs)}
    if not tested or not controls:
        return
    (rung, own), key = tested[-1], max(controls, key=lambda key: controls[key].accuracy)
    row = ladder.against_baseline(rung.name, key)
    if row is None or row.minimal_pairs is None:
        return
    a, b = (
        f"{t.percent(one.accuracy)} {t.percents(one.ci95)}".strip() for one in (own, controls[key])
    )
    tone, message = {
        "worse": ("bad", "tests.below"),
        "better": ("good", "tests.above"),
    }.get(row.minimal_pairs.verdict, ("open", "tests.not_above"))
    yield Text(t.say(message, name=rung.name, a=a, b=b), f"finding {tone}")


def _guardrails(contents: Contents) -> Iterator[Block]:
    t, say = contents.language, contents.language.say
    guarded = [(rung, found) for rung in contents.ladder.rungs if (found := rung.guardrails)]
    if not guarded:
        yield Text(say("guard.none"))
        return
    names = list(dict.fromkeys(name for _, found in guarded for name in found.guardrails))
    columns = [
        rung_column(t),
        Column("verdict", say("guard.verdict"), numeric=False, emphasis=True),
        *(Column(name, t.messages.get(f"guardrail.{name}", name)) for name in names),
    ]
    rows: list[Row] = []
    for rung, found in guarded:
        causes = [Detail(t.messages.get(f"cause.{c.cause}", c.text)) for c in found.causes]
        verdict = Cell(_said(found.verdict, t), found.verdict, details=causes, tone=found.verdict)
        cells = [_guardrail(found.guardrails.get(name), t) for name in names]
        rows.append(Row([rung_cell(rung), verdict, *cells], (Provenance.of(rung),)))
    rows += _guardrail_controls(contents, columns)
    table = Table(
        "guardrails",
        say("tables.guardrails"),
        columns,
        rows,
        [say("tables.guardrails_note"), contents.origin],
        page=[column.key for column in columns],
        label=say("guard.title"),
        kind="guards",
    )
    yield Text(say("guard.intro"))
    yield table
    yield Text(say("guard.note"), "note")
    yield table.transposed("guardrail", say("tables.guardrail"), names)


def _guardrail(found: GuardrailFound | None, t: Language) -> Cell:
    if found is None:
        return Cell(NOTHING)
    details = [Detail(_said(found.verdict, t))]
    if found.value is not None and found.limit is not None:
        sign = "≤" if found.direction == "at most" else "≥"
        details.append(Detail(f"{sign} {t.significant(found.limit)}", "limits"))
    tone = found.verdict.split()[0]
    return Cell(t.significant(found.value), found.value, details=details, tone=tone)


def _guardrail_controls(contents: Contents, columns: Sequence[Column]) -> Iterator[Row]:
    """Guardrail values of human text and noise, from the first rung that has guardrails."""
    t = contents.language
    controls = next(found.controls for r in contents.ladder.rungs if (found := r.guardrails))
    for name in ("human", "noise"):
        if name in controls:
            values = {guard: found.value for guard, found in controls[name].items()}
            cells = {guard: Cell(t.significant(value), value) for guard, value in values.items()}
            label = Cell(t.say(f"tables.{name}"), name)
            yield control_row(columns, {"rung": label, **cells})


def _said(verdict: str, t: Language) -> str:
    return t.messages.get(f"guard.{verdict.replace(' ', '_')}", verdict)


def _judge(contents: Contents) -> Iterator[Block]:
    t, say, judge = contents.language, contents.language.say, contents.judge
    if judge is None:
        yield Text(say("judge.none"))
        return
    trust = say(
        "judge.reliable" if judge.reliable else "judge.unreliable", model=judge.model or judge.kind
    )
    reasons = [
        f" {t.messages.get(f'judge_reason.{reason.code}', reason.text)}."
        for reason in judge.reasons
    ]
    yield Text(trust + "".join(reasons), "finding good" if judge.reliable else "warning")
    columns = [
        rung_column(t),
        Column("rating", say("judge.rating"), emphasis=True),
        Column("mark", say("judge.mark")),
    ]

    def cells(row: Rated, name: str) -> dict[str, Cell]:
        rating = Cell(
            t.number(row.rating, 0), row.rating, details=[Detail(t.interval(row.ci95, 0))]
        )
        mark = Cell(NOTHING)
        if row.rubric:
            overall = row.rubric.overall
            interval = [Detail(t.interval(overall.ci95, 1))]
            mark = Cell(t.number(overall.mean, 1), overall.mean, details=interval)
        return {"rung": Cell(name, row.name), "rating": rating, "mark": mark}

    rows = [Row(list(cells(row, row.name).values())) for row in judge.ratings]
    rows += [
        control_row(columns, cells(row, t.messages.get(f"judge.{row.name}", row.name)))
        for row in judge.controls.values()
    ]
    yield page_table("judge", say("judge.title"), columns, rows)
