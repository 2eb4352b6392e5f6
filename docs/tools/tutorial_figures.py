"""The tutorial's three pictures, drawn as the report draws its own."""

from __future__ import annotations

import html
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from pictures import adaptive

from escada.report.figures.axes import end_places, formatter, new
from escada.report.figures.labels import Label, place
from escada.report.figures.palette import light
from escada.report.figures.svg import FONT_STACK, drawing_style, render_svg
from escada.report.i18n import Language

COLOURS = {
    "v1": "rung-0-0",
    "v4": "rung-1-0",
    "v5": "rung-2-0",
    "v_final": "rung-2-1",
    "v_next": "rung-3-0",
}
WIDTH = 860
_COLUMN, _ROW, _TOP, _LEFT = 12.6, 46, 34, 72
_DARKEST_BITS = 12.0
"""A token of so many bits or more has the darkest ground."""


def draw_surprisal(facts: dict[str, Any], say: dict[str, Any]) -> str:
    """The first line in boxes, a row for each rung: a token a box, its ground by its bits.

    The text is laid out by hand, a column for each character, so that the boxes fit whatever font
    the reader has.
    """
    parts: list[str] = []
    widest = 0
    for row, (name, rung) in enumerate(facts["rungs"].items()):
        y = _TOP + row * _ROW
        parts.append(
            f'<text x="10" y="{y + 21}" fill="{light(COLOURS[name])}" '
            f'font-weight="bold" font-size="14">{name}</text>'
        )
        column = 0
        for piece, bits in rung["pieces"]:
            if piece == "\n":
                break
            parts.append(_box(piece, bits, column, y))
            column += len(piece)
        widest = max(widest, column)
    width = round(_LEFT + widest * _COLUMN + 10)
    height = _TOP + len(facts["rungs"]) * _ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="{html.escape(FONT_STACK)}">'
    )
    title = f'<text x="10" y="20" font-size="13" fill="{light("muted")}">{say["surprisal"]}</text>'
    return adaptive(head + title + "".join(parts) + "</svg>")


def _box(piece: str, bits: float, column: int, y: int) -> str:
    x, width = _LEFT + column * _COLUMN, len(piece) * _COLUMN
    letters = "".join(
        f'<text x="{x + (i + 0.5) * _COLUMN:.1f}" y="{y + 17}" text-anchor="middle" '
        f'font-size="15" fill="{light("ink")}">{html.escape(letter)}</text>'
        for i, letter in enumerate(piece)
        if letter != " "
    )
    figure = (
        f'<text x="{x + width / 2:.1f}" y="{y + 36}" text-anchor="middle" font-size="8.5" '
        f'fill="{light("muted")}">{bits:.0f}</text>'
    )
    return (
        f'<rect x="{x + 0.8:.1f}" y="{y}" width="{width - 1.6:.1f}" height="25" rx="3" '
        f'fill="{light("worse")}" fill-opacity="{min(bits / _DARKEST_BITS, 1) * 0.75 + 0.03:.3f}">'
        f"<title>{html.escape(repr(piece))}: {bits:.2f} bits</title></rect>{letters}{figure}"
    )


def draw_saved(facts: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    """Bits saved against v1 after each byte of the passage."""
    base = _bits_by_byte(facts["rungs"]["v1"]["pieces"])
    height = 330
    with drawing_style():
        figure, axes = new(WIDTH, height)
        ends: list[Label] = []
        for name, rung in facts["rungs"].items():
            saved = [a - b for a, b in zip(base, _bits_by_byte(rung["pieces"]), strict=True)]
            colour = light(COLOURS[name])
            axes.plot(range(len(saved)), saved, color=colour, lw=1.8)
            style = {"color": colour, "fontsize": 10.5, "fontweight": "bold"}
            ends.append(Label(name, end_places(len(saved) - 1, saved[-1]), style))
        axes.set_xlim(0, len(base) * 1.09)  # room for the names
        axes.set_ylim(*axes.get_ylim())
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_formatter(formatter(lambda y: language.number(y)))
        axes.xaxis.set_major_formatter(formatter(lambda x: language.number(x)))
        axes.set_title(say["saved_y"], loc="left", fontsize=10, pad=10)
        axes.set_xlabel(say["saved_x"], fontsize=10)
        place(figure, axes, ends)
    return adaptive(render_svg(figure))


def _bits_by_byte(pieces: Sequence[Sequence[Any]]) -> list[float]:
    """Bits charged until each byte; a piece's are spread evenly over its bytes."""
    each: list[float] = [0.0]
    for piece, bits in pieces:
        size = len(piece.encode())
        each += [bits / size] * size
    return list(accumulate(each))


def draw_groups(row: dict[str, Any], say: dict[str, Any], language: Language) -> str:
    """Every group's difference, smallest first; the mean over all bytes as a line with its band."""
    groups = row["groups"]
    shown = groups[len(groups) // 50 : -len(groups) // 50]
    with drawing_style():
        figure, axes = new(WIDTH, 300)
        for sign, role in ((-1, "better"), (1, "worse")):
            points = [(i, d) for i, d in enumerate(groups) if d * sign > 0]
            if points:
                axes.scatter(*zip(*points, strict=True), s=5, color=light(role), lw=0)
        axes.axhline(0, color=light("muted"), lw=1)
        axes.axhline(row["difference"], color=light("accent"), lw=1.5, ls=(0, (6, 3)))
        axes.axhspan(*row["ci95"], color=light("accent"), alpha=0.25, lw=0)
        axes.annotate(
            say["groups_mean"].format(
                difference=language.signed(row["difference"]),
                interval=language.interval(row["ci95"]),
            ),
            (0.01, row["ci95"][1]),
            xycoords=("axes fraction", "data"),
            xytext=(0, 4),
            textcoords="offset points",
            color=light("accent"),
            fontsize=10,
        )
        pad = 0.1 * (shown[-1] - shown[0])
        axes.set_ylim(shown[0] - pad, shown[-1] + pad)
        axes.grid(axis="y")
        axes.spines["left"].set_visible(False)
        axes.yaxis.set_major_formatter(formatter(lambda y: language.number(y, 1)))
        axes.xaxis.set_major_formatter(formatter(lambda x: language.number(x)))
        axes.set_title(
            say["groups_y"].format(a=row["a"], b=row["b"]), loc="left", fontsize=10, pad=10
        )
        axes.set_xlabel(say["groups_x"], fontsize=10)
    return adaptive(render_svg(figure))
