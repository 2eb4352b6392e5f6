"""A climb as one page: `write_report(folder)` reads its ladder and writes `report/index.html`.

The page is self-contained (its Content-Security-Policy blocks all other hosts): CSS and figures are
inline, both languages are rendered, and radio buttons switch between them without JavaScript; the
script only remembers the choice. The template engine escapes all text, generated samples included,
and control characters are replaced.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment

from escada import __version__
from escada.choices import CODES, Code
from escada.files import write_bytes, write_text
from escada.report.blocks import Figure, Section
from escada.report.contents import Contents
from escada.report.data import need_scale, read_climb, showable
from escada.report.figures.palette import rung_roles, variables
from escada.report.figures.svg import inline, render_png, render_svg, standalone
from escada.report.glance import glance
from escada.report.i18n import NOTHING, Language
from escada.report.progress import Progress
from escada.report.schema import Ladder
from escada.report.sections import sections_of
from escada.report.sections.scaling import scaling_section
from escada.report.sentences import headline, measure
from escada.report.writers.markdown_csv import csv_text
from escada.report.writers.output import write_ours
from escada.report.writers.templates import environment, visible

SCALE_PAGE = "scale"
"""The folder of a scale's page."""


@dataclass(frozen=True, slots=True)
class Live:
    """Status shown on the page of a climb in progress; `written` is UTC in ISO 8601."""

    every_seconds: float
    written: str
    progress: Progress


@dataclass(frozen=True, slots=True)
class _Body:
    language: Language
    sections: Sequence[Section]
    html: str


@dataclass(frozen=True, slots=True)
class _Values:
    """Template variables of one language.

    Attributes:
        roles: colours by rung.
        drawn: SVG figures by name.
        files: forms of each figure with the path of its file beside the page.
    """

    t: Language
    roles: dict[str, str]
    drawn: dict[str, str]
    files: dict[str, list[tuple[str, str]]]


def write_report(
    folder: Path,
    *,
    ladder: Ladder | None = None,
    live: Live | None = None,
    more_sections: Sequence[str] = (),
    scale: Path | None = None,
) -> Path:
    """Write `folder/report/index.html` and `folder/report/figures/*` from `folder/ladder.json`.

    The output depends only on the files read and the arguments: no clock, no machine.

    Args:
        ladder: used instead of `folder/ladder.json` while the climb is in progress.
        live: marks the page as of a climb in progress and makes it reload itself; figures are then
            not saved as PNG, to leave CPU time to the training.
        more_sections: dotted names of modules with a section each.
        scale: the folder of its scale.json; None: `folder`.

    Returns:
        The path of the page.

    Raises:
        EscadaError: no ladder there, an unreadable file, or no such section.
    """
    climb = read_climb(folder, ladder, scale)
    out = folder / "report"
    bodies: list[_Body] = []
    for code in CODES:
        contents = Contents(climb, Language.load(code))
        sections = sections_of(contents, more_sections)
        values = _Values(contents.language, contents.roles, {}, {})
        for section in sections:
            for figure in section.figures():
                _draw(figure, values, out, png=live is None)
        bodies.append(_Body(values.t, sections, _body(values, sections, _lead(contents))))
    return _write_page(out, bodies, live)


def write_scale(folder: Path) -> Path:
    """Write `folder/scale/index.html`, figures and CSV tables from `folder/scale.json`.

    Raises:
        EscadaError: no scale there, or an unreadable file.
    """
    scale, out, bodies = need_scale(folder), folder / SCALE_PAGE, list[_Body]()
    roles = rung_roles(scale.rungs)
    for code in CODES:
        t = Language.load(code)
        section = scaling_section(scale, roles, t)
        page = _Values(t, roles, {}, {})
        for figure in section.figures():
            _draw(figure, page, out, png=True)
        values = {
            "settings": t.say(
                "scaling.settings",
                preset=scale.preset,
                seeds=", ".join(map(str, scale.seeds)),
                created=scale.created.replace("T", " ")[:16],
            ),
            "headline": [("plain", t.say("scaling.headline"))],
            "measure": t.say("headline.measure"),
            "glance": [],
        }
        bodies.append(_Body(t, [section], _body(page, [section], values)))
    for table in bodies[0].sections[0].tables():
        write_ours(out / f"{table.key}.csv", csv_text(table))
    return _write_page(out, bodies, None)


def _write_page(out: Path, bodies: Sequence[_Body], live: Live | None) -> Path:
    """The shell of the page with all its languages."""
    script = "\n".join(map(_static, ("script.js", "explorer.js")))
    page = (
        _templates()
        .get_template("page.html.j2")
        .render(
            bodies=bodies,
            live=live,
            title=" · ".join(body.language.say("page.title") for body in bodies),
            version=__version__,
            light_variables=variables(0),
            dark_variables=variables(1),
            style=_static("style.css"),
            script=script,
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )
    write_text(out / "index.html", page.lstrip())
    return out / "index.html"


def conclusions(folder: Path, code: Code = "en", scale: Path | None = None) -> list[str]:
    """The headline of a climb in plain sentences, for a terminal.

    Raises:
        EscadaError: see `write_report`.
    """
    contents = Contents(read_climb(folder, scale=scale), Language.load(code))
    lines = headline(contents.ladder, contents.findings, contents.language)
    return [sentence for _, sentence in lines]


@cache
def _templates() -> Environment:
    templates = environment(autoescape=True, finalize=visible)
    templates.filters["form"] = lambda block: type(block).__name__
    return templates


def _static(name: str) -> str:
    file = resources.files("escada.report").joinpath("templates").joinpath(name)
    return file.read_text(encoding="utf-8").strip()


def _lead(contents: Contents) -> dict[str, object]:
    """What the page of a climb opens with, by its name in the template."""
    t, ladder = contents.language, contents.ladder
    return {
        "settings": t.say(
            "page.settings",
            preset=ladder.preset or NOTHING,
            seed=NOTHING if ladder.seed is None else ladder.seed,
            created=(ladder.created or NOTHING).replace("T", " ")[:16],
        ),
        "headline": headline(ladder, contents.findings, t),
        "measure": measure(ladder, contents.findings, t),
        "glance": glance(contents.climb, t),
    }


def _body(page: _Values, sections: Sequence[Section], lead: Mapping[str, object]) -> str:
    return (
        _templates()
        .get_template("body.html.j2")
        .render(page=page, sections=sections, version=__version__, **lead)
    )


def _draw(figure: Figure, page: _Values, out: Path, *, png: bool) -> None:
    """Draw a figure for the page, and write it and its numbers beside the page."""
    code = page.t.code
    alt = html.escape(showable(figure.alt))
    drawing = figure.draw()
    svg = render_svg(drawing)
    name, files = f"figures/{figure.name}", page.files.setdefault(figure.name, [])
    write_text(out / f"{name}.{code}.svg", standalone(svg))
    files.append(("SVG", f"{name}.{code}.svg"))
    if png:
        write_bytes(out / f"{name}.{code}.png", render_png(drawing))
        files.append(("PNG", f"{name}.{code}.png"))
    if numbers := figure.data or figure.table:
        write_text(out / f"{name}.csv", csv_text(numbers))
        files.append(("CSV", f"{name}.csv"))
    page.drawn[figure.name] = inline(svg, f"{code}-{figure.name}", alt)
    if figure.narrow:
        narrow = f"{figure.name}-narrow"
        drawn = render_svg(figure.draw(width=figure.narrow))
        page.drawn[narrow] = inline(drawn, f"{code}-{narrow}", alt)
