"""Labels stand clear: their boxes meet no line, no point, no other label, and no edge.

The boxes are matplotlib's own (get_window_extent) of the figure as it is laid out; the lines are
taken from the axes, whatever drew them.
"""

import random
from itertools import pairwise

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from escada.report.data import read_ladder, read_run
from escada.report.figures.curves import draw_curves, draw_lexicon, draw_sources
from escada.report.figures.frontier import draw_frontier
from escada.report.figures.ladder import draw_ladder
from escada.report.findings import find
from escada.report.i18n import Language
from escada.report.schema import Ladder
from escada.report.writers.print_figures import on_paper

SLACK = 0.5  # of a pixel: what rounding moves


def segment_in_box(a, b, box):
    """Whether the straight line from a to b enters the box (Liang and Barsky)."""
    start, end = 0.0, 1.0
    for axis in (0, 1):
        delta = b[axis] - a[axis]
        low, high = box[axis] - a[axis], box[axis + 2] - a[axis]
        if abs(delta) < 1e-9:
            if low >= 0 or high <= 0:
                return False
            continue
        near, far = sorted((low / delta, high / delta))
        start, end = max(start, near), min(end, far)
    return start < end


def collisions(figure):
    """What touches what in a figure, in words."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = {}
    ticks = [tick for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()]
    texts = [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
    texts += [tick.label1 for tick in ticks]
    for i, text in enumerate(texts):
        if text.get_visible() and text.get_text().strip():
            box = Text.get_window_extent(text, renderer)
            boxes[f"{i} {text.get_text()}"] = (
                *(box.x0 + SLACK, box.y0 + SLACK),
                *(box.x1 - SLACK, box.y1 - SLACK),
            )
    found = []
    width, height = figure.bbox.width, figure.bbox.height
    names = list(boxes)
    labels = {text.get_text() for text in axes.texts}
    for name, box in boxes.items():
        if box[0] < -1 or box[1] < -1 or box[2] > width + 1 or box[3] > height + 1:
            found.append(f"{name} leaves the figure")
        for other in names[names.index(name) + 1 :]:
            it = boxes[other]
            crossed = min(box[2], it[2]) > max(box[0], it[0])
            if crossed and min(box[3], it[3]) > max(box[1], it[1]):
                found.append(f"{name} meets {other}")
        if name.split(" ", 1)[1] not in labels:
            continue  # a number on an axis may meet the line that it stands for
        for line in axes.lines:
            path = line.get_transform().transform_path(line.get_path())
            if line.get_linestyle() != "None":
                for a, b in pairwise(path.vertices):
                    if segment_in_box(a, b, box):
                        found.append(f"{name} is crossed by a line at {a} to {b}")
            if line.get_marker() not in ("None", None, ""):
                reach = line.get_markersize() * figure.dpi / 72 / 2
                for x, y in path.vertices:
                    if box[0] - reach < x < box[2] + reach and box[1] - reach < y < box[3] + reach:
                        found.append(f"{name} lies over a point at {x}, {y}")
    assert labels
    return found


def demo(table, bits=(2.138, 2.008, 2.015, 1.860, 1.84, 2.30), *, baselines):
    """The climb of `make demo`: the rungs' figures among those of the baselines."""
    for rung, figure in zip(table["rungs"], bits, strict=False):
        rung |= {"bits_per_byte": figure, "ci95": [figure - 0.08, figure + 0.1]}
        rung["beats_previous"] = None
    table["baselines"] = [
        {"name": key, "key": key, "bits_per_byte": figure} for key, figure in baselines.items()
    ]
    return table


def ladder_figure(table, width=860, code="en"):
    ladder = Ladder.model_validate(table)
    return draw_ladder(ladder, find(ladder), Language.load(code), width=width)


@pytest.mark.parametrize("code", ["en", "pt"])
@pytest.mark.parametrize("width", [360, 454, 860])
def test_the_ladder_of_the_demo_is_not_struck_through(table, baselines, width, code):
    assert collisions(ladder_figure(demo(table, baselines=baselines), width, code)) == []


@pytest.mark.parametrize("seed", range(6))
def test_no_ladder_is_struck_through_wherever_its_baselines_lie(table, baselines, seed):
    chance = random.Random(seed)
    bits = [chance.uniform(1.7, 2.6) for _ in range(6)]
    winner = min(bits)
    among = {key: chance.uniform(winner - 0.1, max(bits) + 0.3) for key in baselines}
    among["kneser_ney"] = winner + 0.1 + 0.02  # a line through where the winner's figure would be
    for width in (360, 860):
        assert collisions(ladder_figure(demo(table, bits, baselines=among), width)) == []


def test_a_ladder_on_paper_is_not_struck_through(table, baselines):
    assert collisions(on_paper(ladder_figure(demo(table, baselines=baselines), 454, "pt"))) == []


@pytest.mark.parametrize("over", ["seconds", "tokens", "flops"])
@pytest.mark.parametrize("closeness", [0.0, 0.002, 0.05])
def test_curves_are_named_clear_of_every_curve(climb, table, over, closeness):
    for i, rung in enumerate(table["rungs"][:6]):
        rung |= {"bits_per_byte": 2.2 + closeness * i, "ci95": None, "beats_previous": None}
    folder = climb(table)
    ladder = read_ladder(folder)
    curves = {rung.name: read_run(folder, rung).curve for rung in ladder.rungs}
    for i, curve in enumerate(curves.values()):
        stop = len(curve) - i  # the last rung stops first, far from the edge
        curve[stop:] = []
    figure = draw_curves(ladder, curves, Language.load("en"), over=over)
    assert collisions(figure) == []


def test_a_joining_line_is_no_curve(climb, table):
    """What joins a name to its curve is thin, dotted and grey: no loss is read off it."""
    folder = climb(table)
    ladder = read_ladder(folder)
    curves = {rung.name: read_run(folder, rung).curve for rung in ladder.rungs}
    axes = draw_curves(ladder, curves, Language.load("en"), over="seconds").axes[0]
    data = [line for line in axes.lines if line.get_label() != "_leader"]
    assert len(data) == sum(bool(curve) for curve in curves.values())
    colours = {line.get_color() for line in data}
    for line in axes.lines:
        if line.get_label() == "_leader":
            assert line.get_color() not in colours
            assert line.get_linestyle() != "-"
            assert line.get_linewidth() < 1


@pytest.mark.parametrize("over", ["flops", "money"])
@pytest.mark.parametrize("width", [340, 454])
def test_points_of_the_frontier_are_named_clear_of_all(paid, over, width):
    ladder = read_ladder(paid)
    runs = {rung.name: read_run(paid, rung) for rung in ladder.rungs}
    figure = draw_frontier(ladder, runs, Language.load("pt"), over=over, width=width)
    assert collisions(figure) == []


def test_sources_and_words_are_named_clear_of_all(table):
    for rung in table["rungs"]:
        rung["by_source"] = {
            f"uma-fonte-de-nome-longo-{k}": 2 + k / 100 for k in range(5) if rung["bits_per_byte"]
        }
    ladder = Ladder.model_validate(table)
    for code in ("en", "pt"):
        assert collisions(draw_sources(ladder, Language.load(code))) == []
        assert collisions(draw_lexicon(ladder, Language.load(code))) == []
