"""The cost frontier: bits per byte against training cost, in FLOPs or in money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from escada.report.data import RunFiles
from escada.report.figures.axes import (
    MARKERS,
    bits_axis,
    empty,
    formatter,
    log_axis,
    new,
    power_tick,
    shortened,
)
from escada.report.figures.labels import Label, around, place
from escada.report.figures.palette import light, rung_roles
from escada.report.figures.svg import drawing_style
from escada.report.i18n import Language
from escada.report.schema import Ladder
from escada.typed_json import Interval

Price = Literal["flops", "money"]
PRICES: tuple[Price, ...] = ("flops", "money")
_WIDE = 5.0
"""Costs that span more than this factor get a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Point:
    """A measured rung at its cost."""

    name: str
    price: float
    bits: float
    interval: Interval | None


def points(
    ladder: Ladder, runs: Mapping[str, RunFiles], language: Language, over: Price
) -> list[Point]:
    """The rungs that have both a figure and a cost, in the order of the ladder."""
    found: list[Point] = []
    for rung in ladder.rungs:
        price = rung.training_flops
        if over == "money":
            cost = runs[rung.name].cost
            price = getattr(cost, language.say("tables.currency")) if cost else None
        if rung.bits_per_byte is not None and price:
            found.append(Point(rung.name, price, rung.bits_per_byte, rung.ci95))
    return found


def frontier(found: Sequence[Point]) -> list[Point]:
    """The Pareto front: points that no other beats at the same cost or less, cheapest first."""
    best: list[Point] = []
    for point in sorted(found, key=lambda point: (point.price, point.bits)):
        if not best or point.bits < best[-1].bits:
            best.append(point)
    return best


def price_text(price: float, over: Price, language: Language) -> str:
    """A cost with its unit."""
    if over == "flops":
        return f"{language.power(price)} FLOP"
    return language.money(price, language.currency_sign)


def draw_frontier(
    ladder: Ladder,
    runs: Mapping[str, RunFiles],
    language: Language,
    *,
    over: Price,
    width: int = 400,
    height: int = 300,
) -> Figure:
    """Bits per byte against FLOPs or money: a point per rung, the frontier as steps."""
    with drawing_style():
        figure, axes = new(width, height)
        found = points(ladder, runs, language, over)
        if not found:
            return empty(axes, figure, language)
        roles = rung_roles(ladder.rungs)
        order = [rung.name for rung in ladder.rungs]
        best = frontier(found)
        axes.plot(
            [point.price for point in best],
            [point.bits for point in best],
            color=light("muted"),
            lw=1.2,
            drawstyle="steps-post",
        )
        for point in found:
            colour = light(roles[point.name])
            low, high = point.interval or (point.bits, point.bits)
            axes.plot([point.price] * 2, [low, high], color=colour, lw=1.4, alpha=0.55)
            axes.plot(
                [point.price],
                [point.bits],
                color=colour,
                marker=MARKERS[order.index(point.name) % len(MARKERS)],
                ms=7,
                mec=colour,
                mfc=colour if point in best else light("surface"),
                mew=1.6,
                ls="none",
            )
        _frame(axes, found, over, language)
        place(figure, axes, _names(found, {p.name: light(roles[p.name]) for p in found}))
    return figure


def _frame(axes: Any, found: Sequence[Point], over: Price, language: Language) -> None:
    prices = [point.price for point in found]
    low, high = min(prices), max(prices)
    bits_axis(axes, language)
    ends = [end for point in found for end in (point.interval or (point.bits,))]
    span = max(max(ends) - min(ends), 0.02 * max(ends))
    axes.set_ylim(min(ends) - 0.08 * span, max(ends) + 0.12 * span)

    def tick(price: float) -> str:
        if over == "flops":
            return power_tick(price, language)
        text = language.significant(price)
        return text.rstrip("0").rstrip(language.decimal) if language.decimal in text else text

    if high / low > _WIDE:
        log_axis(axes, tick, ticks=6, subs=(1.0,) if high / low > 50 else (1.0, 2.0, 5.0))
        reach = (high / low) ** 0.1
        axes.set_xlim(low / reach, high * reach**1.6)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(formatter(tick))
        reach = max(0.12 * (high - low), 0.05 * high)
        axes.set_xlim(low - reach, high + 1.8 * reach)
    label = language.say(f"frontier.over_{over}", sign=language.currency_sign)
    axes.set_xlabel(label, fontsize=10)


def _names(found: Sequence[Point], colours: Mapping[str, str]) -> list[Label]:
    style = {"fontsize": 10.5, "fontweight": "bold"}
    return [
        Label(
            shortened(point.name, 14),
            around(point.price, point.bits, (8, 14, 20, 28, 38, 50)),
            style | {"color": colours[point.name]},
        )
        for point in found
    ]
