"""Bits per byte against FLOP: every run of a grid, the fitted curves, and where they cross."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from escada.evaluation.scale import Crossing, CurvePoint, Fit, Scale
from escada.report.figures.axes import (
    MARKERS,
    bits_axis,
    end_places,
    log_axis,
    name_room,
    new,
    power_tick,
    shortened,
)
from escada.report.figures.labels import Label, around, place
from escada.report.figures.palette import light
from escada.report.figures.svg import drawing_style
from escada.report.i18n import Language


def draw_scaling(
    scale: Scale,
    roles: Mapping[str, str],
    language: Language,
    *,
    width: int = 720,
    height: int = 380,
) -> Figure:
    """A point per run (small: not the best size), a curve with its band per rung.

    Beyond the largest budget, curves are dashed. A diamond is what was predicted of that budget, a
    cross is where two curves meet.
    """
    with drawing_style():
        figure, axes = new(width, height)
        low, largest = (f(run.training_flops for run in scale.runs) for f in (min, max))
        met = [(one, one.flops) for one in scale.crossings if one.flops is not None]
        end = max([largest, *(1.4 * flops for _, flops in met)])
        names = [shortened(rung.name, 12) for rung in scale.rungs]
        room = name_room(names, width)
        log_axis(axes, lambda flops: power_tick(flops, language), ticks=7)
        axes.set_xlim(low / 1.2, end * (end / low) ** (room / (1 - room)))
        bits_axis(axes, language)
        labels: list[Label] = []
        for fit in scale.fits:
            labels.append(_curve(axes, scale, fit, roles, largest, end))
        for one, flops in met:
            labels.append(_crossing(axes, scale, one, flops, language))
        shown = [p.bits_per_byte for fit in scale.fits for p in _until(fit, end)]
        shown += [run.bits_per_byte for run in scale.runs]
        span = max(max(shown) - min(shown), 0.01 * max(shown))
        axes.set_ylim(min(shown) - 0.1 * span, max(shown) + 0.1 * span)
        axes.set_xlabel(language.say("figures.over_flops"), fontsize=10)
        place(figure, axes, labels)
    return figure


def _until(fit: Fit, end: float) -> list[CurvePoint]:
    return [point for point in fit.curve if point.flops <= 1.001 * end]


def _curve(
    axes: Any, scale: Scale, fit: Fit, roles: Mapping[str, str], largest: float, end: float
) -> Label:
    colour = light(roles[fit.rung])
    order = [rung.name for rung in scale.rungs]
    marker = MARKERS[order.index(fit.rung) % len(MARKERS)]
    points = _until(fit, end)
    banded = [(p.flops, *p.ci95) for p in points if p.ci95 is not None]
    if banded:
        axes.fill_between(*zip(*banded, strict=True), color=colour, alpha=0.15, lw=0)
    trained = [p for p in points if p.flops <= 1.001 * largest]
    beyond = points[max(0, len(trained) - 1) :]
    for part, style in ((trained, "-"), (beyond, (0, (4, 3)))):
        xs, ys = [p.flops for p in part], [p.bits_per_byte for p in part]
        axes.plot(xs, ys, color=colour, lw=1.6, ls=style)
    best = {(b.rung, b.budget_flops, b.size) for b in scale.best}
    for run in scale.runs:
        if run.rung == fit.rung:
            is_best = (run.rung, run.budget_flops, run.size) in best
            axes.plot(
                [run.training_flops],
                [run.bits_per_byte],
                color=colour,
                marker=marker,
                ms=5 if is_best else 3,
                mfc=colour if is_best else light("surface"),
                ls="none",
            )
    for one in scale.predictions:
        if (one.rung, one.flops) == (fit.rung, scale.budgets[-1]):
            axes.plot(
                [one.flops],
                [one.bits_per_byte],
                color=colour,
                marker="D",
                ms=9,
                mfc="none",
                mew=1.2,
                ls="none",
            )
    name = shortened(fit.rung, 12)
    style = {"color": colour, "fontsize": 10.5, "fontweight": "bold"}
    return Label(name, end_places(points[-1].flops, points[-1].bits_per_byte), style)


def _crossing(axes: Any, scale: Scale, one: Crossing, flops: float, language: Language) -> Label:
    fit = next(fit for fit in scale.fits if fit.rung == one.passes)
    bits = fit.floor + fit.coefficient * flops**-fit.exponent
    axes.plot([flops], [bits], color=light("ink"), marker="x", ms=9, mew=1.8, ls="none")
    style = {"color": light("ink"), "fontsize": 10}
    return Label(f"{language.power(flops)} FLOP", around(flops, bits, (12, 20, 30, 44)), style)
