"""The tables of a climb, filled from its facts in one language.

Every figure is one of ladder.json (the hardware of a run is in its env.json, its costs in its
cost.json where the ladder is older than the column); nothing is computed here but the spread of
several seeds.
"""

from __future__ import annotations

from escada.report.beyond import seeds_of
from escada.report.rows_beyond import (
    costs_table,
    guardrails_table,
    objectives_table,
    runs_table,
    tests_table,
)
from escada.report.scene import Scene
from escada.report.tables import Cell, Column, Row, Source, Table
from escada.report.writers.html_views import sources_notes, tokenizer_kind


def all_tables(scene: Scene) -> list[Table]:
    """Every table that this climb has figures for, in the order of a chapter."""
    built = (
        objectives_table(scene),
        ladder_table(scene),
        controls_table(scene),
        comparisons_table(scene),
        seeds_table(scene),
        sources_table(scene),
        tests_table(scene),
        guardrails_table(scene),
        costs_table(scene),
        runs_table(scene),
    )
    return [table for table in built if table.rows]


def ladder_table(scene: Scene) -> Table:
    """The rungs side by side: what they reach, and with what."""
    t, say = scene.language, scene.language.say
    currency = say("tables.currency")
    sign = {"brl": "R$", "usd": "US$"}[currency]
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        cost = scene.cost(rung)
        usd, brl = (cost.usd, cost.brl) if cost else (None, None)
        money = brl if currency == "brl" else usd
        best = scene.findings.best is not None and scene.findings.best.name == rung.name
        shown = [
            Cell(rung.name, rung.name),
            Cell(tokenizer_kind(rung, t), f"{rung.tokenizer.kind} {rung.tokenizer.vocab_size}"),
            Cell(t.compact(rung.parameters), rung.parameters),
            Cell(
                t.bits(rung.bits_per_byte), rung.bits_per_byte, style="strong" if best else "plain"
            ),
            Cell(t.interval(rung.ci95) or "–", rung.ci95),
            Cell(t.compact(rung.training_tokens), rung.training_tokens),
            Cell(t.duration(rung.training_seconds), rung.training_seconds),
            Cell(t.power(rung.training_flops), rung.training_flops),
            Cell(t.money(money, "").strip(), money),
        ]
        data = [
            *(usd, brl, cost.kwh if cost else None, cost.wall_hours if cost else None),
            *(rung.peak_memory_bytes, rung.perplexity, rung.accuracy),
            *(rung.validation_bits_per_byte, rung.train_bits_per_byte),
            *(rung.seed, rung.status, rung.protocol, rung.run, rung.key, rung.spec_hash),
        ]
        rows.append(Row([*shown, *(Cell("", value) for value in data)], (Source.of(rung),)))
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("tokenizer", say("costs.tokenizer"), numeric=False),
        Column("parameters", say("tables.parameters")),
        Column("bits_per_byte", say("tables.bits")),
        Column("ci95", say("tables.interval")),
        Column("training_tokens", say("tables.tokens")),
        Column("training_seconds", say("ladder.time")),
        Column("training_flops", say("ladder.flops")),
        Column(f"money_{currency}", say("tables.money", sign=sign)),
    ]
    more = (
        *("usd", "brl", "kwh", "wall_hours", "peak_memory_bytes", "perplexity", "accuracy"),
        *("validation_bits_per_byte", "train_bits_per_byte", "seed", "status", "protocol"),
        *("run", "key", "spec_hash"),
    )
    columns += [Column(key, "", data_only=True) for key in more]
    bases = [c.money_basis for r in scene.ladder.rungs if (c := scene.cost(r)) and c.money_basis]
    notes = [say("tables.ladder_note")]
    notes += [say(f"tables.money_{basis}") for basis in ("electricity", "rent") if basis in bases]
    return Table("ladder", say("tables.ladder"), columns, rows, [*notes, scene.origin])


def controls_table(scene: Scene) -> Table:
    """What asks for no neural network, on the same documents."""
    t, say = scene.language, scene.language.say
    rows = [
        Row(
            [
                Cell(t.baseline(baseline.key, baseline.name), baseline.key),
                Cell(t.bits(baseline.bits_per_byte), baseline.bits_per_byte),
                Cell(t.interval(baseline.ci95) or "–", baseline.ci95),
                Cell("", baseline.protocol),
            ],
            control=True,
        )
        for baseline in sorted(scene.ladder.baselines, key=lambda b: b.bits_per_byte)
    ]
    columns = [
        Column("control", say("tables.control"), numeric=False),
        Column("bits_per_byte", say("tables.bits")),
        Column("ci95", say("tables.interval")),
        Column("protocol", "", data_only=True),
    ]
    notes = [say("tables.controls_note"), scene.origin]
    return Table("controls", say("tables.controls"), columns, rows, notes)


