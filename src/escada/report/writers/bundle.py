"""The files that a reader takes away: LaTeX, Markdown, CSV, the roadmap's table."""

from __future__ import annotations

from pathlib import Path

from escada.report.data import read_ladder
from escada.report.i18n import Code
from escada.report.rows import all_tables
from escada.report.scene import read_scene
from escada.report.writers.latex import write_latex
from escada.report.writers.markdown_csv import csv_text, markdown
from escada.report.writers.output import MARK, write_ours
from escada.report.writers.roadmap import roadmap

__all__ = ["write_csv", "write_latex", "write_markdown", "write_roadmap"]


def write_markdown(folder: Path, file: Path, code: Code) -> Path:
    """Write all tables of a climb into one Markdown file.

    Returns:
        Its path.

    Raises:
        EscadaError: no ladder there, a file of it that cannot be read, or one in the way.
    """
    scene = read_scene(folder, code)
    title = scene.language.say("thesis.title")
    return write_ours(file, markdown(all_tables(scene), title=title, mark=MARK))


def write_csv(folder: Path, out: Path) -> Path:
    """Write each table of a climb into a CSV file of its own.

    Returns:
        Their folder.

    Raises:
        EscadaError: as `write_markdown`.
    """
    for table in all_tables(read_scene(folder, "en")):
        write_ours(out / f"{table.key}.csv", csv_text(table))
    return out


def write_roadmap(folder: Path, file: Path) -> Path:
    """Write the roadmap's versions as they came out in a climb.

    Returns:
        The path of the file.

    Raises:
        EscadaError: as `write_markdown`.
    """
    return write_ours(file, roadmap(read_ladder(folder)))
