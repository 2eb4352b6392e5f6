"""Figures for paper: PDF with its fonts inside, and PGF, whose text TeX sets in the thesis's own.

Neither asks for a TeX on the machine that writes it. matplotlib's PGF backend would start one only
to measure text; here text is measured by the font of the PDF, and placed by its anchor, so that
TeX's own widths do no harm. The same figure is drawn once and written twice.
"""

from __future__ import annotations

import io
from contextlib import AbstractContextManager
from typing import Any, cast

import matplotlib
from matplotlib.backends.backend_pgf import RendererPgf
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from escada.report.figures.svg import RC
from escada.report.writers.tex import comment, tex

POINTS_PER_CM = 72 / 2.54
SERIF = "STIXGeneral"
"""Comes with matplotlib, has the letters of Portuguese, and sits well beside Times and its kin."""
FAMILIES = ["serif", "DejaVu Serif"]
"""The second for what the first lacks, such as a raised zero."""
PAPER_RC = RC | {"font.family": "serif", "font.serif": [SERIF], "pdf.fonttype": 42}


def width_points(centimetres: float) -> int:
    """A width on paper in the points that figures are drawn in (72 to an inch)."""
    return round(centimetres * POINTS_PER_CM)


def on_paper(figure: Figure) -> Figure:
    """The figure with the letters of a page: serifs, narrower than those it was laid out by."""
    for text in figure.findobj(Text):
        text.set_fontfamily(FAMILIES)
    return figure


def render_pdf(figure: Figure, title: str, sources: str) -> bytes:
    """The figure as a PDF without a date; its metadata name the runs that it shows."""
    buffer = io.BytesIO()
    about = {"Title": title, "Subject": sources, "CreationDate": None, "Producer": None}
    with _style():
        figure.savefig(buffer, format="pdf", metadata=about | {"Creator": "escada"})
    return buffer.getvalue()


def render_pgf(figure: Figure, head: list[str]) -> str:
    r"""The figure as PGF, for `\input` in a document that loads `pgf`.

    Args:
        figure: laid out (see `render_pdf`).
        head: lines of the comment at its top.
    """
    out = io.StringIO()
    out.writelines(comment(line) for line in head)
    width, height = (float(inches) for inches in figure.get_size_inches())
    out.write("\\begingroup%\n\\makeatletter%\n\\begin{pgfpicture}%\n")
    out.write(
        f"\\pgfpathrectangle{{\\pgfpointorigin}}{{\\pgfqpoint{{{width:f}in}}{{{height:f}in}}}}%\n"
        "\\pgfusepath{use as bounding box, clip}%\n"
    )
    with _style():
        cast(Any, figure).draw(_Renderer(figure, out))
    out.write("\\end{pgfpicture}%\n\\makeatother%\n\\endgroup%\n")
    return out.getvalue()


def _style() -> AbstractContextManager[None]:
    return cast(Any, matplotlib).rc_context(PAPER_RC)


class _Renderer(RendererPgf):
    """matplotlib's, without its LaTeX process; text is escaped as everywhere in the report."""

    def draw_text(
        self,
        gc: Any,
        x: Any,
        y: Any,
        s: Any,
        prop: Any,
        angle: Any,
        ismath: Any = False,
        mtext: Any = None,
    ) -> None:
        super().draw_text(gc, x, y, tex(str(s)), prop, angle, ismath, mtext)

    def get_text_width_height_descent(self, s: Any, prop: Any, ismath: Any) -> Any:
        size = float(prop.get_size_in_points())
        width, height, descent = cast(Any, text_to_path).get_text_width_height_descent(
            s, prop, ismath=False
        )
        scale = float(cast(Any, self).points_to_pixels(size)) / size
        return width * scale, height * scale, descent * scale