def comparisons_table(scene: Scene) -> Table:
    """Each rung against the one before it, and against the others that it is set beside."""
    t, say, ladder = scene.language, scene.language.say, scene.ladder
    rungs = {rung.name: rung for rung in ladder.rungs}
    found = [
        (c.a, c.b, c.difference, c.ci95, c.p_value, c.verdict, c.scope, c.relative)
        for c in ladder.comparisons
    ] or [
        (r.name, s.against, s.difference, s.ci95, s.p_value, s.verdict, s.scope, None)
        for r in ladder.rungs
        if (s := r.beats_previous)
    ]
    rows = [
        Row(
            [
                Cell(a, a),
                Cell(b, b),
                Cell(t.signed(difference), difference),
                Cell(t.interval(interval) or "–", interval),
                Cell(t.p_value(p_value), p_value),
                Cell(say(f"tables.verdict_{verdict}"), verdict),
                Cell("", scope),
                Cell("", relative),
            ],
            tuple(Source.of(rungs[name]) for name in (a, b) if name in rungs),
        )
        for a, b, difference, interval, p_value, verdict, scope, relative in found
    ]
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("against", say("tables.against"), numeric=False),
        Column("difference", say("tables.difference")),
        Column("ci95", say("tables.interval")),
        Column("p_value", "p"),
        Column("verdict", say("guard.verdict"), numeric=False),
        Column("scope", "", data_only=True),
        Column("relative", "", data_only=True),
    ]
    scopes = dict.fromkeys(row.cells[6].value for row in rows)
    notes = [say("tables.comparisons_note"), *(say(f"tables.scope_{scope}") for scope in scopes)]
    return Table("comparisons", say("tables.comparisons"), columns, rows, [*notes, scene.origin])


def seeds_table(scene: Scene) -> Table:
    """All runs of the rungs that were trained with several seeds."""
    t, say = scene.language, scene.language.say
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        if not rung.other_seeds:
            continue
        found = seeds_of(rung)
        each = "; ".join(f"{one.seed}: {t.bits(one.bits_per_byte)}" for one in found.each)
        rows.append(
            Row(
                [
                    Cell(rung.name, rung.name),
                    Cell(t.bits(found.mean), found.mean),
                    Cell(t.bits(found.deviation), found.deviation),
                    Cell(each, "; ".join(f"{o.seed}: {o.bits_per_byte}" for o in found.each)),
                ],
                (Source.of(rung),),
            )
        )
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("mean", say("compare.mean")),
        Column("standard_deviation", say("compare.spread")),
        Column("each", say("compare.each"), numeric=False),
    ]
    return Table("seeds", say("tables.seeds"), columns, rows, [scene.origin])


def sources_table(scene: Scene) -> Table:
    """Bits per byte of each source of the corpus."""
    t, say, rungs = scene.language, scene.language.say, scene.ladder.rungs
    sources = sorted({source for rung in rungs for source in rung.by_source})
    rows = [
        Row(
            [
                Cell(rung.name, rung.name),
                *(Cell(t.bits(v := rung.by_source.get(s)), v) for s in sources),
                Cell(t.bits(rung.macro_bits_per_byte), rung.macro_bits_per_byte),
                Cell(t.bits(rung.bits_per_byte), rung.bits_per_byte),
                *(Cell("", v) for v in (rung.macro_ci95, rung.groups, rung.effective_groups)),
            ],
            (Source.of(rung),),
        )
        for rung in rungs
        if rung.by_source
    ]
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        *(Column(source, source) for source in sources),
        Column("macro_bits_per_byte", say("sources.macro")),
        Column("bits_per_byte", say("tables.all_sources")),
        *(Column(key, "", data_only=True) for key in ("macro_ci95", "groups", "effective_groups")),
    ]
    notes = [*sources_notes(scene.ladder, t), scene.origin]
    return Table("sources", say("tables.sources"), columns, rows, notes)
