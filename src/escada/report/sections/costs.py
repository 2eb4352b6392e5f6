"""Training resources, cost sheets, the cost frontier, and training against validation figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from escada.report.blocks import Block, Figure, Group, Heading, Section, Text
from escada.report.contents import Contents
from escada.report.figures.frontier import PRICES, Price, draw_frontier, points, price_text
from escada.report.schema import CostFigures, RungRow
from escada.report.sections.shared import (
    cost_notes,
    rung_cell,
    rung_column,
    rung_names,
    tokenizer_column,
    values_alt,
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
    csv_attributes,
    csv_only,
    figure,
    page_table,
    rung_rows,
    text,
)
from escada.runs.record import PredictedCost


def section(contents: Contents) -> Section:
    """Build the section."""
    say = contents.language.say
    jobs = contents.ladder.jobs
    blocks = [
        Text(say("costs.intro")),
        _training(contents),
        *([Text(say("costs.side_by_side", jobs=jobs), "note")] if jobs > 1 else []),
        *_sheet(contents),
        Heading(say("frontier.title")),
        Text(say("frontier.intro")),
        *_frontier(contents),
        Heading(say("costs.fit")),
        Text(say("costs.fit_intro")),
        _fit(contents),
    ]
    return Section("costs", say("costs.title"), say("nav.costs"), blocks)


def _training(contents: Contents) -> Table:
    """Time, FLOPs, memory and amount of text of each training, with bars."""
    t, say, rungs = contents.language, contents.language.say, contents.ladder.rungs

    def bar(key: str, heading: str, write: Callable[[float | None], str]) -> Filled[RungRow]:
        """A column with bars, relative to its largest value."""

        def value(rung: RungRow) -> float | None:
            return getattr(rung, key)

        largest = max((value(rung) or 0.0 for rung in rungs), default=0.0)

        def fill(rung: RungRow) -> Cell:
            found = value(rung)
            share = found / largest if found and largest else None
            return Cell(write(found), found, share=share)

        return Column(key, heading), fill

    filled: list[Filled[RungRow]] = [
        rung_names(t),
        bar("training_seconds", say("ladder.time"), t.duration),
        bar("training_flops", say("ladder.flops"), t.power),
        bar("peak_memory_bytes", say("ladder.memory"), t.memory),
        bar("training_tokens", say("costs.tokens"), t.compact),
        bar("training_bytes", say("costs.bytes"), t.memory),
        bar("evaluation_tokens_per_second", say("costs.evaluation_speed"), t.compact),
        text("precision", say("costs.precision")),
        text("device", say("costs.device")),
    ]
    return _page_table("training", say("costs.title"), filled, contents)


def _page_table(key: str, label: str, filled: list[Filled[RungRow]], contents: Contents) -> Table:
    return page_table(key, label, columns_of(filled), rung_rows(filled, contents.ladder.rungs))


def _sheet(contents: Contents) -> Iterator[Block]:
    say = contents.language.say
    table = costs_table(contents)
    if table.rows:
        yield Heading(say("costs.sheet"))
        yield Text(say("costs.sheet_intro"))
        yield table
        yield Text(" ".join(cost_notes(contents)), "note")


def costs_table(contents: Contents) -> Table:
    """The cost sheets side by side, each figure with the planner's prediction."""
    t, say = contents.language, contents.language.say

    def planned(text: str, value: float | None) -> list[Detail]:
        return [] if value is None else [Detail(say("costs.predicted", value=text))]

    def hours(cost: CostFigures) -> Cell:
        plan = _plan(cost).hours
        details = planned(t.duration(3600 * (plan or 0)), plan)
        return Cell(t.duration(3600 * cost.hours), cost.hours, details=details)

    def memory(value: float | None, cost: CostFigures, *, is_planned: bool) -> Cell:
        plan = _plan(cost).memory_bytes
        details = planned(t.memory(plan), plan) if is_planned else []
        return Cell(t.memory(value), value, details=details)

    def energy(cost: CostFigures) -> Cell:
        plan = _plan(cost).kwh
        return Cell(t.energy(cost.kwh), cost.kwh, details=planned(t.energy(plan), plan))

    def money(cost: CostFigures) -> Cell:
        plan = _plan(cost).brl
        usd = Detail(t.money(cost.usd, "US$"))
        return Cell(t.money(cost.brl, "R$"), details=[usd, *planned(t.money(plan, "R$"), plan)])

    filled: list[Filled[CostFigures]] = [
        (Column("hours", say("costs.training_time")), hours),
        (
            Column("wall_hours", say("tables.wall_time")),
            lambda c: Cell(t.duration(3600 * c.wall_hours), c.wall_hours),
        ),
        figure("unique_tokens", say("costs.unique"), t.compact, of="tokens.unique"),
        figure("seen_tokens", say("costs.seen"), t.compact, of="tokens.seen"),
        figure("utilisation", say("tables.utilisation"), t.percent),
        (
            Column("host_memory_bytes", say("costs.memory_host")),
            lambda c: memory(c.host_memory_bytes, c, is_planned=c.device_memory_bytes is None),
        ),
        (
            Column("device_memory_bytes", say("costs.memory_device")),
            lambda c: memory(
                c.device_memory_bytes, c, is_planned=c.device_memory_bytes is not None
            ),
        ),
        figure("memory_bytes", say("tables.memory"), t.memory),
        (Column("kwh", say("costs.energy")), energy),
        (Column("money", say("costs.money"), csv=False), money),
        figure("co2_g", "CO₂", t.mass),
        figure("usd", "US$", t.amount),
        figure("brl", "R$", t.amount),
        csv_only("energy_estimated", lambda c: str(c.energy_estimated)),
        *csv_attributes("grid"),
    ]
    rows = [
        Row([rung_cell(rung), *cells_of(filled, cost)], (Provenance.of(rung),))
        for rung in contents.ladder.rungs
        if (cost := contents.cost(rung))
    ]
    return Table(
        "costs",
        say("tables.costs"),
        [rung_column(t), *columns_of(filled)],
        rows,
        [say("tables.costs_note"), *cost_notes(contents), contents.origin],
        page=(
            *("rung", "hours", "wall_hours", "unique_tokens", "seen_tokens", "utilisation"),
            *("host_memory_bytes", "device_memory_bytes", "kwh", "money", "co2_g"),
        ),
        paper=("rung", "wall_hours", "utilisation", "memory_bytes", "kwh", "co2_g", "usd", "brl"),
        label=say("costs.sheet"),
    )


