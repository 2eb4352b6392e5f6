"""Acquisition curves: shares or bits per byte at each kept step, over training FLOPs, banded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from escada.report.figures.axes import (
    MARKERS,
    bits_axis,
    empty,
    end_places,
    formatter,
    log_axis,
    name_room,
    new,
    power_tick,
    shortened,
)
from escada.report.figures.labels import Label, LabelPosition, place
from escada.report.figures.palette import light
from escada.report.figures.svg import drawing_style
from escada.report.i18n import Language
from escada.typed_json import Interval


class CurvePoint(NamedTuple):
    """A measurement at a kept step; `ci95` is None where there is no interval."""

    flops: float
    value: float
    ci95: Interval | None = None


class Curve(NamedTuple):
    """A rung's points, ascending; `role` is its colour, `place` its position on the ladder."""

    rung: str
    role: str
    place: int
    points: Sequence[CurvePoint]


def draw_acquisition(
    curves: Sequence[Curve],
    language: Language,
    *,
    shares: bool,
    marks: Sequence[tuple[str, float]] = (),
    width: int = 330,
    height: int = 290,
) -> Figure:
    """One line per rung with the band of its intervals.

    Args:
        shares: whether values are shares (in percent) and not bits per byte.
        marks: labelled horizontal lines, such as chance.
    """
    with drawing_style():
        figure, axes = new(width, height)
        if not curves:
            return empty(axes, figure, language)
        names = [shortened(curve.rung, 13) for curve in curves]
        room = name_room(names, width)
        first = min(curve.points[0].flops for curve in curves)
        last = max(curve.points[-1].flops for curve in curves)
        log_axis(axes, lambda flops: power_tick(flops, language), ticks=5, subs=(1.0,))
        axes.set_xlim(first / 1.2, last * (last / first) ** (room / (1 - room)) * 1.05)
        axes.set_xlabel(language.say("figures.over_flops"), fontsize=10)
        _share_axis(axes, language) if shares else bits_axis(axes, language)
        axes.set_ylim(*_limits(curves, [value for _, value in marks], shares=shares))
        for curve in curves:
            _draw(axes, curve)
        labels: list[Label] = []
        for curve, name in zip(curves, names, strict=True):
            style = {"color": light(curve.role), "fontsize": 10, "fontweight": "bold"}
            end = curve.points[-1]
            labels.append(Label(name, end_places(end.flops, end.value), style))
        left = axes.get_xlim()[0]
        for text, value in marks:
            axes.axhline(value, color=light("muted"), lw=1.2, ls=(0, (6, 3)))
            over = [LabelPosition((left, value), 4, up) for up in (-9, 9, -18, 18, -28, 28)]
            labels.append(Label(text, over, {"color": light("muted"), "fontsize": 9.5}))
        place(figure, axes, labels)
    return figure


def _draw(axes: Any, curve: Curve) -> None:
    colour = light(curve.role)
    banded = [(point.flops, *point.ci95) for point in curve.points if point.ci95 is not None]
    if len(banded) > 1:
        axes.fill_between(*zip(*banded, strict=True), color=colour, alpha=0.1, lw=0)
    xs, ys = [p.flops for p in curve.points], [p.value for p in curve.points]
    marker = MARKERS[curve.place % len(MARKERS)]
    axes.plot(xs, ys, color=colour, lw=1.6, marker=marker, ms=3.5, mec="none")


def _share_axis(axes: Any, language: Language) -> None:
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(formatter(lambda y: f"{language.number(100 * y)} %"))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)


def _limits(
    curves: Sequence[Curve], marks: Sequence[float], *, shares: bool
) -> tuple[float, float]:
    """Of all values; of shares, which stay within 0 and 1, of their intervals and the marks too."""
    points = [point for curve in curves for point in curve.points]
    values = [point.value for point in points]
    if not shares:
        span = max(max(values) - min(values), 0.05 * abs(max(values)), 1e-6)
        return min(values) - 0.06 * span, max(values) + 0.04 * span
    ends = [end for point in points for end in (point.ci95 or ())]
    low, high = min([*values, *ends, *marks]), max([*values, *ends, *marks])
    return max(0.0, low - 0.03), min(1.0, high + 0.03)
