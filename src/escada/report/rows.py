"""The tables of a climb, filled from its facts in one language.

Every figure is one of ladder.json (the hardware of a run is in its env.json, its costs in its
cost.json where the ladder is older than the column); nothing is computed here but the spread of
several seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from escada import __version__
from escada.report.beyond import seeds_of
from escada.report.costs import CostFacts
from escada.report.facts import LadderFacts, RunFacts, RungFacts
from escada.report.findings import Findings
from escada.report.language import Language
from escada.report.objectives import objectives
from escada.report.tables import Cell, Column, Row, Source, Table
from escada.report.tested import PairsFacts, ShareFacts
from escada.report.views import tokenizer


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the tables are made of."""

    ladder: LadderFacts
    runs: Mapping[str, RunFacts]
    findings: Findings
    language: Language

    def cost(self, rung: RungFacts) -> CostFacts | None:
        """A rung's cost sheet, wherever it is."""
        return self.runs[rung.name].cost

    @property
    def origin(self) -> str:
        """Where every table comes from: the note below it."""
        ladder, say = self.ladder, self.language.say
        return say(
            "tables.origin",
            version=__version__,
            created=(ladder.created or "–")[:10],
            preset=ladder.preset or "–",
            budget=ladder.budget or "–",
            corpus=(ladder.corpus.hash or "–")[:12],
        )


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
            Cell(tokenizer(rung, t), f"{rung.tokenizer.kind} {rung.tokenizer.vocab_size}"),
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
                Cell(t.bits(rung.bits_per_byte), rung.bits_per_byte),
            ],
            (Source.of(rung),),
        )
        for rung in rungs
        if rung.by_source
    ]
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        *(Column(source, source) for source in sources),
        Column("bits_per_byte", say("tables.all_sources")),
    ]
    return Table("sources", say("tables.sources"), columns, rows, [scene.origin])


def _share(share: ShareFacts | None, language: Language) -> Iterator[Cell]:
    accuracy = share.accuracy if share else None
    interval = share.ci95 if share else None
    yield Cell(language.percent(accuracy), accuracy)
    yield Cell(language.percents(interval) or "–", interval)


def tests_table(scene: Scene) -> Table:
    """What the ruler does not see: agreement, last words, words that exist, guardrails."""
    t, say, ladder = scene.language, scene.language.say, scene.ladder

    def cells(
        label: str,
        name: str,
        pairs: PairsFacts | None,
        cloze: ShareFacts | None,
        lexicon: float | None,
        verdict: str | None,
    ) -> list[Cell]:
        said = t.messages.get(f"guard.{verdict}", verdict) if verdict else None
        return [
            Cell(label, name),
            *_share(pairs, t),
            *_share(pairs.by_attractor.get("with") if pairs else None, t),
            *_share(cloze, t),
            Cell(t.percent(lexicon), lexicon),
            Cell(said or "–", verdict),
        ]

    rows = [
        Row(
            cells(
                *(rung.name, rung.name, rung.minimal_pairs, rung.cloze, rung.lexicon_share),
                rung.guardrails.verdict if rung.guardrails else None,
            ),
            (Source.of(rung),),
        )
        for rung in ladder.rungs
        if rung.minimal_pairs or rung.cloze or rung.lexicon_share is not None or rung.guardrails
    ]
    controls = [
        cells(t.baseline(b.key, b.name), b.key, b.minimal_pairs, None, None, None)
        for b in ladder.baselines
        if b.minimal_pairs
    ]
    controls += [
        cells(say(f"guard.{name}"), name, None, None, facts.lexicon_share, None)
        for name, facts in (("human", ladder.human), ("noise", ladder.noise))
        if facts is not None and facts.lexicon_share is not None
    ]
    if rows:
        rows += [Row(row, control=True) for row in controls]
    columns = [
        Column("rung", say("ladder.rung"), numeric=False, width=0.22),
        Column("pairs", say("tables.pairs")),
        Column("pairs_ci95", say("tables.interval")),
        Column("pairs_with_attractor", say("tables.attractor")),
        Column("pairs_with_attractor_ci95", "", data_only=True),
        Column("cloze", say("tables.cloze")),
        Column("cloze_ci95", "", data_only=True),
        Column("lexicon_share", say("tables.lexicon")),
        Column("guardrails", say("tables.guardrails_short"), numeric=False),
    ]
    notes = [say("tables.tests_note"), scene.origin]
    return Table("tests", say("tables.tests"), columns, rows, notes)


def guardrails_table(scene: Scene) -> Table:
    """Every guardrail of every rung; one that failed is set in bold."""
    t, say = scene.language, scene.language.say
    guarded = [(rung, rung.guardrails) for rung in scene.ladder.rungs if rung.guardrails]
    names = list(dict.fromkeys(name for _, found in guarded for name in found.guardrails))
    controls = guarded[0][1].controls if guarded else {}
    rows: list[Row] = []
    for name in names:
        cells = [Cell(t.messages.get(f"guardrail.{name}", name), name)]
        for _, found in guarded:
            one = found.guardrails.get(name)
            value = one.value if one else None
            failed = one is not None and one.verdict == "fail"
            cells.append(Cell(t.significant(value), value, "strong" if failed else "plain"))
        for control in ("human", "noise"):
            there = controls.get(control, {}).get(name)
            value = there.value if there else None
            cells.append(Cell(t.significant(value), value))
        rows.append(Row(cells, tuple(Source.of(rung) for rung, _ in guarded)))
    columns = [
        Column("guardrail", say("tables.guardrail"), numeric=False),
        *(Column(rung.name, rung.name) for rung, _ in guarded),
        Column("human", say("tables.human")),
        Column("noise", say("tables.noise")),
    ]
    notes = [say("tables.guardrails_note"), scene.origin]
    return Table("guardrails", say("tables.guardrails"), columns, rows, notes)


