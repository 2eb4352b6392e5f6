"""From a matplotlib figure to SVG for the page (unique ids, page fonts and colours) or PNG."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure

from escada.report.figures.palette import THEMES, light

FONT_STACK = "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','Liberation Sans',sans-serif"

RC = {
    "svg.fonttype": "none",  # keep text as text: searchable, in the page's font
    "svg.hashsalt": "escada",
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": light("line"),
    "axes.labelcolor": light("muted"),
    "axes.titlecolor": light("muted"),
    "axes.axisbelow": True,
    "text.color": light("ink"),
    "text.parse_math": False,  # a rung's name may contain $
    "xtick.color": light("line"),
    "ytick.color": light("line"),
    "xtick.labelcolor": light("muted"),
    "ytick.labelcolor": light("muted"),
    "grid.color": light("grid"),
    "grid.linewidth": 1.0,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
"""Style of every figure; lengths are CSS pixels (72 per matplotlib inch)."""


def drawing_style(style: Mapping[str, Any] = RC) -> AbstractContextManager[None]:
    """Apply a style, and restore the user's matplotlib settings afterwards."""
    return cast(Any, matplotlib).rc_context(style)


def render_svg(figure: Figure) -> str:
    """The figure as SVG, without date, creator or XML prologue."""
    buffer = io.StringIO()
    with drawing_style():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    return re.sub(r"'DejaVu Sans'", FONT_STACK, svg)


def render_png(figure: Figure) -> bytes:
    """The figure as a PNG on white, at twice its size on the page."""
    buffer = io.BytesIO()
    with drawing_style():
        figure.savefig(buffer, format="png", dpi=144, facecolor="white")
    return buffer.getvalue()


def standalone(svg: str) -> str:
    """The SVG on a white background, for a file."""
    head, rest = svg.split(">", 1)
    return f'{head}>\n <rect width="100%" height="100%" fill="white"/>{rest}\n'


def inline(svg: str, name: str, label: str) -> str:
    """The SVG for embedding in an HTML page.

    `name` prefixes its ids and is unique in the page; `label` is the escaped text alternative.
    """
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    for role, (colour, _) in THEMES.items():
        svg = svg.replace(colour, f"var(--{role})")
    svg = re.sub(r'\s(?:width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r'\sxmlns(?::xlink)?="[^"]*"', "", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