def _plan(cost: CostFigures) -> PredictedCost:
    return cost.predicted or PredictedCost()


def _frontier(contents: Contents) -> Iterator[Block]:
    found = [_priced(contents, over) for over in PRICES]
    drawn = [figure for figure in found if figure is not None]
    yield Group(drawn)
    if not any(figure.name == "frontier-money" for figure in drawn):
        yield Text(contents.language.say("frontier.without_money"), "note")


def _priced(contents: Contents, over: Price) -> Figure | None:
    """The figure of bits per byte against one cost; None if no rung has both."""
    t, say, ladder, runs = contents.language, contents.language.say, contents.ladder, contents.runs
    found = points(ladder, runs, t, over)
    if not found:
        return None
    told = [
        say(
            "frontier.point",
            name=point.name,
            bits=t.bits(point.bits),
            price=price_text(point.price, over, t),
        )
        for point in found
    ]
    rungs = {rung.name: rung for rung in ladder.rungs}
    price = "training_flops" if over == "flops" else say("tables.currency")
    rows: list[Row] = []
    for point in found:
        rung = rungs[point.name]
        values = (point.name, rung.key, point.price, point.bits, point.interval)
        rows.append(Row([Cell("", value) for value in values], (Provenance.of(rung),)))
    keys = ("name", "key", price, "bits_per_byte", "ci95")
    return Figure(
        f"frontier-{over}",
        say(f"frontier.caption_{over}"),
        values_alt(f"frontier.alt_{over}", told, t),
        partial(draw_frontier, ladder, runs, t, over=over),
        paper=say(f"thesis.frontier_{over}"),
        data=Table(f"frontier-{over}", "", [Column(key) for key in keys], rows),
    )


def _fit(contents: Contents) -> Table:
    t, say = contents.language, contents.language.say

    def gap(rung: RungRow) -> Cell:
        validation, train = rung.validation_bits_per_byte, rung.train_bits_per_byte
        value = None if validation is None or train is None else validation - train
        return Cell(t.bits(value), value)

    def unknown(split: str) -> Filled[RungRow]:
        return (
            Column(f"unknown_{split}", say(f"costs.unknown_{split}")),
            lambda r: Cell(
                t.number(r.unknown_characters.get(split)), r.unknown_characters.get(split)
            ),
        )

    filled: list[Filled[RungRow]] = [
        rung_names(t),
        figure("train_bits_per_byte", say("costs.train"), t.bits),
        figure("validation_bits_per_byte", say("costs.validation"), t.bits),
        figure("bits_per_byte", say("costs.test"), t.bits),
        (Column("gap", say("costs.gap")), gap),
        figure("accuracy", say("costs.accuracy"), t.percent),
        tokenizer_column("tokenizer", t),
        unknown("train"),
        unknown("test"),
    ]
    return _page_table("fit", say("costs.fit"), filled, contents)
