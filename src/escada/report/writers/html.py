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
from collections.abc import Sequence
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
from escada.report.data import read_climb, read_ladder, showable
from escada.report.figures.palette import rung_roles, variables
from escada.report.figures.svg import inline, render_png, render_svg, standalone
from escada.report.findings import find
from escada.report.glance import glance
from escada.report.i18n import NOTHING, Language
from escada.report.progress import Progress
from escada.report.schema import Ladder
from escada.report.sections import sections_of
from escada.report.sentences import headline, measure
from escada.report.writers.templates import environment, visible


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
class _Page:
    """Template variables of one language: colour roles by rung, SVG figures by name."""

    t: Language
    roles: dict[str, str]
    drawn: dict[str, str]


def write_report(
    folder: Path,
    *,
    ladder: Ladder | None = None,
    live: Live | None = None,
    more_sections: Sequence[str] = (),
) -> Path:
    """Write `folder/report/index.html` and `folder/report/figures/*` from `folder/ladder.json`.

    The output depends only on the files read and the arguments: no clock, no machine.

    Args:
        ladder: used instead of `folder/ladder.json` while the climb is in progress.
        live: marks the page as of a climb in progress and makes it reload itself; figures are then
            not saved as PNG, to leave CPU time to the training.
        more_sections: dotted names of modules with a section each.

    Returns:
        The path of the page.

    Raises:
        EscadaError: no ladder there, an unreadable file, or no such section.
    """
    climb = read_climb(folder, ladder)
    out = folder / "report"
    bodies: list[_Body] = []
    for code in CODES:
        contents = Contents(climb, Language.load(code))
        sections = sections_of(contents, more_sections)
        drawn: dict[str, str] = {}
        for section in sections:
            for figure in section.figures():
                drawn |= _drawn(figure, code, out / "figures", png=live is None)
        bodies.append(_Body(contents.language, sections, _body(contents, sections, drawn)))
    script = _static("script.js")
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


def conclusions(folder: Path, code: Code = "en") -> list[str]:
    """The headline of a climb in plain sentences, for a terminal.

    Raises:
        EscadaError: see `write_report`.
    """
    ladder = read_ladder(folder)
    return [sentence for _, sentence in headline(ladder, find(ladder), Language.load(code))]


@cache
def _templates() -> Environment:
    templates = environment(autoescape=True, finalize=visible)
    templates.filters["form"] = lambda block: type(block).__name__
    return templates


def _static(name: str) -> str:
    file = resources.files("escada.report").joinpath("templates").joinpath(name)
    return file.read_text(encoding="utf-8").strip()


def _body(contents: Contents, sections: Sequence[Section], drawn: dict[str, str]) -> str:
    t, ladder = contents.language, contents.ladder
    settings = t.say(
        "page.settings",
        preset=ladder.preset or NOTHING,
        seed=NOTHING if ladder.seed is None else ladder.seed,
        created=(ladder.created or NOTHING).replace("T", " ")[:16],
    )
    return (
        _templates()
        .get_template("body.html.j2")
        .render(
            page=_Page(t, rung_roles(ladder.rungs), drawn),
            settings=settings,
            headline=headline(ladder, contents.findings, t),
            measure=measure(ladder, contents.findings, t),
            glance=glance(contents.climb, t),
            sections=sections,
            version=__version__,
        )
    )


def _drawn(figure: Figure, code: Code, out: Path, *, png: bool) -> dict[str, str]:
    """Draw a figure, save it as SVG and PNG, and return the inline SVGs by name."""
    alt = html.escape(showable(figure.alt))
    drawing = figure.draw()
    svg = render_svg(drawing)
    write_text(out / f"{figure.name}.{code}.svg", standalone(svg))
    if png:
        write_bytes(out / f"{figure.name}.{code}.png", render_png(drawing))
    shown = {figure.name: inline(svg, f"{code}-{figure.name}", alt)}
    if figure.narrow:
        name = f"{figure.name}-narrow"
        narrow = render_svg(figure.draw(width=figure.narrow))
        shown[name] = inline(narrow, f"{code}-{name}", alt)
    return shown
