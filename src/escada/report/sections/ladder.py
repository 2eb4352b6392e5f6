"""The rungs side by side, with the baselines: the climb's main result."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.report.blocks import Figure, Section, Text
from escada.report.contents import Contents
from escada.report.figures.ladder import draw_ladder
from escada.report.i18n import NOTHING, Language
from escada.report.schema import RungRow
from escada.report.sections.shared import (
    rung_cell,
    rung_column,
    status,
    tokenizer,
    tokenizer_kind,
    values_alt,
)
from escada.report.sentences import off_plan
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
    csv_attributes,
    csv_only,
    figure,
    rung_rows,
)
from escada.runs.time_budget import ALLOWED

_NARROW = 360
"""Width in pixels of the figure for phones."""


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    ladder, controls = ladder_table(contents), controls_table(contents)
    below = [
        control_row(ladder.columns, _control_cells(baseline, contents.language))
        for baseline in contents.ladder.baselines
    ]
    return Section(
        "ladder",
        say("ladder.title"),
        say("nav.ladder"),
        [
            _figure(contents),
            replace(ladder, rows=[*ladder.rows, *below], paper=()),
            *(Text(note, "note") for note in off_plan_notes(contents)),
            Text(say("ladder.perplexity_note"), "note"),
            replace(ladder, page=()),
            controls,
        ],
    )


def ladder_table(contents: Contents) -> Table:
    """Results and resources of the rungs, side by side."""
    t, say, findings = contents.language, contents.language.say, contents.findings
    paid, sign = say("tables.currency"), t.currency_sign
    several = len(contents.ladder.rungs) > 1
    off = {rung.name: planned for rung, planned in findings.off_plan}

    def time(rung: RungRow) -> Cell:
        shown = Cell(t.duration(rung.training_seconds), rung.training_seconds)
        if rung.name not in off:
            return shown
        planned = say("ladder.planned", time=t.duration(off[rung.name]))
        return replace(shown, text=f"{shown.text} †", details=[Detail(planned)], tone="off")

    def cost(rung: RungRow, key: str) -> float | None:
        return getattr(contents.cost(rung), key, None)

    def is_best(rung: RungRow) -> bool:
        return findings.best is not None and findings.best.name == rung.name

    def name(rung: RungRow) -> Cell:
        details: list[Detail] = []
        if rung.about:
            details.append(Detail(t.pick(rung.about.title)))
        if rung.status != "finished":
            details.append(Detail(status(rung, t), "status"))
        tag = say("ladder.best") if is_best(rung) and several else ""
        return replace(rung_cell(rung), details=details, tag=tag)

    def bits(rung: RungRow) -> Cell:
        measured = rung.bits_per_byte is not None
        detail = t.interval(rung.ci95) if measured else say("ladder.unmeasured")
        return Cell(
            t.bits(rung.bits_per_byte),
            rung.bits_per_byte,
            style="strong" if is_best(rung) else "plain",
            details=[Detail(detail)],
        )

    filled: list[Filled[RungRow]] = [
        (rung_column(t), name),
        (
            Column("tokenizer", say("costs.tokenizer"), numeric=False),
            lambda r: Cell(tokenizer_kind(r, t), f"{r.tokenizer.kind} {r.tokenizer.vocab_size}"),
        ),
        figure("parameters", say("tables.parameters"), t.compact),
        (Column("bits_per_byte", say("tables.bits"), emphasis=True), bits),
        figure("ci95", say("tables.interval"), lambda ci95: t.interval(ci95) or NOTHING),
        figure("training_tokens", say("tables.tokens"), t.compact),
        (Column("training_seconds", say("ladder.time")), time),
        figure("training_flops", say("ladder.flops"), t.power),
        (
            Column(f"money_{paid}", say("tables.money", sign=sign)),
            lambda r: Cell(t.amount(cost(r, paid)), cost(r, paid)),
        ),
        *(
            csv_only(key, lambda r, key=key: cost(r, key))
            for key in ("usd", "brl", "kwh", "wall_hours")
        ),
        figure("peak_memory_bytes", say("ladder.memory"), t.memory),
        (
            Column("perplexity", say("ladder.perplexity")),
            lambda r: Cell(
                t.significant(r.perplexity), r.perplexity, details=[Detail(tokenizer(r, t))]
            ),
        ),
        *csv_attributes(
            "planned_seconds", "accuracy", "validation_bits_per_byte", "train_bits_per_byte"
        ),
        *csv_attributes("seed", "status", "protocol", "run", "key", "spec_hash"),
        figure("tokens_per_second", say("ladder.tokens_per_second"), t.compact),
    ]
    costs = [sheet for rung in contents.ladder.rungs if (sheet := contents.cost(rung))]
    bases = {sheet.money_basis for sheet in costs}
    notes = [say("tables.ladder_note"), *off_plan_notes(contents)]
    notes += [say(f"tables.money_{basis}") for basis in ("electricity", "rent") if basis in bases]
    return Table(
        "ladder",
        say("tables.ladder"),
        columns_of(filled),
        [
            Row(
                cells_of(filled, rung),
                (Provenance.of(rung),),
                tone="best" if is_best(rung) and several else "",
            )
            for rung in contents.ladder.rungs
        ],
        [*notes, contents.origin],
        page=(
            *("rung", "bits_per_byte", "parameters", "training_seconds", "training_flops"),
            *("peak_memory_bytes", "tokens_per_second", "perplexity"),
        ),
        paper=(
            *("rung", "tokenizer", "parameters", "bits_per_byte", "ci95", "training_tokens"),
            *("training_seconds", "training_flops", f"money_{paid}"),
        ),
        label=say("ladder.table_caption"),
        kind="main",
    )


def off_plan_notes(contents: Contents) -> list[str]:
    """What the dagger beside a time means, if there is one."""
    t = contents.language
    names = off_plan(contents.findings, t)
    return [t.say("ladder.off_plan", percent=round(100 * ALLOWED), names=names)] if names else []


def controls_table(contents: Contents) -> Table:
    """The baselines on the same documents; for paper."""
    say = contents.language.say
    columns = [
        Column("control", say("tables.control"), numeric=False),
        Column("bits_per_byte", say("tables.bits")),
        Column("ci95", say("tables.interval")),
        Column("protocol"),
    ]
    strongest_first = sorted(contents.ladder.baselines, key=lambda b: b.bits_per_byte)
    rows = [control_row(columns, _control_cells(b, contents.language)) for b in strongest_first]
    return Table(
        "controls",
        say("tables.controls"),
        columns,
        rows,
        [say("tables.controls_note"), contents.origin],
        paper=("control", "bits_per_byte", "ci95"),
    )


def _control_cells(baseline: BaselineRow, t: Language) -> dict[str, Cell]:
    long, interval = t.baseline(baseline.key, baseline.name), t.interval(baseline.ci95)
    full = Detail(f"{t.say('ladder.baseline')}: {long}", "full")
    return {
        "control": Cell(long, baseline.key),
        "rung": Cell(t.baseline_short(baseline.key, baseline.name), details=[full]),
        "bits_per_byte": Cell(
            t.bits(baseline.bits_per_byte), baseline.bits_per_byte, details=[Detail(interval)]
        ),
        "ci95": Cell(interval or NOTHING, baseline.ci95),
        "protocol": Cell("", baseline.protocol),
    }


def _figure(contents: Contents) -> Figure:
    t, say, ladder = contents.language, contents.language.say, contents.ladder
    shown = [
        f"{rung.name} {t.bits(rung.bits_per_byte)} {t.interval(rung.ci95)}".strip()
        if rung.bits_per_byte is not None
        else f"{rung.name} {say('ladder.unmeasured')}"
        for rung in ladder.rungs
    ]
    shown += [f"{t.baseline(b.key, b.name)} {t.bits(b.bits_per_byte)}" for b in ladder.baselines]
    filled = csv_attributes("name", "key", "bits_per_byte", "ci95")
    rows = rung_rows(filled, ladder.rungs)
    rows += [
        Row([Cell("", v) for v in (b.key, None, b.bits_per_byte, b.ci95)], control=True)
        for b in ladder.baselines
    ]
    return Figure(
        "ladder",
        say("ladder.caption"),
        values_alt("ladder.alt", shown, t),
        partial(draw_ladder, ladder, contents.findings, t),
        narrow=_NARROW,
        paper=say("thesis.ladder"),
        data=Table("ladder", "", columns_of(filled), rows),
        flatness=0.56,
    )
