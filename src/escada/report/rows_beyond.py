"""The tables beside the ladder: objectives, what the ruler does not see, costs, hashes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from escada.report.i18n import Language
from escada.report.objectives import objectives
from escada.report.scene import Scene
from escada.report.tables import Cell, Column, Row, Source, Table
from escada.report.tested import PairsFacts, ShareFacts
from escada.report.writers.html_views import cost_notes, tokenizer


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
        cells(t.tested_baseline(row), row.key, row.minimal_pairs, row.cloze, None, None)
        for row in ladder.tested_baselines
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
    notes = [say("tables.costs_note"), *cost_notes(scene.ladder, scene.runs, t), scene.origin]
    return Table("costs", say("tables.costs"), columns, rows, notes)


def runs_table(scene: Scene) -> Table:
    """What identifies each run, and the machine that it ran on."""
    t, say = scene.language, scene.language.say
    rows: list[Row] = []
    for rung in scene.ladder.rungs:
        environment: dict[str, Any] = scene.runs[rung.name].environment
        machine = ", ".join(environment.get("gpus") or [environment.get("cpu") or "–"])
        packages: dict[str, str] = environment.get("packages") or {}
        git: dict[str, Any] = environment.get("git") or {}
        rows.append(
            Row(
                [
                    Cell(rung.name, rung.name),
                    Cell(tokenizer(rung, t), rung.tokenizer.vocab_size),
                    Cell(t.number(rung.seed), rung.seed),
                    Cell((rung.key or "–")[:12], rung.key, "code"),
                    Cell((rung.spec_hash or "–")[:12], rung.spec_hash, "code"),
                    Cell("", rung.corpus_hash),
                    Cell(f"{machine}, {rung.precision or '–'}", f"{machine}, {rung.precision}"),
                    Cell("", rung.run),
                    Cell("", packages.get("torch")),
                    Cell("", git.get("commit")),
                ],
                (Source.of(rung),),
            )
        )
    columns = [
        Column("rung", say("ladder.rung"), numeric=False),
        Column("vocab_size", say("costs.tokenizer"), numeric=False),
        Column("seed", say("tables.seed")),
        Column("key", say("environment.key"), numeric=False),
        Column("spec_hash", "Spec", numeric=False),
        Column("corpus_hash", "", data_only=True),
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
        Column("objective", say("steps.objective"), numeric=False, width=0.24),
        Column("expected", say("steps.expected"), numeric=False, width=0.18),
        Column("measured", say("objectives.measured"), numeric=False, width=0.28),
        Column("outcome", say("guard.verdict"), numeric=False, width=0.1),
    ]
    notes = [say("objectives.note"), scene.origin]
    return Table("objectives", say("objectives.caption"), columns, rows, notes)
