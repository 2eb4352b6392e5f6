"""Files to take away: LaTeX, Markdown, CSV, the roadmap's table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from escada.choices import Code
from escada.report.contents import Contents
from escada.report.data import read_climb, read_ladder
from escada.report.i18n import Language
from escada.report.sections import sections_of
from escada.report.tables import Table
from escada.report.writers.latex import write_latex
from escada.report.writers.markdown_csv import csv_text, markdown
from escada.report.writers.output import MARK, write_ours
from escada.report.writers.roadmap import roadmap

__all__ = ["write_csv", "write_latex", "write_markdown", "write_roadmap"]


def write_markdown(
    folder: Path,
    file: Path,
    code: Code,
    *,
    more_sections: Sequence[str] = (),
    scale: Path | None = None,
) -> Path:
    """Write all tables of a climb, or of one run, into one Markdown file; return its path.

    `more_sections` are dotted names of modules with a section each; `scale` is the folder of its
    scale.json, if not `folder`.

    Raises:
        EscadaError: no ladder there, an unreadable file, or a foreign file at the target path.
    """
    title = Language.load(code).say("thesis.title")
    tables = _tables(folder, code, more_sections, scale)
    return write_ours(file, markdown(tables, title=title, mark=MARK))


def write_csv(
    folder: Path, out: Path, *, more_sections: Sequence[str] = (), scale: Path | None = None
) -> Path:
    """Write each table of a climb into its own CSV file in `out`; return `out`.

    Raises:
        EscadaError: as `write_markdown`.
    """
    for table in _tables(folder, "en", more_sections, scale):
        write_ours(out / f"{table.key}.csv", csv_text(table))
    return out


def write_roadmap(folder: Path, file: Path) -> Path:
    """Write the roadmap's versions with their results in a climb; returns the file.

    Raises:
        EscadaError: as `write_markdown`.
    """
    return write_ours(file, roadmap(read_ladder(folder)))


def _tables(
    folder: Path, code: Code, more_sections: Sequence[str], scale: Path | None
) -> list[Table]:
    contents = Contents(read_climb(folder, scale=scale), Language.load(code))
    sections = sections_of(contents, more_sections)
    return [table for section in sections for table in section.tables()]
