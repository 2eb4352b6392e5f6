"""A figure of the report as a file of its own: light, dark, or as the reader's system has it."""

from __future__ import annotations

import io

from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure

from escada.report.figures.palette import THEMES, variables
from escada.report.figures.svg import drawing_style, render_svg

_DARK = dict(THEMES.values())
_COLOURS = ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor")


def adaptive(svg: str) -> str:
    """An SVG in the light colours as one that turns dark where the reader's system is."""
    head, rest = svg.split(">", 1)
    for role, (colour, _) in THEMES.items():
        rest = rest.replace(colour, f"var(--{role})")
    style = (
        f"<style>:root{{{variables(0)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{variables(1)}}}}}</style>"
    )
    paper = '<rect width="100%" height="100%" fill="var(--surface)"/>'
    return f"{head}>\n {style}\n {paper}{rest.rstrip()}\n"


def darken(figure: Figure) -> None:
    """Every colour of the palette in a figure becomes its dark form."""
    for artist in figure.findobj(Artist):
        for name in _COLOURS:
            read = getattr(artist, f"get_{name}", None)
            if read is None:
                continue
            colour = read()
            if not isinstance(colour, (str, tuple)):
                continue  # arrays of colours belong to collections, which are set one by one below
            _recolour(artist, name, colour)
        if isinstance(artist, Collection):
            faces = artist.get_facecolor()
            if len(faces) == 1:
                _recolour(artist, "facecolor", tuple(faces[0]))


def _recolour(artist: Artist, name: str, colour: object) -> None:
    rgba = to_rgba(colour)  # pyright: ignore[reportArgumentType]
    if (dark := _DARK.get(to_hex(rgba))) is not None:
        getattr(artist, f"set_{name}")(to_rgba(dark, rgba[3]))


def theme_files(figure: Figure, name: str) -> dict[str, str | bytes]:
    """SVG and PNG of a figure in light and in dark, by file name; the figure is left dark."""
    files: dict[str, str | bytes] = {}
    for theme in ("light", "dark"):
        if theme == "dark":
            darken(figure)
        surface = THEMES["surface"][theme == "dark"]
        figure.set_facecolor(surface)
        head, rest = render_svg(figure).split(">", 1)
        paper = f'<rect width="100%" height="100%" fill="{surface}"/>'
        files[f"{name}.{theme}.svg"] = f"{head}>\n {paper}{rest.rstrip()}\n"
        files[f"{name}.{theme}.png"] = _png(figure)
    return files


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    with drawing_style():
        figure.savefig(buffer, format="png", dpi=144)
    return buffer.getvalue()
