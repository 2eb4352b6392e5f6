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

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from escada import __version__
from escada.report.figures.curves import draw_curves
from escada.report.figures.frontier import PRICES, draw_frontier, points
from escada.report.figures.ladder import draw_ladder
from escada.report.i18n import Code, Language
from escada.report.rows import all_tables
from escada.report.scene import Scene, read_scene
from escada.report.tables import Cell, Column, Row, Source, Table
from escada.report.writers.markdown_csv import csv_text
from escada.report.writers.output import MARK, write_ours
from escada.report.writers.print_figures import on_paper, render_pdf, render_pgf, width_points
from escada.report.writers.tex import PACKAGES, table_tex, tex

TEXT_WIDTH_CM = 16.0
"""Of an A4 page with the margins of Brazilian theses: 3 cm on the left, 2 cm on the right."""
BABEL = {"en": "english", "pt": "brazilian"}
_ORDER = (
    *("objectives", "ladder", "#ladder", "controls", "comparisons", "seeds", "sources"),
    *("#curves-tokens", "#curves-seconds", "#curves-flops", "#frontier-flops", "#frontier-money"),
    *("tests", "guardrails", "costs", "runs"),
)
"""Of the floats in the document; figures with a `#`."""


@dataclass(frozen=True, slots=True)
class _Figure:
    name: str
    draw: Callable[[], Figure]
    data: Table


@dataclass(frozen=True, slots=True)
class _Part:
    """A float of the document."""

    name: str
    figure: bool
    caption: str


def write_latex(
    folder: Path, out: Path, code: Code, *, text_width_cm: float = TEXT_WIDTH_CM
) -> Path:
    """Write the tables and figures of a climb for LaTeX.

    Args:
        folder: of the climb, or of one run.
        out: is made; files in it that were not written by escada are not overwritten.
        code: the language of every word and number.
        text_width_cm: of the page that the figures are drawn for.

    Returns:
        The path of the minimal document.

    Raises:
        EscadaError: no ladder there, a file of it that cannot be read, or one in the way.
    """
    scene = read_scene(folder, code)
    tables = all_tables(scene)
    for table in tables:
        write_ours(out / "tables" / f"{table.key}.tex", table_tex(table, mark=MARK))
        write_ours(out / "data" / f"table-{table.key}.csv", csv_text(table))
    figures = list(_figures(scene, width_points(text_width_cm)))
    for figure in figures:
        _write_figure(figure, scene, out)
    there = {table.key for table in tables} | {f"#{figure.name}" for figure in figures}
    parts = [_part(name, scene.language) for name in _ORDER if name in there]
    created = (scene.ladder.created or "")[:10]
    values = {
        "mark": MARK,
        "version": __version__,
        "packages": PACKAGES,
        "babel": BABEL[code],
        "title": tex(scene.language.say("thesis.title")),
        "abstract": tex(scene.language.say("thesis.abstract")),
        "created": tex(created),
        "parts": parts,
    }
    for name in ("thesis-snippet.tex", "thesis.tex"):
        text = _templates().get_template(f"{name}.j2").render(values)
        write_ours(out / name, text)
    return out / "thesis.tex"


def _templates() -> Environment:
    """Templates whose signs are none of TeX's."""
    return Environment(
        loader=PackageLoader("escada.report"),
        autoescape=False,  # values have been through tex()
        undefined=StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        comment_start_string="<#",
        comment_end_string="#>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _part(name: str, language: Language) -> _Part:
    if not name.startswith("#"):
        return _Part(name, False, "")
    name = name.removeprefix("#")
    return _Part(name, True, tex(language.say(f"thesis.{name.replace('-', '_')}")))


def _figures(scene: Scene, width: int) -> Iterator[_Figure]:
    """The figures that there is something to draw for."""
    ladder, runs, language = scene.ladder, scene.runs, scene.language
    height = round(width * 0.56)
    low = round(width * 0.48)
    yield _Figure(
        "ladder",
        lambda: draw_ladder(ladder, scene.findings, language, width=width, height=height),
        _ladder_data(scene),
    )
    curves = {name: run.curve for name, run in runs.items()}
    if any(curves.values()):
        data = _curves_data(scene)
        for over in ("tokens", "seconds", "flops"):
            yield _Figure(
                f"curves-{over}",
                lambda over=over: draw_curves(
                    ladder, curves, language, over=over, width=width, height=low
                ),
                data,
            )
    for over in PRICES:
        if points(ladder, runs, language, over):
            yield _Figure(
                f"frontier-{over}",
                lambda over=over: draw_frontier(
                    ladder, runs, language, over=over, width=width, height=low
                ),
                _frontier_data(scene, over),
            )


def _write_figure(figure: _Figure, scene: Scene, out: Path) -> None:
    sources = list(
        dict.fromkeys(
            f"{row.cells[0].value}: {source}" for row in figure.data.rows for source in row.sources
        )
    )
    drawn = on_paper(figure.draw())
    pdf = render_pdf(drawn, f"escada: {figure.name}", "; ".join(sources))
    head = [MARK, f"Numbers: data/{figure.name}.csv", *sources]
    write_ours(out / "figures" / f"{figure.name}.pgf", render_pgf(drawn, head))
    write_ours(out / "figures" / f"{figure.name}.pdf", pdf)
    write_ours(out / "data" / f"{figure.name}.csv", csv_text(figure.data))


def _data(name: str, keys: tuple[str, ...], rows: list[Row]) -> Table:
    return Table(name, "", [Column(key, "") for key in keys], rows)


def _ladder_data(scene: Scene) -> Table:
    rows = [
        Row(
            [Cell("", v) for v in (rung.name, rung.key, rung.bits_per_byte, rung.ci95)],
            (Source.of(rung),),
        )
        for rung in scene.ladder.rungs
    ]
    rows += [
        Row([Cell("", v) for v in (b.key, None, b.bits_per_byte, b.ci95)], control=True)
        for b in scene.ladder.baselines
    ]
    return _data("ladder", ("name", "key", "bits_per_byte", "ci95"), rows)


def _curves_data(scene: Scene) -> Table:
    keys = ("name", "key", "step", "tokens", "seconds", "flops", "bits_per_byte")
    rows = [
        Row(
            [
                Cell("", value)
                for value in (
                    *(rung.name, rung.key, point.step, point.tokens),
                    *(point.seconds, point.flops, point.bits_per_byte),
                )
            ],
            (Source.of(rung),),
        )
        for rung in scene.ladder.rungs
        for point in scene.runs[rung.name].curve
    ]
    return _data("curves", keys, rows)


def _frontier_data(scene: Scene, over: str) -> Table:
    rungs = {rung.name: rung for rung in scene.ladder.rungs}
    price = "training_flops" if over == "flops" else scene.language.say("tables.currency")
    rows = [
        Row(
            [
                Cell("", value)
                for value in (
                    *(point.name, rungs[point.name].key),
                    *(point.price, point.bits, point.interval),
                )
            ],
            (Source.of(rungs[point.name]),),
        )
        for point in points(scene.ladder, scene.runs, scene.language, over)
    ]
    return _data(f"frontier-{over}", ("name", "key", price, "bits_per_byte", "ci95"), rows)
