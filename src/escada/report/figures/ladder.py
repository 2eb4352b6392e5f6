"""The ladder as stairs: a tread per rung, its interval as a band, baselines as lines.

Labels avoid every line (see `labels`), since a control may lie among the rungs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.report.figures.axes import bits_axis, new, rung_ticks, shortened
from escada.report.figures.labels import Label, LabelPosition, place
from escada.report.figures.palette import light, rung_roles
from escada.report.figures.svg import drawing_style
from escada.report.findings import Findings, Step
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow

_RISER = {"better": "-", "worse": "-", "undecided": (0, (4, 2))}
"""Line style of a riser; its colour is that of the verdict, which the page also gives in words."""
_HALF = 0.36
"""Half the width of a tread; rungs are 1 apart."""


def draw_ladder(
    ladder: Ladder,
    findings: Findings,
    language: Language,
    *,
    width: int = 860,
    height: int | None = None,
) -> Figure:
    """Draw the ladder; `height` defaults to a share of the width."""
    with drawing_style():
        height = height or max(330, min(430, round(width * 0.55)))
        figure, axes = new(width, height)
        rungs, roles = ladder.rungs, rung_roles(ladder.rungs)
        measured = [rung for rung in rungs if rung.bits_per_byte is not None]
        ends = [end for rung in measured for end in (rung.ci95 or ())]
        values = [*(rung.bits_per_byte or 0.0 for rung in measured), *ends] or [1.0]
        _frame_ladder(axes, values, ladder, language, len(rungs))
        small = 9 if width < 500 else 11
        lines = _draw_baselines(axes, values, ladder, language)
        index = {rung.name: i for i, rung in enumerate(rungs)}
        for step in findings.steps:
            if step.comparison is not None:
                _draw_riser(axes, step, index, ladder)
        for rung in measured:
            _draw_tread(axes, rung, index[rung.name], light(roles[rung.name]))
        crowded = width / len(rungs) < 0.68 * small * max(len(rung.name) for rung in rungs)
        rung_ticks(axes, rungs, crowded=crowded, fontsize=small)
        digits = 3 if width >= 440 else 2
        labels = [
            _figure_label(rung, index[rung.name], language, small, digits) for rung in measured
        ]
        labels += [
            _unmeasured(i, axes, language, small - 1)
            for i, rung in enumerate(rungs)
            if rung.bits_per_byte is None
        ]
        labels += [_line_label(name, y, axes, len(rungs), small) for name, y in lines]
        place(figure, axes, labels)
    return figure


def _draw_riser(axes: Any, step: Step, index: dict[str, int], ladder: Ladder) -> None:
    assert step.comparison is not None
    bits = {rung.name: rung.bits_per_byte for rung in ladder.rungs}
    i, j = index[step.against], index[step.rung.name]
    near, far = (i + _HALF, j - _HALF) if i < j else (i - _HALF, j + _HALF)
    low, high = bits[step.against], bits[step.rung.name]
    axes.plot([near, far, far], [low, low, high], color=light("muted"), lw=0.8, alpha=0.55)
    axes.plot(
        [far, far],
        [low, high],
        color=light(step.outcome),
        lw=2,
        linestyle=_RISER[step.comparison.verdict],
    )


def _draw_tread(axes: Any, rung: RungRow, i: int, colour: str) -> None:
    value = rung.bits_per_byte
    assert value is not None
    low, high = rung.ci95 or (value, value)
    axes.fill_between([i - _HALF, i + _HALF], low, high, color=colour, alpha=0.22, lw=0)
    axes.plot([i - _HALF, i + _HALF], [value] * 2, color=colour, lw=3, solid_capstyle="butt")


def _figure_label(rung: RungRow, i: int, language: Language, size: int, digits: int) -> Label:
    """A rung's figure: above its band, else below it, inside it, or farther off."""
    value = rung.bits_per_byte
    assert value is not None
    low, high = rung.ci95 or (value, value)

    places = [
        LabelPosition((i, at), 0, up, "center")
        for reach in (9, 11, 14, 17, 21, 26, 32, 40, 50, 62)
        for at, up in ((high, reach), (low, -reach), (value, reach + 1), (value, -reach - 1))
    ]
    style = {"color": light("ink"), "fontsize": size, "fontweight": "bold"}
    return Label(language.number(value, digits), places, style)


def _unmeasured(i: int, axes: Any, language: Language, size: int) -> Label:
    """The label of a rung without a figure: at the bottom, clear of lines."""
    low, high = axes.get_ylim()
    places = [LabelPosition((i, low + k / 12 * (high - low)), 0, 14, "center") for k in range(11)]
    text = language.say("figures.unmeasured").replace(" ", "\n")
    return Label(text, places, {"color": light("muted"), "fontsize": size})


def _line_label(name: str, y: float, axes: Any, rungs: int, size: int) -> Label:
    """The name of a baseline: above its line at one end, else below it, or between rungs."""
    left, right = axes.get_xlim()
    ends = [(right, "right"), (left, "left")]
    between = [(k + 0.5, "center") for k in range(rungs - 1)]
    over = [(float(k), "center") for k in range(rungs)]
    aside = [(k + share, "center") for k in range(rungs) for share in (-0.25, 0.25)]
    places = [
        LabelPosition((x, y), 0, up, align)
        for reach in (8, 9.5, 14, 20, 26, 32, 38, 44, 58, 74, 92, 110)
        for x, align in (*ends, *between, *over, *aside)
        for up in (reach, -reach)
    ]
    return Label(name, places, {"color": light("muted"), "fontsize": min(9.5, size - 0.5)})


def _near(ladder: Ladder, low: float, high: float) -> list[BaselineRow]:
    """The baselines close enough to be drawn without flattening the rungs, lowest first."""
    reach = low + 3.5 * max(high - low, 0.1 * abs(high))
    baselines = sorted(ladder.baselines, key=lambda baseline: baseline.bits_per_byte)
    return [baseline for baseline in baselines if baseline.bits_per_byte <= reach]


def _frame_ladder(
    axes: Any, values: Sequence[float], ladder: Ladder, language: Language, rungs: int
) -> None:
    """Set limits that show all rungs with their intervals, and the near baselines."""
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
    axes: Any, values: Sequence[float], ladder: Ladder, language: Language
) -> list[tuple[str, float]]:
    """Draw the near baselines; return each line's label and y position.

    If none is near, the lowest is drawn at the top edge, labelled as above the scale.
    """
    near = _near(ladder, min(values), max(values))
    lines = [(_label(baseline, language), baseline.bits_per_byte) for baseline in near]
    if ladder.baselines and not near:
        label = language.say("figures.above_scale", baseline=_label(ladder.best_baseline, language))
        lines = [(label, axes.get_ylim()[1])]
    for _, y in lines:
        axes.axhline(y, color=light("muted"), lw=1.2, ls=(0, (6, 3)), clip_on=False)
    return lines


def _label(baseline: BaselineRow, language: Language) -> str:
    name = language.baseline_short(baseline.key, baseline.name)
    return f"{shortened(name, 24)} {language.bits(baseline.bits_per_byte)}"
