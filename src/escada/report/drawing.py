"""What the figures share: a frame, the axis of bits per byte, labels at the ends of lines."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from escada.report.language import Language
from escada.report.palette import light

MARKERS = "osD^vPX*"

Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels of a figure's plotting area."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where data lie on a figure, in pixels; near enough to place words by, before any layout."""

    width: float
    height: float
    corner: tuple[float, float]
    opposite: tuple[float, float]
    transform: Callable[[tuple[float, float]], Any]

    @classmethod
    def of(cls, axes: Any, width: float, height: float) -> Sheet:
        """Of axes with their final limits and scales, about so many pixels wide and high."""
        transform = axes.transScale.transform
        (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
        corner, opposite = transform((left, low)), transform((right, high))
        return cls(width, height, tuple(corner), tuple(opposite), transform)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Where the data (x, y) lie."""
        across, along = self.transform((x, y))
        return (
            float((across - self.corner[0]) / (self.opposite[0] - self.corner[0]) * self.width),
            float((along - self.corner[1]) / (self.opposite[1] - self.corner[1]) * self.height),
        )


def covered(box: Box, taken: Sequence[tuple[Box, float]]) -> float:
    """Area of `box` that other boxes take, each by its weight."""
    area = 0.0
    for other, weight in taken:
        across = min(box[2], other[2]) - max(box[0], other[0])
        along = min(box[3], other[3]) - max(box[1], other[1])
        area += weight * max(0.0, across) * max(0.0, along)
    return area


def formatter(write: Callable[[float], str]) -> FuncFormatter:
    """Tick labels by a function of the value."""

    def label(value: float, _position: int | None = None) -> str:
        return write(value)

    return FuncFormatter(cast(Any, label))


def new(width: int, height: int) -> tuple[Figure, Any]:
    """A figure of that size in pixels, and its axes (untyped: matplotlib types them in part)."""
    figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
    axes = figure.add_subplot()
    axes.tick_params(length=0, pad=6)
    return figure, axes


def bits_axis(axes: Any, language: Language) -> None:
    """Make y the axis of bits per byte, said above it."""
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(formatter(language.significant))
    axes.grid(axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_title(language.say("figures.bits_axis"), loc="left", fontsize=10, pad=10)


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Places near the `wanted` ones and at least `gap` apart, in the same order: for labels.

    Neighbours that are too near become a block around the mean of what they wanted; blocks merge.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[list[int]] = []

    def centre(block: list[int]) -> float:
        return sum(wanted[i] for i in block) / len(block)

    for i in order:
        blocks.append([i])
        while len(blocks) > 1:
            above, below = blocks[-1], blocks[-2]
            reach = gap * (len(above) + len(below)) / 2
            if centre(above) - centre(below) >= reach:
                break
            blocks[-2:] = [below + above]
    places = [0.0] * len(wanted)
    for block in blocks:
        for rank, i in enumerate(block):
            places[i] = centre(block) + gap * (rank - (len(block) - 1) / 2)
    return places


def name_ends(
    axes: Any, ends: Sequence[tuple[str, str, float, float]], height: int, logarithmic: bool
) -> None:
    """Write each line's name at the right edge, joined to its end.

    Args:
        axes: with their final limits.
        ends: (name, colour, x, y) of each line's last point.
        height: of the figure, in pixels.
        logarithmic: whether x is.
    """
    low, high = axes.get_ylim()
    gap = 15 / (height - 70)
    shares = [(y - low) / (high - low) for *_, y in ends]
    left, right = axes.get_xlim()
    places = spread(shares, gap)
    floor = 0.02
    for i in sorted(range(len(places)), key=lambda i: places[i]):  # none below the axis
        places[i] = max(places[i], floor)
        floor = places[i] + gap
    for (name, colour, x, y), place in zip(ends, places, strict=True):
        if logarithmic:
            share_x = math.log(x / left) / math.log(right / left)
        else:
            share_x = (x - left) / (right - left)
        axes.plot(
            [share_x, 1.03],
            [(y - low) / (high - low), place],
            transform=axes.transAxes,
            clip_on=False,
            color=colour,
            lw=0.7,
        )
        axes.text(
            1.04,
            place,
            name,
            transform=axes.transAxes,
            va="center",
            color=colour,
            fontsize=10.5,
            fontweight="bold",
        )


def shortened(name: str, longest: int = 18) -> str:
    """A name that fits under a tick."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


def seconds(value: float, language: Language) -> str:
    """Training time on an axis."""
    if value < 600:
        digits = 0 if value == round(value) else 2
        return f"{language.number(value, digits)} s"
    if value < 36_000:
        return f"{language.number(value / 60)} min"
    return f"{language.number(value / 3600)} h"


def power_tick(value: float, language: Language) -> str:
    """`10¹²`, `2 × 10¹²`."""
    return language.power(value).replace(f"{language.decimal}0", "").removeprefix("1\u202f×\u202f")


def empty(axes: Any, figure: Figure, language: Language) -> Figure:
    """A figure that says that there is nothing to draw."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, language.say("figures.nothing"), ha="center", color=light("muted"))
    return figure
