"""Figures of tasks that have no section of their own, such as those that others add."""

from __future__ import annotations

from escada.report.blocks import Section
from escada.report.contents import Contents
from escada.report.i18n import NOTHING, Language
from escada.report.results import TaskResult
from escada.report.sections.words import rung_cell
from escada.report.tables import Cell, Column, Detail, Row, Source, Table


def section(contents: Contents) -> Section | None:
    """A row for each rung, a column for each task; None where no rung has any."""
    t, say, rungs = contents.language, contents.language.say, contents.ladder.rungs
    found = {key: result for rung in rungs for key, result in rung.tasks.items()}
    if not found:
        return None
    columns = [Column("rung", say("ladder.rung"), numeric=False)]
    for key, result in found.items():
        columns += [Column(key, result.title or key, detail=result.unit), Column(f"{key}_ci95")]
    rows = [
        Row(
            [
                rung_cell(rung),
                *(cell for key in found for cell in _cells(rung.tasks.get(key), t)),
            ],
            (Source.of(rung),),
        )
        for rung in rungs
        if rung.tasks
    ]
    shown = ("rung", *found)
    title = say("other_tasks.title")
    notes = [say("other_tasks.note"), contents.origin]
    table = Table("other_tasks", title, columns, rows, notes, page=shown, paper=shown)
    return Section("other_tasks", title, say("nav.other_tasks"), [table])


def _cells(result: TaskResult | None, t: Language) -> tuple[Cell, Cell]:
    """The figure with its interval below it, and the interval for CSV."""
    if result is None:
        return Cell(NOTHING), Cell(NOTHING)
    interval = t.interval(result.ci95)
    figure = Cell(t.significant(result.value), result.value, details=[Detail(interval)])
    return figure, Cell(interval or NOTHING, result.ci95)
