"""A climb for a thesis: `write_latex(folder, out, "pt")`.

    out/
      thesis.tex            a minimal document, for preview
      thesis-snippet.tex    to include in a thesis: every table and figure as a float
      tables/*.tex          booktabs; each row's run and exact values are in comments above it
      figures/*.pgf *.pdf   in the document's font, or with embedded fonts
      data/*.csv            all numbers of each figure and table, with their runs' keys

The output depends on the climb's files alone: no clock, no machine, no TeX installation.
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
"""Of an A4 page with the margins of Brazilian theses: 3 cm left, 2 cm right."""
BABEL = {"en": "english", "pt": "brazilian"}


@dataclass(frozen=True, slots=True)
class _Part:
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
    scale: Path | None = None,
) -> Path:
    """Write the tables and figures of a climb for LaTeX.

    Args:
        out: created if missing; files that escada did not write are not overwritten.
        text_width_cm: of the page that the figures are drawn for.
        more_sections: dotted names of modules with a section each.
        scale: the folder of its scale.json; None: `folder`.

    Returns:
        The path of the minimal document.

    Raises:
        EscadaError: no ladder there, an unreadable file, or a foreign file at a target path.
    """
    contents = Contents(read_climb(folder, scale=scale), Language.load(code))
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
    # Delimiters that TeX does not use; the values are already escaped by tex().
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
