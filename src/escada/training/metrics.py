"""The log of a training: the same rows as JSON lines, CSV and TensorBoard events.

The JSON lines are the truth. After a crash, `open` cuts off rows of steps that the checkpoint does
not know and rewrites the CSV from what is left, so that a resumed log reads as if nothing had
happened.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any, Self

from tensorboardX import SummaryWriter

from escada.files import write_text
from escada.runs.layout import Layout

COLUMNS = (
    "kind",
    "step",
    "seconds",
    "tokens",
    "flops",
    "loss",
    "bits_per_byte",
    "learning_rate",
    "gradient_norm",
    "tokens_per_second",
    "flop_per_second",
    "memory_bytes",
)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line cut short by a crash is left out."""
    rows: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_bytes().split(b"\n"):
            try:
                rows.append(json.loads(line))
            except json.JSONDecodeError:
                break
    return rows


def _csv_lines(rows: list[dict[str, Any]], header: bool) -> str:
    buffer = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(
        buffer, list(COLUMNS), restval="", lineterminator="\n"
    )
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


class MetricsLog:
    """Appends rows; every row is on disk (as far as the operating system) when `write` returns."""

    def __init__(self, layout: Layout, *, step: int) -> None:
        """Open the log of a run to go on after `step` steps."""
        rows = [row for row in read_rows(layout.metrics) if row["step"] <= step]
        write_text(layout.metrics, "".join(json.dumps(row) + "\n" for row in rows))
        csv_path = layout.metrics.with_suffix(".csv")
        write_text(csv_path, _csv_lines(rows, header=True))
        self._json = layout.metrics.open("a", encoding="utf-8")
        self._csv = csv_path.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(layout.tensorboard), purge_step=step + 1 if step else None)

    def write(self, kind: str, step: int, **values: float) -> None:
        """Add a row of kind `train` or `validation`."""
        row: dict[str, Any] = {"kind": kind, "step": step, **values}
        self._json.write(json.dumps(row, allow_nan=False) + "\n")
        self._json.flush()
        self._csv.write(_csv_lines([row], header=False))
        self._csv.flush()
        for name, value in values.items():
            self._events.add_scalar(f"{kind}/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._json.close()
        self._csv.close()
        self._events.close()
