"""A climb for a thesis: `write_latex(folder, out, "pt")`.

    out/
      thesis.tex            a minimal document, to look at
      thesis-snippet.tex    what a thesis takes: every table and figure as a float
      tables/*.tex          booktabs; above each row its run and its exact values, as comments
      figures/*.pgf *.pdf   set in the document's font, or in their own
      data/*.csv            the numbers of each figure and table, whole, with the key of their run

What is written depends on the climb's files alone: no clock, no machine, no TeX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from escada import __version__
from escada.choices import Code
from escada.report.blocks import Figure
from escada.report.contents import Contents
from escada.report.data import read_climb
from escada.report.i18n import Language
from escada.report.sections import sections_of
from escada.report.tables import Table
from escada.report.writers.markdown_csv import csv_text
from escada.report.writers.output import MARK, write_ours
from escada.report.writers.print_figures import on_paper, render_pdf, render_pgf, width_points
from escada.report.writers.templates import environment
from escada.report.writers.tex import PACKAGES, table_tex, tex

TEXT_WIDTH_CM = 16.0
"""Of an A4 page with the margins of Brazilian theses: 3 cm on the left, 2 cm on the right."""
BABEL = {"en": "english", "pt": "brazilian"}


@dataclass(frozen=True, slots=True)
class _Part:
    """A float of the document."""

    name: str
    figure: bool
    caption: str


def write_latex(
    folder: Path,
    out: Path,
    code: Code,
    *,
    text_width_cm: float = TEXT_WIDTH_CM,
    more_sections: Sequence[str] = (),
) -> Path:
    """Write the tables and figures of a climb for LaTeX.

    Args:
        folder: of the climb, or of one run.
        out: is made; files in it that were not written by escada are not overwritten.
        code: the language of every word and number.
        text_width_cm: of the page that the figures are drawn for.
        more_sections: dotted names of modules with a section each.

    Returns:
        The path of the minimal document.

    Raises:
        EscadaError: no ladder there, a file of it that cannot be read, or one in the way.
    """
    contents = Contents(read_climb(folder), Language.load(code))
    parts: list[_Part] = []
    for section in sections_of(contents, more_sections):
        for table in section.tables():
            write_ours(out / "tables" / f"{table.key}.tex", table_tex(table, mark=MARK))
            write_ours(out / "data" / f"table-{table.key}.csv", csv_text(table))
            parts.append(_Part(table.key, False, ""))
        for figure in section.figures():
            if figure.paper:
                _write_figure(figure, width_points(text_width_cm), out)
                parts.append(_Part(figure.name, True, tex(figure.paper)))
    created = (contents.ladder.created or "")[:10]
    values = {
        "mark": MARK,
        "version": __version__,
        "packages": PACKAGES,
        "babel": BABEL[code],
        "title": tex(contents.language.say("thesis.title")),
        "abstract": tex(contents.language.say("thesis.abstract")),
        "created": tex(created),
        "parts": parts,
    }
    # Signs that are none of TeX's; values have been through tex().
    signs = {"block": ("<%", "%>"), "variable": ("<<", ">>"), "comment": ("<#", "#>")}
    options = {f"{name}_start_string": start for name, (start, _) in signs.items()}
    options |= {f"{name}_end_string": end for name, (_, end) in signs.items()}
    templates = environment(autoescape=False, keep_trailing_newline=True, **options)
    for name in ("thesis-snippet.tex", "thesis.tex"):
        write_ours(out / name, templates.get_template(f"{name}.j2").render(values))
    return out / "thesis.tex"


def _write_figure(figure: Figure, width: int, out: Path) -> None:
    data = figure.data or Table(figure.name, "", [], [])
    sources = list(
        dict.fromkeys(
            f"{row.cells[0].value}: {source}" for row in data.rows for source in row.sources
        )
    )
    drawn = on_paper(figure.draw(width=width, height=round(width * figure.flatness)))
    pdf = render_pdf(drawn, f"escada: {figure.name}", "; ".join(sources))
    head = [MARK, f"Numbers: data/{figure.name}.csv", *sources]
    write_ours(out / "figures" / f"{figure.name}.pgf", render_pgf(drawn, head))
    write_ours(out / "figures" / f"{figure.name}.pdf", pdf)
    write_ours(out / "data" / f"{figure.name}.csv", csv_text(data))
