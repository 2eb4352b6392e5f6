"""Figures for paper: PDF with embedded fonts, and PGF, whose text TeX sets in the document's font.

Neither needs a TeX installation. matplotlib's PGF backend would start TeX only to measure text;
here text is measured in the PDF's font and placed by its anchor, so different widths in TeX do not
matter. A figure is drawn once and written in both formats.
"""

from __future__ import annotations

import io
from typing import Any, cast

from matplotlib.backends.backend_pgf import RendererPgf
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

from escada.report.figures.svg import RC, drawing_style
from escada.report.writers.tex import comment, tex

POINTS_PER_CM = 72 / 2.54
SERIF = "STIXGeneral"
"""Comes with matplotlib, covers Portuguese, and matches Times-like fonts."""
FAMILIES = ["serif", "DejaVu Serif"]
"""The second is for glyphs the first lacks, such as superscript zero."""
PAPER_RC = RC | {"font.family": "serif", "font.serif": [SERIF], "pdf.fonttype": 42}


def width_points(centimetres: float) -> int:
    """A width on paper in points, 72 per inch."""
    return round(centimetres * POINTS_PER_CM)


def on_paper(figure: Figure) -> Figure:
    """Set a figure's text in serifs, which are narrower than the font it was laid out with."""
    for text in figure.findobj(Text):
        text.set_fontfamily(FAMILIES)
    return figure


def render_pdf(figure: Figure, title: str, sources: str) -> bytes:
    """The figure as a PDF without date; its metadata name the runs shown."""
    buffer = io.BytesIO()
    about = {"Title": title, "Subject": sources, "CreationDate": None, "Producer": None}
    with drawing_style(PAPER_RC):
        figure.savefig(buffer, format="pdf", metadata=about | {"Creator": "escada"})
    return buffer.getvalue()


def render_pgf(figure: Figure, head: list[str]) -> str:
    r"""The figure as PGF, for `\input` in a document that loads `pgf`.

    `head` has the lines of the comment at its top.
    """
    out = io.StringIO()
    out.writelines(comment(line) for line in head)
    width, height = (float(inches) for inches in figure.get_size_inches())
    out.write("\\begingroup%\n\\makeatletter%\n\\begin{pgfpicture}%\n")
    out.write(
        f"\\pgfpathrectangle{{\\pgfpointorigin}}{{\\pgfqpoint{{{width:f}in}}{{{height:f}in}}}}%\n"
        "\\pgfusepath{use as bounding box, clip}%\n"
    )
    with drawing_style(PAPER_RC):
        cast(Any, figure).draw(_Renderer(figure, out))
    out.write("\\end{pgfpicture}%\n\\makeatother%\n\\endgroup%\n")
    return out.getvalue()


class _Renderer(RendererPgf):
    """matplotlib's PGF renderer, without its LaTeX process and with text escaped by `tex`."""

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
