"""A climb as one page: `write_report(folder)` reads its ladder and writes `report/index.html`.

The page is one file that asks nothing of any host (its Content-Security-Policy forbids it to): CSS
and figures are inside, both languages are rendered, and the radio buttons that choose one work
without the script that remembers the choice. Samples are text that a model wrote: every text is
escaped by the template engine, and control characters are made visible.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from escada import __version__
from escada.files import write_bytes, write_text
from escada.report import beyond
from escada.report.data import LadderFacts, RunFacts, read_ladder, read_run
from escada.report.figures.curves import draw_curves, draw_lexicon, draw_sources
from escada.report.figures.frontier import PRICES, draw_frontier, points
from escada.report.figures.ladder import draw_ladder
from escada.report.figures.palette import rung_roles, variables
from escada.report.figures.svg import inline, render_png, render_svg, standalone
from escada.report.findings import Findings, find
from escada.report.glance import glance
from escada.report.i18n import CODES, Code, Language
from escada.report.objectives import objectives
from escada.report.progress import Progress
from escada.report.sentences import headline, measure, verdict
from escada.report.tested import read_judge
from escada.report.writers import html_views as views

SECTIONS = (
    "ladder",
    "steps",
    "curves",
    "samples",
    "tests",
    "sources",
    "costs",
    "method",
    "environment",
)
_NARROW = 360
"""Width of the ladder's second drawing, for telephones."""


@dataclass(frozen=True, slots=True)
class _Body:
    language: Language
    sections: tuple[str, ...]
    html: str


@dataclass(frozen=True, slots=True)
class Live:
    """What the page of a climb in progress says of itself.

    Attributes:
        every_seconds: after which it loads itself again.
        written: when, in UTC and ISO 8601.
        progress: where the climb is.
    """

    every_seconds: float
    written: str
    progress: Progress


def write_report(
    folder: Path, *, ladder: LadderFacts | None = None, live: Live | None = None
) -> Path:
    """Write `folder/report/index.html` and `folder/report/figures/*` from `folder/ladder.json`.

    What is written depends on the files that are read and on nothing else: no clock, no machine.

    Args:
        folder: of the climb, or of one run.
        ladder: in the place of `folder/ladder.json`, while a climb has not come to its end.
        live: the page says that it is of a climb in progress, and loads itself again; its figures
            are not kept as PNG, which would take time from the training.

    Returns:
        The path of the page.

    Raises:
        EscadaError: no ladder there, or a file of it that cannot be read.
    """
    ladder = ladder or read_ladder(folder)
    runs = {rung.name: read_run(folder, rung) for rung in ladder.rungs}
    judge = read_judge(folder)
    findings = find(ladder)
    out = folder / "report"
    templates = Environment(
        loader=PackageLoader("escada.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=views.visible,
    )
    bodies: list[_Body] = []
    for code in CODES:
        language = Language.load(code)
        figures = _figures(ladder, runs, findings, language, out / "figures", png=live is None)
        text = templates.get_template("body.html.j2").render(
            _context(ladder, runs, findings, language) | beyond.context(ladder, judge, language),
            figures=figures,
        )
        bodies.append(_Body(language, SECTIONS, text))
    script = _static("script.js")
    page = templates.get_template("page.html.j2").render(
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
    write_text(out / "index.html", page.lstrip())
    return out / "index.html"


def conclusions(folder: Path, code: Code = "en") -> list[str]:
    """The headline of a climb in plain sentences, for a terminal.

    Raises:
        EscadaError: see `write_report`.
    """
    ladder = read_ladder(folder)
    return [sentence for _, sentence in headline(ladder, find(ladder), Language.load(code))]


def _static(name: str) -> str:
    file = resources.files("escada.report").joinpath("templates").joinpath(name)
    return file.read_text(encoding="utf-8").strip()


def _context(
    ladder: LadderFacts, runs: Mapping[str, RunFacts], findings: Findings, language: Language
) -> dict[str, object]:
    """All that the template of one language may name."""
    sampled = [rung.name for rung in ladder.rungs if runs[rung.name].samples]
    return {
        "t": language,
        "version": __version__,
        "ladder": ladder,
        "runs": runs,
        "findings": findings,
        "roles": rung_roles(ladder.rungs),
        "settings": views.settings(ladder, language),
        "headline": headline(ladder, findings, language),
        "measure": measure(ladder, findings, language),
        "glance": glance(ladder, runs, language),
        "cost_notes": views.cost_notes(ladder, runs, language),
        "tokenizers": {rung.name: views.tokenizer(rung, language) for rung in ladder.rungs},
        "statuses": {rung.name: views.status(rung, language) for rung in ladder.rungs},
        "protocols": {
            rung.name: views.protocol(rung.protocol, language)
            for rung in (*ladder.rungs, *ladder.baselines)
        },
        "verdicts": {rung.name: verdict(rung, findings, language) for rung in ladder.rungs},
        "without_curve": [rung.name for rung in ladder.rungs if not runs[rung.name].curve],
        "without_samples": [rung.name for rung in ladder.rungs if rung.name not in sampled],
        "prompts": views.prompts(ladder, runs, language),
        "sampler": views.sampler(runs[sampled[0]]) if sampled else "",
        "objectives": {rung.name: objectives(rung, ladder, findings) for rung in ladder.rungs},
        "failing": {rung.name: views.failing(rung, language) for rung in ladder.rungs},
        "prices": [over for over in PRICES if points(ladder, runs, language, over)],
        "sources": sorted({source for rung in ladder.rungs for source in rung.by_source}),
        "sources_notes": views.sources_notes(ladder, language),
        "metered": any(run.cost for run in runs.values()),
        "largest": views.largest_costs(ladder),
        "gaps": {rung.name: views.gap(rung) for rung in ladder.rungs},
        "corpus": views.corpus(ladder, language),
        "environment": views.environment(ladder, runs, language),
    }


def _figures(
    ladder: LadderFacts,
    runs: Mapping[str, RunFacts],
    findings: Findings,
    language: Language,
    out: Path,
    *,
    png: bool,
) -> dict[str, str]:
    """Draw every figure in one language, keep it as SVG and PNG, return what goes into the page."""
    curves = {name: run.curve for name, run in runs.items()}
    alts = views.figure_alts(ladder, runs, language)
    figures: dict[str, Figure] = {
        "ladder": draw_ladder(ladder, findings, language),
        **{
            f"curves-{over}": draw_curves(ladder, curves, language, over=over)
            for over in ("tokens", "seconds", "flops")
        },
        **{
            f"frontier-{over}": draw_frontier(ladder, runs, language, over=over)
            for over in PRICES
            if points(ladder, runs, language, over)
        },
        "lexicon": draw_lexicon(ladder, language),
        "sources": draw_sources(ladder, language),
    }
    shown: dict[str, str] = {}
    for name, figure in figures.items():
        svg = render_svg(figure)
        write_text(out / f"{name}.{language.code}.svg", standalone(svg))
        if png:
            write_bytes(out / f"{name}.{language.code}.png", render_png(figure))
        shown[name] = inline(svg, f"{language.code}-{name}", html.escape(alts[name]))
    narrow = render_svg(draw_ladder(ladder, findings, language, width=_NARROW))
    shown["ladder-narrow"] = inline(
        narrow, f"{language.code}-ladder-narrow", html.escape(alts["ladder"])
    )
    return shown
