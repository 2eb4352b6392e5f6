"""The table that a climb ends with."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def engineering(value: float) -> str:
    """A large number with a metric suffix: 1.3e12 is 1.3T."""
    for factor, suffix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{suffix}"
    return f"{value:.3g}"


def ladder_table(ladder: dict[str, Any]) -> None:
    """Print a climb's rungs and baselines."""
    table = Table(title="bits per byte of held-out text (lower is better)")
    for column in ("rung", "parameters", "bits/byte", "95 %", "perplexity", "tokenizer", "against"):
        table.add_column(column, justify="left" if column in ("rung", "against") else "right")
    for column in ("tokens/s", "FLOPs", "memory", "time"):
        table.add_column(column, justify="right")
    for row in ladder["rungs"]:
        low, high = row["ci95"]
        step = row["beats_previous"]
        table.add_row(
            row["name"],
            engineering(row["parameters"]),
            f"{row['bits_per_byte']:.3f}",
            f"{low:.3f}–{high:.3f}",
            f"{row['perplexity']:.1f}",
            f"{row['tokenizer']['kind']} {row['tokenizer']['vocab_size']}",
            "" if step is None else f"{step['against']}: {step['verdict']}",
            f"{row['tokens_per_second']:,.0f}",
            engineering(row["training_flops"]),
            f"{row['peak_memory_bytes'] / 2**20:,.0f} MiB",
            f"{row['training_seconds']:.0f} s",
        )
    for baseline in ladder["baselines"]:
        table.add_row(baseline["name"], "", f"{baseline['bits_per_byte']:.3f}")
    Console().print(table)
