"""Label placement: next to what they name, without covering lines, points or other labels.

`place` lays a figure out once, measures everything drawn, and puts each label at the first of its
candidate positions where its box overlaps nothing. A label that ends up some distance away gets a
leader line: thin, grey and dotted, so that it does not look like data.

All sizes are in figure pixels; `axes.new` sets 72 per inch, so pixels equal points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import cos, hypot, inf, pi, sin
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from escada.report.figures.palette import light

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""
Segment = tuple[Point, Point]

_CLEAR = 2.0
"""Margin kept around a label."""
_LEADER_FROM = 11.0
"""A label farther than this from its anchor gets a leader line."""


@dataclass(frozen=True, slots=True)
class LabelPosition:
    """A candidate position: offset from `anchor` and alignment (`left`, `center`, `right`)."""

    anchor: Point
    right: float
    up: float
    align: str = "left"

    def box(self, width: float, height: float) -> Box:
        """The box of a label of that size, vertically centred."""
        share = {"left": 0.0, "center": 0.5, "right": 1.0}[self.align]
        left = self.anchor[0] + self.right - share * width
        bottom = self.anchor[1] + self.up - height / 2
        return left, bottom, left + width, bottom + height


@dataclass(frozen=True, slots=True)
class Label:
    """A text and its candidate positions, best first: data coordinates, offsets in pixels.

    `style` has text properties for matplotlib: colour, size, weight.
    """

    text: str
    places: Sequence[LabelPosition]
    style: dict[str, Any]


@dataclass(slots=True)
class _Taken:
    """What labels must avoid."""

    frame: Box
    segments: list[Segment] = field(default_factory=list[Segment])
    boxes: list[Box] = field(default_factory=list[Box])
    faint: list[Segment] = field(default_factory=list[Segment])
    """Grid lines: better not crossed."""
    bands: list[Box] = field(default_factory=list[Box])
    """Interval areas: better not covered."""


def around(
    x: float, y: float, reaches: Sequence[float] = (7, 12, 18, 26, 36, 48)
) -> list[LabelPosition]:
    """Positions around a point: nearest first, and at each distance the right side first."""
    places: list[LabelPosition] = []
    for reach in reaches:
        for turn in (0, 1, -1, 2, -2, 3, -3, 4):  # eighths of a turn, from the right
            across, along = cos(turn * pi / 4), sin(turn * pi / 4)
            align = "center" if abs(across) < 0.1 else "left" if across > 0 else "right"
            places.append(LabelPosition((x, y), reach * across, (reach + 3) * along, align))
    return places


def place(figure: Figure, axes: Any, labels: Sequence[Label]) -> None:
    """Lay the figure out and draw its labels.

    The figure must be complete but for the labels, with its final axis limits. Labels are placed in
    order, most important first; each avoids the earlier ones.
    """
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    # The measured layout must stay; set_layout_engine("none") would recompute it for every file.
    figure.set_layout_engine(None)
    taken = _taken(figure, axes, renderer)
    for label in labels:
        text = axes.annotate(
            label.text,
            label.places[0].anchor,
            xytext=(0, 0),
            textcoords="offset points",
            va="center",
            annotation_clip=False,
            **label.style,
        )
        text.set_in_layout(False)
        extent = text.get_window_extent(renderer)
        width, height = float(extent.width), float(extent.height)
        wanted, chosen = _choose(axes, label.places, width, height, taken)
        text.xy = wanted.anchor
        text.set_position((chosen.right, chosen.up))
        text.set_ha(chosen.align)
        box = chosen.box(width, height)
        taken.boxes.append(box)
        if leader := _leader(chosen.anchor, box):
            taken.segments.append(leader)
            _draw_leader(axes, leader)


def _choose(
    axes: Any, places: Sequence[LabelPosition], width: float, height: float, taken: _Taken
) -> tuple[LabelPosition, LabelPosition]:
    """The best position for a label of that size, in data coordinates and in pixels."""
    least, best, chosen = inf, places[0], places[0]
    for rank, wanted in enumerate(places):
        if least <= 0.5 * rank:
            break  # the rank alone now costs more than the best so far
        x, y = axes.transData.transform(wanted.anchor)
        candidate = replace(wanted, anchor=(float(x), float(y)))
        cost = _cost(candidate, width, height, taken) + 0.5 * rank
        if cost < least:
            least, best, chosen = cost, wanted, candidate
    return best, chosen


def _taken(figure: Figure, axes: Any, renderer: Any) -> _Taken:
    found = _Taken(_of(figure.bbox))
    for line in axes.lines:
        points = [
            (float(x), float(y))
            for x, y in line.get_transform().transform_path(line.get_path()).vertices
        ]
        if line.get_linestyle() != "None":
            found.segments += list(pairwise(points))
        if line.get_marker() not in ("None", None, ""):
            reach = float(line.get_markersize()) / 2 + 0.5
            found.boxes += [(x - reach, y - reach, x + reach, y + reach) for x, y in points]
    for tick in (*axes.xaxis.get_major_ticks(), *axes.yaxis.get_major_ticks()):
        if tick.gridline.get_visible():
            path = tick.gridline.get_transform().transform_path(tick.gridline.get_path())
            found.faint += list(pairwise((float(x), float(y)) for x, y in path.vertices))
    for area in (*axes.collections, *axes.patches):
        found.bands.append(_of(area.get_window_extent(renderer)))
    texts = [axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label, *axes.texts]  # pyright: ignore
    texts += [*axes.xaxis.get_ticklabels(), *axes.yaxis.get_ticklabels()]
    found.boxes += [
        _of(text.get_window_extent(renderer)) for text in texts if text.get_text().strip()
    ]
    left, bottom, right, _ = _of(axes.bbox)
    found.segments.append(((left, bottom), (right, bottom)))  # the x axis
    return found


def _of(extent: Any) -> Box:
    return float(extent.x0), float(extent.y0), float(extent.x1), float(extent.y1)


def _cost(choice: LabelPosition, width: float, height: float, taken: _Taken) -> float:
    """How much a label would cover: lines and labels weigh heavily, grid and bands lightly."""
    left, bottom, right, top = choice.box(width, height)
    bare = (left, bottom, right, top)
    box = (left - _CLEAR, bottom, right + _CLEAR, top)
    frame = taken.frame
    outside = max(0.0, frame[0] - left) + max(0.0, right - frame[2])
    outside += max(0.0, frame[1] - bottom) + max(0.0, top - frame[3])
    hard = outside + sum(_length_inside(segment, box) for segment in taken.segments)
    hard += sum(_shared(box, other) for other in taken.boxes)
    if leader := _leader(choice.anchor, bare):
        hard += sum(_length_inside(leader, _wider(other, -1)) for other in taken.boxes)
    soft = 0.1 * sum(_length_inside(segment, bare) for segment in taken.faint)
    soft += 0.3 * sum(_shared(bare, band) for band in taken.bands)
    return 1000 * hard + 0.1 * soft


def _leader(anchor: Point, box: Box) -> Segment | None:
    """The line from near the anchor to the label's nearest edge, if that is far."""
    x = min(max(anchor[0], box[0]), box[2])
    y = min(max(anchor[1], box[1] + 2), box[3] - 2)
    length = hypot(x - anchor[0], y - anchor[1])
    if length <= _LEADER_FROM:
        return None

    def along(distance: float) -> Point:
        share = distance / length
        return anchor[0] + share * (x - anchor[0]), anchor[1] + share * (y - anchor[1])

    return along(4.0), along(length - 1.5)


