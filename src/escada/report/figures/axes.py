"""Shared parts of the figures: frame, axis of bits per byte, line labels, ticks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from escada.report.figures.labels import LabelPosition, around
from escada.report.figures.palette import light
from escada.report.i18n import Language
from escada.report.schema import RungRow

MARKERS = "osD^vPX*"


def formatter(write: Callable[[float], str]) -> FuncFormatter:
    """A tick formatter from a function of the value."""

    def label(value: float, _position: int | None = None) -> str:
        return write(value)

    return FuncFormatter(cast(Any, label))


def new(width: int, height: int) -> tuple[Figure, Any]:
    """A figure of that size in pixels, and its axes (untyped: matplotlib's types are partial)."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(length=0, pad=6)
    return figure, axes


def bits_axis(axes: Any, language: Language) -> None:
    """Make y the axis of bits per byte, titled above."""
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(formatter(language.significant))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(language.say("figures.bits_axis"), loc="left", fontsize=10, pad=10)


def log_axis(
    axes: Any, tick: Callable[[float], str], *, ticks: int, subs: Sequence[float] = (1.0, 2.0, 5.0)
) -> None:
    """Make x logarithmic, with labels at `subs` times each power of ten."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(10, subs=subs, numticks=ticks))
    axes.xaxis.set_major_formatter(formatter(tick))
    axes.xaxis.set_minor_formatter(NullFormatter())


def name_room(names: Sequence[str], width: int) -> float:
    """Share of the axes' width needed for labels right of the last points."""
    return min(0.4, (16 + 7.2 * max(len(name) for name in names)) / (width - 55))


def end_places(x: float, y: float) -> list[LabelPosition]:
    """Positions for the label of a line that ends at (x, y): right of it first, then around it."""
    right = [
        LabelPosition((x, y), reach, up)
        for reach in (8, 20, 34)
        for up in (0, 9, -9, 18, -18, 27, -27, 36, -36)
    ]
    return sorted(right, key=lambda place: abs(place.up) + place.right) + around(x, y)


def shortened(name: str, longest: int = 18) -> str:
    """A name short enough for a tick label."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def seconds(value: float, language: Language) -> str:
    """Training time as a tick label."""
    if value < 600:
        digits = 0 if value == round(value) else 2
        return f"{language.number(value, digits)} s"
    if value < 36_000:
        return f"{language.number(value / 60)} min"
    return f"{language.number(value / 3600)} h"


def power_tick(value: float, language: Language) -> str:
    """`10¹²`, `2 × 10¹²`."""
    return language.power(value).replace(f"{language.decimal}0", "").removeprefix("1\u202f×\u202f")


def rung_ticks(axes: Any, rungs: Sequence[RungRow], *, crowded: bool, fontsize: int) -> None:
    """Rung names as x tick labels, rotated if crowded."""
    axes.set_xticks(
        range(len(rungs)),
        [shortened(rung.name) for rung in rungs],
        rotation=35 if crowded else 0,
        ha="right" if crowded else "center",
        rotation_mode="anchor" if crowded else "default",
        fontsize=fontsize,
        color=light("ink"),
    )


def empty(axes: Any, figure: Figure, language: Language) -> Figure:
    """A figure that says there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, language.say("figures.nothing"), ha="center", color=light("muted"))
    return figure
