"""Print a `Table` in a terminal, and the table at the end of a climb.

Large numbers are ASCII with metric suffixes, since a terminal may not show other characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from escada.errors import counted
from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.report.schema import Ladder, RungRow
from escada.report.tables import Cell, Column, Filled, Row, Table, columns_of, rung_rows
from escada.runs.time_budget import ALLOWED, is_off, time_in_words, time_warning
from escada.terminal import echo, print_table


def show_table(table: Table) -> None:
    """Print all columns of a table under its caption, a line per row."""
    columns: list[tuple[str, Literal["left", "right"]]] = [
        (column.one_line, "right" if column.numeric else "left") for column in table.columns
    ]
    rows = [[cell.text for cell in row.cells] for row in table.rows]
    print_table(columns, rows, title=table.caption)


def show_ladder(ladder: Ladder) -> None:
    """Print a climb's runs and baselines, one line each, with notes on the columns."""
    show_table(_table(ladder))
    for note in _notes(ladder):
        echo(note)
    for rung in ladder.rungs:
        seconds, planned = rung.training_seconds or 0.0, rung.planned_seconds
        if warning := time_warning(_name(rung, ladder), seconds, planned):
            echo(f"warning: {warning}", err=True)


def engineering(value: float | None) -> str:
    """A large number with a metric suffix: 1.3e12 is 1.3T."""
    if value is None:
        return ""
    for factor, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def _table(ladder: Ladder) -> Table:
    best = ladder.best_baseline.key
    verdicts = {row.a: row.verdict for row in ladder.baseline_comparisons if row.b == best}

    def memory(rung: RungRow) -> str:
        size = rung.peak_memory_bytes
        return "" if size is None else f"{size / 2**20:,.0f} MiB"

    def time(rung: RungRow) -> str:
        seconds = rung.training_seconds
        return "" if seconds is None else time_in_words(seconds, rung.planned_seconds)

    def perplexity(rung: RungRow) -> str:
        tokenizer = f"({rung.tokenizer.kind} {rung.tokenizer.vocab_size})"
        return f"{_decimal(rung.perplexity, 1)} {tokenizer}"

    filled: list[Filled[RungRow]] = [
        (Column("rung", "rung", numeric=False), lambda r: Cell(_name(r, ladder))),
        (Column("parameters", "parameters"), lambda r: Cell(engineering(r.parameters))),
        (Column("bits", "bits/byte [95 %]"), lambda r: Cell(_with_interval(r))),
        (Column("macro", "macro"), lambda r: Cell(_decimal(r.macro_bits_per_byte, 3))),
        (Column("step", "step", numeric=False), lambda r: Cell(_step(r))),
        (
            Column("best_baseline", "best baseline", numeric=False),
            lambda r: Cell(verdicts.get(r.name, "")),
        ),
        (Column("perplexity", "perplexity (tokenizer)"), lambda r: Cell(perplexity(r))),
        (Column("speed", "tokens/s"), lambda r: Cell(_decimal(r.tokens_per_second, 0))),
        (Column("flops", "FLOPs"), lambda r: Cell(engineering(r.training_flops))),
        (Column("memory", "memory"), lambda r: Cell(memory(r))),
        (Column("time", "time"), lambda r: Cell(time(r))),
    ]
    rows = rung_rows(filled, ladder.rungs)
    for baseline in ladder.baselines:
        cells = {"rung": Cell(baseline.name), "bits": Cell(_with_interval(baseline))}
        row = [cells.get(column.key, Cell("")) for column, _ in filled]
        rows.append(Row(row, control=True))
    title = "bits per byte of held-out text (lower is better)"
    return Table("ladder", title, columns_of(filled), rows)


def _name(rung: RungRow, ladder: Ladder) -> str:
    several = sum(other.name == rung.name for other in ladder.rungs) > 1
    return f"{rung.name}, seed {rung.seed}" if several else rung.name


def _step(rung: RungRow) -> str:
    step = rung.beats_previous
    if step is None:
        return ""
    undecided = step.verdict == "undecided"
    return f"≈ {step.against}" if undecided else f"{step.verdict} than {step.against}"


def _notes(ladder: Ladder) -> Iterator[str]:
    """Notes on the columns; documents and groups are the same for all rungs."""
    first = ladder.rungs[0]
    yield (
        f"intervals: {counted(first.groups or 0, 'group')} of documents, as informative as "
        f"{_decimal(first.effective_groups, 1)} groups of equal size; macro: mean of the sources"
    )
    if alone := first.ci95_leaves_out:
        yield f"n = 1 ({', '.join(alone)}): the intervals leave out how other groups would vary"
    yield f"best baseline: {ladder.best_baseline.name}, compared by the paired test of the rungs"
    if any(is_off(rung.training_seconds, rung.planned_seconds) for rung in ladder.rungs):
        yield f"†: more than {ALLOWED:.0%} off the planned time"


def _with_interval(row: RungRow | BaselineRow) -> str:
    figure = _decimal(row.bits_per_byte, 3)
    if row.ci95 is None:
        return figure
    low, high = row.ci95
    return f"{figure} [{low:.3f}, {high:.3f}]"


def _decimal(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