def costs_table(scene: Scene) -> Table:
    """The cost sheets side by side."""
    t, say = scene.language, scene.language.say
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        cost = scene.cost(rung)
        if cost is None:
            continue
        rows.append(
            Row(
                [
                    Cell(rung.name, rung.name),
                    Cell(t.duration(3600 * cost.wall_hours), cost.wall_hours),
                    Cell(t.percent(cost.utilisation), cost.utilisation),
                    Cell(t.memory(cost.memory_bytes), cost.memory_bytes),
                    Cell(t.energy(cost.kwh), cost.kwh),
                    Cell(t.mass(cost.co2_g), cost.co2_g),
                    Cell(t.money(cost.usd, "").strip(), cost.usd),
                    Cell(t.money(cost.brl, "").strip(), cost.brl),
                    Cell("", str(cost.energy_estimated)),
                    Cell("", cost.grid),
                ],
                (Source.of(rung),),
            )
        )
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("wall_hours", say("tables.wall_time")),
        Column("utilisation", say("tables.utilisation")),
        Column("memory_bytes", say("tables.memory")),
        Column("kwh", say("costs.energy")),
        Column("co2_g", "CO₂"),
        Column("usd", "US$"),
        Column("brl", "R$"),
        Column("energy_estimated", "", data_only=True),
        Column("grid", "", data_only=True),
    ]
    known = [cost for rung in scene.ladder.rungs if (cost := scene.cost(rung))]
    notes = [say("tables.costs_note")]
    if any(cost.energy_estimated for cost in known):
        notes.append(say("tables.energy_estimated"))
    notes += [
        say("tables.grid", grid=grid, factor=t.significant(factor))
        for grid, factor in dict.fromkeys((c.grid, c.grid_g_per_kwh) for c in known if c.grid)
    ]
    return Table("costs", say("tables.costs"), columns, rows, [*notes, scene.origin])


def runs_table(scene: Scene) -> Table:
    """What identifies each run, and the machine that it ran on."""
    t, say = scene.language, scene.language.say
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        environment = scene.runs[rung.name].environment
        machine = ", ".join(environment.get("gpus") or [environment.get("cpu") or "–"])
        packages = environment.get("packages") or {}
        commit = (environment.get("git") or {}).get("commit")
        rows.append(
            Row(
                [
                    Cell(rung.name, rung.name),
                    Cell(t.number(rung.seed), rung.seed),
                    Cell((rung.key or "–")[:12], rung.key, "code"),
                    Cell((rung.spec_hash or "–")[:12], rung.spec_hash, "code"),
                    Cell((rung.corpus_hash or "–")[:12], rung.corpus_hash, "code"),
                    Cell(f"{machine}, {rung.precision or '–'}", f"{machine}, {rung.precision}"),
                    Cell("", rung.run),
                    Cell("", packages.get("torch")),
                    Cell("", commit),
                ],
                (Source.of(rung),),
            )
        )
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("seed", say("tables.seed")),
        Column("key", say("environment.key"), numeric=False),
        Column("spec_hash", "Spec", numeric=False),
        Column("corpus_hash", "Corpus", numeric=False),
        Column("machine", say("tables.machine"), numeric=False, width=0.2),
        Column("run", "", data_only=True),
        Column("torch", "", data_only=True),
        Column("git_commit", "", data_only=True),
    ]
    notes = [say("tables.runs_note"), scene.origin]
    return Table("runs", say("tables.runs"), columns, rows, notes)


def objectives_table(scene: Scene) -> Table:
    """What each rung set out to do, and whether it did."""
    say, code = scene.language.say, scene.language.code
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        found = objectives(rung, scene.ladder, scene.findings)
        about = rung.about
        if about is None:
            continue
        measured = " ".join(goal.sentence(scene.language) for goal in found.goals)
        rows.append(
            Row(
                [
                    Cell(rung.name, rung.name),
                    Cell(getattr(about.objective, code), getattr(about.objective, code)),
                    Cell(getattr(about.expected, code), getattr(about.expected, code)),
                    Cell(measured or "–", measured),
                    Cell(say(f"objectives.{found.outcome}"), found.outcome),
                ],
                (Source.of(rung),),
            )
        )
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("objective", say("steps.objective"), numeric=False, width=0.26),
        Column("expected", say("steps.expected"), numeric=False, width=0.19),
        Column("measured", say("objectives.measured"), numeric=False, width=0.29),
        Column("outcome", say("guard.verdict"), numeric=False, width=0.1),
    ]
    notes = [say("objectives.note"), scene.origin]
    return Table("objectives", say("objectives.caption"), columns, rows, notes)
