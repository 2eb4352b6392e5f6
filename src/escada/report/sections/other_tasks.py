"""Results of tasks that have no section of their own, such as those from outside the package."""

from __future__ import annotations

from escada.evaluation.task import Figure
from escada.report.blocks import Section
from escada.report.contents import Contents
from escada.report.i18n import NOTHING, Language
from escada.report.schema import RungRow
from escada.report.sections.shared import rung_cell, rung_column
from escada.report.tables import Cell, Column, Detail, Provenance, Row, Table


def section(contents: Contents) -> Section | None:
    """A row per rung, a column per figure; None if no rung has any."""
    t, say, rungs = contents.language, contents.language.say, contents.ladder.rungs
    by_rung = {rung.name: _figures(rung) for rung in rungs}
    found = {key: figure for figures in by_rung.values() for key, figure in figures.items()}
    if not found:
        return None
    columns = [rung_column(t)]
    for key, figure in found.items():
        columns += [Column(key, key, detail=figure.unit), Column(f"{key}_ci95")]
    rows = [
        Row(
            [rung_cell(rung), *(cell for key in found for cell in _cells(figures.get(key), t))],
            (Provenance.of(rung),),
        )
        for rung in rungs
        if (figures := by_rung[rung.name])
    ]
    shown = ("rung", *found)
    title = say("other_tasks.title")
    notes = [say("other_tasks.note"), contents.origin]
    table = Table("other_tasks", title, columns, rows, notes, page=shown, paper=shown)
    return Section("other_tasks", title, say("nav.other_tasks"), [table])


def _figures(rung: RungRow) -> dict[str, Figure]:
    return {
        f"{task} {figure.name}": figure
        for task, figures in rung.tasks.items()
        for figure in figures
    }


def _cells(figure: Figure | None, t: Language) -> tuple[Cell, Cell]:
    """The figure with its interval below, and the interval alone for CSV."""
    if figure is None:
        return Cell(NOTHING), Cell(NOTHING)
    interval = t.interval(figure.ci95)
    shown = Cell(t.significant(figure.value), figure.value, details=[Detail(interval)])
    return shown, Cell(interval or NOTHING, figure.ci95)
