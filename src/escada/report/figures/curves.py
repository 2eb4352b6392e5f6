"""The report's smaller figures: learning curves, sources and lexicon shares.

Each function returns one figure in one language and writes no file. Widths are in CSS pixels. A
rung has the same colour everywhere and lines are labelled at their ends, so no figure needs a
legend or colour vision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from escada.report.data import CurvePoint
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
    rung_ticks,
    seconds,
    shortened,
)
from escada.report.figures.labels import Label, LabelPosition, place
from escada.report.figures.palette import light, rung_roles
from escada.report.figures.svg import drawing_style
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow


def draw_curves(
    ladder: Ladder,
    curves: Mapping[str, Sequence[CurvePoint]],
    language: Language,
    *,
    over: str,
    width: int = 330,
    height: int = 290,
) -> Figure:
    """Validation bits per byte during training.

    `over` is `seconds` (linear axis), `flops` or `tokens` (logarithmic).
    """
    logarithmic = over != "seconds"

    def position(point: CurvePoint) -> float:
        return getattr(point, over)

    with drawing_style():
        figure, axes = new(width, height)
        roles = rung_roles(ladder.rungs)
        drawn: list[tuple[str, str, list[float], list[float], str]] = []
        for i, rung in enumerate(ladder.rungs):
            points = [p for p in curves.get(rung.name, ()) if not logarithmic or position(p) > 0]
            if points:
                xs, ys = [position(p) for p in points], [p.bits_per_byte for p in points]
                colour = light(roles[rung.name])
                drawn.append((rung.name, colour, xs, ys, MARKERS[i % len(MARKERS)]))
        if not drawn:
            return empty(axes, figure, language)
        best, worst = min(min(ys) for *_, ys, _ in drawn), max(ys[-1] for *_, ys, _ in drawn)
        start = max(max(ys) for *_, ys, _ in drawn)
        span = max(worst - best, 0.05 * abs(worst), 1e-6)
        axes.set_ylim(best - 0.12 * span, min(start + 0.1 * span, worst + 2.0 * span))
        bits_axis(axes, language)
        first = min(xs[0] for _, _, xs, _, _ in drawn)
        last = max(xs[-1] for _, _, xs, _, _ in drawn)
        names = [shortened(name, 12) for name, *_ in drawn]
        room = name_room(names, width)
        if logarithmic:
            subs = (1.0,) if last / first > 50 else (1.0, 2.0, 5.0)
            log_axis(axes, lambda x: _tick(x, over, language), ticks=5, subs=subs)
            axes.set_xlim(first / 1.2, last * (last / first) ** (room / (1 - room)))
        else:
            axes.set_xlim(0, last / (1 - room) or 1)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.xaxis.set_major_formatter(formatter(lambda x: seconds(x, language)))
        axes.set_xlabel(language.say(f"figures.over_{over}"), fontsize=10)
        for _, colour, xs, ys, marker in drawn:
            axes.plot(xs, ys, color=colour, lw=1.8, marker=marker, ms=4, mec="none")
        ends = [(colour, xs[-1], ys[-1]) for _, colour, xs, ys, _ in drawn]
        place(figure, axes, [_end(name, *end) for name, end in zip(names, ends, strict=True)])
    return figure


def _end(name: str, colour: str, x: float, y: float) -> Label:
    style = {"color": colour, "fontsize": 10.5, "fontweight": "bold"}
    return Label(name, end_places(x, y), style)


def _tick(value: float, over: str, language: Language) -> str:
    """A round number on a logarithmic axis."""
    if over == "flops":
        return power_tick(value, language)
    return language.compact(value).replace(f"{language.decimal}0\u202f", "\u202f")


def draw_sources(ladder: Ladder, language: Language, *, width: int = 400) -> Figure:
    """Bits per byte of each text source, along the ladder."""
    height = 300
    with drawing_style():
        figure, axes = new(width, height)
        rungs: list[RungRow] = [rung for rung in ladder.rungs if rung.by_source]
        if not rungs:
            return empty(axes, figure, language)
        sources = sorted({source for rung in rungs for source in rung.by_source})
        ends: list[Label] = []
        for k, source in enumerate(sources):
            points = [
                (i, r.by_source[source]) for i, r in enumerate(rungs) if source in r.by_source
            ]
            axes.plot(
                *zip(*points, strict=True),
                color=light("muted"),  # no colour for sources: colours mean rungs
                lw=1.4,
                marker=MARKERS[k % len(MARKERS)],
                ms=6,
            )
            ends.append(_end(shortened(source, 14), light("ink"), *points[-1]))
        room = name_room([end.text for end in ends], width)
        axes.set_xlim(-0.3, -0.3 + (len(rungs) - 1 + 0.3) / (1 - room))
        bits_axis(axes, language)
        axes.set_ylim(*axes.get_ylim())
        crowded = (width - 130) / len(rungs) < 7 * max(len(rung.name) for rung in rungs)
        rung_ticks(axes, rungs, crowded=crowded, fontsize=10)
        place(figure, axes, ends)
    return figure


def draw_lexicon(ladder: Ladder, language: Language, *, width: int = 400) -> Figure:
    """Share of each rung's sampled words in the lexicon, against noise and human text."""
    with drawing_style():
        rungs = [rung for rung in ladder.rungs if rung.lexicon_share is not None]
        height = 110 + 30 * max(len(rungs), 3)
        figure, axes = new(width, height)
        if not rungs:
            return empty(axes, figure, language)
        roles = rung_roles(ladder.rungs)
        labels: list[Label] = []
        for i, rung in enumerate(rungs):
            share = rung.lexicon_share or 0.0
            axes.barh(i, share, height=0.58, color=light(roles[rung.name]))
            beside = [LabelPosition((1.0, i), 8, 0)]
            labels.append(Label(language.percent(share), beside, {"fontsize": 10.5}))
        marks = [("human", ladder.human), ("noise", ladder.noise)]
        for key, mark in marks:
            share = mark.lexicon_share if mark else None
            if share is not None:
                axes.axvline(share, color=light("muted"), lw=1.2, ls=(0, (6, 3)))
                text = f"{language.say(f'figures.{key}')} {language.percent(share)}"
                align = "right" if share > 0.5 else "left"
                above = [LabelPosition((share, -0.6), 0, up, align) for up in (10, 24)]
                labels.append(Label(text, above, {"color": light("muted"), "fontsize": 10}))
        axes.set_yticks(
            range(len(rungs)), [shortened(rung.name) for rung in rungs], color=light("ink")
        )
        axes.set_ylim(len(rungs) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(formatter(lambda x: f"{language.number(100 * x)} %"))
        axes.grid(axis="x")
        axes.spines["left"].set_visible(False)
        cast(Any, figure.get_layout_engine()).set(rect=(0, 0, 1 - 52 / width, 1 - 30 / height))
        place(figure, axes, labels)
    return figure
