"""The table that a climb ends with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from escada.errors import counted
from escada.runs.time_budget import time_in_words, time_warning
from escada.terminal import Column, echo, print_table

COLUMNS: tuple[Column, ...] = (
    ("rung", "left"),
    ("parameters", "right"),
    ("bits/byte [95 %]", "right"),
    ("macro", "right"),
    ("step", "left"),
    ("best baseline", "left"),
    ("perplexity (tokenizer)", "right"),
    ("tokens/s", "right"),
    ("FLOPs", "right"),
    ("memory", "right"),
    ("time", "right"),
)


def engineering(value: float) -> str:
    """A large number with a metric suffix: 1.3e12 is 1.3T."""
    for factor, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def ladder_table(ladder: dict[str, Any]) -> None:
    """Print a climb's rungs and baselines, a line each, however narrow the terminal."""
    rows: list[tuple[str, ...]] = []
    for row in ladder["rungs"]:
        step = row["beats_previous"]
        tokenizer = row["tokenizer"]
        rows.append(
            (
                _name(row, ladder),
                engineering(row["parameters"]),
                _with_interval(row),
                f"{row['macro_bits_per_byte']:.3f}",
                "" if step is None else _verdict(step),
                _against_best_baseline(row, ladder),
                f"{row['perplexity']:.1f} ({tokenizer['kind']} {tokenizer['vocab_size']})",
                f"{row['tokens_per_second']:,.0f}",
                engineering(row["training_flops"]),
                f"{row['peak_memory_bytes'] / 2**20:,.0f} MiB",
                time_in_words(row["training_seconds"], row.get("budget_seconds")),
            )
        )
    rows += [(baseline["name"], "", _with_interval(baseline)) for baseline in ladder["baselines"]]
    print_table(COLUMNS, rows, title="bits per byte of held-out text (lower is better)")
    for note in _notes(ladder):
        echo(note)
    for row in ladder["rungs"]:
        seconds, given = row["training_seconds"], row.get("budget_seconds")
        if warning := time_warning(_name(row, ladder), seconds, given):
            echo(f"warning: {warning}", err=True)


def _name(row: dict[str, Any], ladder: dict[str, Any]) -> str:
    several = sum(other["name"] == row["name"] for other in ladder["rungs"]) > 1
    return f"{row['name']}, seed {row['seed']}" if several else row["name"]


def _verdict(step: dict[str, Any]) -> str:
    against = step["against"]
    return f"{step['verdict']} than {against}" if step["verdict"] != "undecided" else f"≈ {against}"


def _against_best_baseline(row: dict[str, Any], ladder: dict[str, Any]) -> str:
    """The verdict of the paired test against the baseline of fewest bits per byte."""
    best = min(ladder["baselines"], key=lambda baseline: baseline["bits_per_byte"])
    found = [r for r in ladder["baseline_comparisons"] if r["b"] == best["key"]]
    return next((r["verdict"] for r in found if r["a"] == row["name"]), "")


def _notes(ladder: dict[str, Any]) -> Iterator[str]:
    """What the columns are of; the documents, and so their groups, are the same for all rungs."""
    first = ladder["rungs"][0]
    yield (
        f"intervals: {counted(first['groups'], 'group')} of documents, as informative as "
        f"{first['effective_groups']:.1f} groups of equal size; macro: mean of the sources"
    )
    if alone := first["ci95_leaves_out"]:
        yield f"n = 1 ({', '.join(alone)}): the intervals leave out how other groups would vary"
    best = min(ladder["baselines"], key=lambda baseline: baseline["bits_per_byte"])
    yield f"best baseline: {best['name']}, compared by the paired test of the rungs"


def _with_interval(row: dict[str, Any]) -> str:
    figure = f"{row['bits_per_byte']:.3f}"
    if row["ci95"] is None:
        return figure
    low, high = row["ci95"]
    return f"{figure} [{low:.3f}, {high:.3f}]"
