"""The ladder as stairs: a tread for each rung, its interval as a band, baselines as lines.

Names and figures are placed where they cover the least: a control may lie among the rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from escada.report.drawing import Box, Sheet, bits_axis, covered, new, shortened
from escada.report.facts import BaselineFacts, LadderFacts
from escada.report.findings import Findings
from escada.report.language import Language
from escada.report.palette import light, rung_roles
from escada.report.svg import drawing_style

_RISER = {"better": "-", "worse": "-", "undecided": (0, (4, 2))}
"""Line style of a step; its colour is that of the verdict, and the page says it in words."""


def draw_ladder(
    ladder: LadderFacts,
    findings: Findings,
    language: Language,
    *,
    width: int = 860,
    height: int | None = None,
) -> Figure:
    """The ladder as stairs: a tread for each rung, its interval as a band, baselines as lines."""
    with drawing_style():
        height = height or max(330, min(430, round(width * 0.55)))
        figure, axes = new(width, height)
        rungs, roles = ladder.rungs, rung_roles(ladder.rungs)
        place = {rung.name: i for i, rung in enumerate(rungs)}
        bits = {rung.name: rung.bits_per_byte for rung in rungs if rung.bits_per_byte is not None}
        ends = [end for rung in rungs for end in (rung.ci95 or ()) if rung.name in bits]
        values = [*bits.values(), *ends] or [1.0]
        _frame_ladder(axes, values, ladder, language, len(rungs))
        bottom = axes.get_ylim()[0]
        small = 9 if width < 500 else 11
        half = 0.36
        sheet = Sheet.of(axes, width - 60, height - 70)
        lines = _draw_baselines(axes, values, ladder, language)
        taken: list[tuple[Box, float]] = []
        for step in findings.steps:
            if step.facts is None:
                continue
            i, j = place[step.against], place[step.rung.name]
            near, far = (i + half, j - half) if i < j else (i - half, j + half)
            low, high = bits[step.against], bits[step.rung.name]
            axes.plot([near, far, far], [low, low, high], color=light("muted"), lw=0.8, alpha=0.55)
            axes.plot(
                [far, far],
                [low, high],
                color=light(step.outcome),
                lw=2,
                linestyle=_RISER[step.facts.verdict],
            )
        for rung in rungs:
            i, colour = place[rung.name], light(roles[rung.name])
            value = bits.get(rung.name)
            if value is None:
                axes.text(
                    i,
                    bottom,
                    language.say("figures.unmeasured").replace(" ", "\n"),
                    ha="center",
                    va="bottom",
                    color=light("muted"),
                    fontsize=small - 1,
                )
                continue
            low, high = rung.ci95 or (value, value)
            axes.fill_between([i - half, i + half], low, high, color=colour, alpha=0.22, lw=0)
            axes.plot([i - half, i + half], [value] * 2, color=colour, lw=3, solid_capstyle="butt")
            text = language.bits(value) if width >= 440 else language.number(value, 2)
            (x, above), (_, below) = sheet.place(i, high), sheet.place(i, low)
            crossed = any(above < sheet.place(0, y)[1] + 1 < above + small + 8 for _, y in lines)
            dy = -4 - small if crossed else 4
            axes.annotate(
                text,
                (i, low if crossed else high),
                xytext=(0, dy),
                textcoords="offset points",
                ha="center",
                color=light("ink"),
                fontsize=small,
                fontweight="bold",
            )
            reach = sheet.place(i + half, 0)[0] - x
            at = (below if crossed else above) + dy
            taken += [
                ((x - reach, below, x + reach, above), 1.0),
                ((x - 0.3 * small * len(text), at, x + 0.3 * small * len(text), at + small), 20.0),
                (
                    (
                        x - reach,
                        sheet.place(i, value)[1] - 2,
                        x + reach,
                        sheet.place(i, value)[1] + 2,
                    ),
                    20.0,
                ),
            ]
        _name_baselines(axes, sheet, lines, taken)
        crowded = width / len(rungs) < 0.68 * small * max(len(rung.name) for rung in rungs)
        axes.set_xticks(
            range(len(rungs)),
            [shortened(rung.name) for rung in rungs],
            rotation=35 if crowded else 0,
            ha="right" if crowded else "center",
            rotation_mode="anchor" if crowded else "default",
            fontsize=small,
            color=light("ink"),
        )
    return figure


def _near(ladder: LadderFacts, low: float, high: float) -> list[BaselineFacts]:
    """The baselines that do not flatten the rungs when they are drawn, lowest first."""
    reach = low + 3.5 * max(high - low, 0.1 * abs(high))
    baselines = sorted(ladder.baselines, key=lambda baseline: baseline.bits_per_byte)
    return [baseline for baseline in baselines if baseline.bits_per_byte <= reach]


def _frame_ladder(
    axes: Any, values: Sequence[float], ladder: LadderFacts, language: Language, rungs: int
) -> None:
    """The frame: all rungs with their intervals, and every baseline that does not flatten them."""
    low, high = min(values), max(values)
    near = _near(ladder, low, high)
    pad = max(0.08 * (high - low), 0.01 * abs(high))
    top = max([high, *(baseline.bits_per_byte for baseline in near)]) + 2 * pad
    low = min([low, *(baseline.bits_per_byte for baseline in near)])
    if ladder.baselines and not near:
        top += pad
    axes.set_ylim(low - 1.8 * pad, top)
    axes.set_xlim(-0.6, rungs - 0.4)
    bits_axis(axes, language)


def _draw_baselines(
    axes: Any, values: Sequence[float], ladder: LadderFacts, language: Language
) -> list[tuple[str, float]]:
    """Lines for the near baselines; if none is near, the lowest at the edge, said to be above.

    Returns:
        The name of each line, and where it lies.
    """
    near = _near(ladder, min(values), max(values))
    lines = [(_label(baseline, language), baseline.bits_per_byte) for baseline in near]
    if ladder.baselines and not near:
        lowest = min(ladder.baselines, key=lambda baseline: baseline.bits_per_byte)
        label = language.say("figures.above_scale", baseline=_label(lowest, language))
        lines = [(label, axes.get_ylim()[1])]
    for _, y in lines:
        axes.axhline(y, color=light("muted"), lw=1.2, ls=(0, (6, 3)), clip_on=False)
    return lines


def _label(baseline: BaselineFacts, language: Language) -> str:
    name = language.baseline(baseline.key, baseline.name)
    return f"{name} {language.bits(baseline.bits_per_byte)}"


def _name_baselines(
    axes: Any,
    sheet: Sheet,
    lines: Sequence[tuple[str, float]],
    taken: Sequence[tuple[Box, float]],
) -> None:
    """Write each line's name at one of its ends, above or below, where it covers the least."""
    taken = list(taken)
    taken += [
        ((0.0, y - 1, sheet.width, y + 1), 5.0) for _, at in lines for y in (sheet.place(0, at)[1],)
    ]
    for name, at in lines:
        y, length = sheet.place(0, at)[1], 4.9 * len(name)
        ends = {"right": (sheet.width - length, sheet.width), "left": (0.0, length)}
        places = [(align, dy) for dy in (4, -13) for align in ("right", "left")]

        def cost(place: tuple[str, int], y: float = y, ends: Any = ends) -> float:
            (left, right), bottom = ends[place[0]], y + place[1]
            outside = max(0.0, -bottom) + max(0.0, bottom + 10 - sheet.height)
            return covered((left, bottom, right, bottom + 10), taken) + 1000 * outside

        align, dy = min(places, key=cost)
        (left, right), bottom = ends[align], y + dy
        taken.append(((left, bottom, right, bottom + 10), 20.0))
        axes.annotate(
            name,
            (1 if align == "right" else 0, at),
            xycoords=("axes fraction", "data"),
            xytext=(0, dy),
            textcoords="offset points",
            ha=align,
            color=light("muted"),
            fontsize=9.5,
        )