def _draw_leader(axes: Any, leader: Segment) -> None:
    ends = axes.transAxes.inverted().transform(leader)
    axes.plot(
        ends[:, 0],
        ends[:, 1],
        transform=axes.transAxes,
        clip_on=False,
        color=light("muted"),
        lw=0.8,
        ls=(0, (1, 2)),
        label="_leader",
    )


def _wider(box: Box, by: float) -> Box:
    return box[0] - by, box[1] - by, box[2] + by, box[3] + by


def _shared(box: Box, other: Box) -> float:
    across = min(box[2], other[2]) - max(box[0], other[0])
    along = min(box[3], other[3]) - max(box[1], other[1])
    return across * along if across > 0 and along > 0 else 0.0


def _length_inside(segment: Segment, box: Box) -> float:
    """Length of a segment inside a box (Liang-Barsky clipping)."""
    (ax, ay), (bx, by) = segment
    if max(ax, bx) < box[0] or min(ax, bx) > box[2] or max(ay, by) < box[1] or min(ay, by) > box[3]:
        return 0.0  # most are: the rest takes three times as long
    first, last = 0.0, 1.0
    for start, delta, low, high in (
        (ax, bx - ax, box[0], box[2]),
        (ay, by - ay, box[1], box[3]),
    ):
        if abs(delta) < 1e-9:
            if not low < start < high:
                return 0.0
            continue
        near, far = sorted(((low - start) / delta, (high - start) / delta))
        first, last = max(first, near), min(last, far)
    return (last - first) * hypot(bx - ax, by - ay) if first < last else 0.0
