"""The training log: the same rows as JSON lines, CSV and TensorBoard events, and to a tracker.

The JSON lines are authoritative. On resume, rows after the checkpoint's step are cut off and the
CSV is rewritten, so that a resumed log reads like an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Required, Self, TypedDict, cast

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto import event_pb2
from tensorboardX.summary import scalar  # pyright: ignore[reportUnknownVariableType]

from escada.checksums import CHAIN, chained
from escada.files import (
    append_text,
    disk_errors,
    json_line,
    make_directory,
    write_json_lines,
    write_text,
)
from escada.runs.layout import Layout
from escada.runs.log import read_log
from escada.training.trackers import Tracking

_protobuf: Any = event_pb2  # its classes are made at import, which type checkers miss


class Row(TypedDict, total=False):
    """One line of metrics.jsonl."""

    kind: Required[str]
    """`train` or `validation`."""
    step: Required[int]
    seconds: float
    tokens: float
    flops: float
    loss: float
    bits_per_byte: float
    learning_rate: float
    gradient_norm: float
    tokens_per_second: float
    flop_per_second: float
    memory_bytes: float


Log = Callable[[Row], None]
"""Takes the rows of a training."""
COLUMNS = tuple(Row.__annotations__)
"""Of the CSV."""
_SURVIVES = "the last checkpoint survives"


def read_rows(layout: Layout) -> list[Row]:
    """The rows of a run's log, verified; see `read_log`."""
    return cast(list[Row], read_log(layout))


def _csv_lines(rows: list[Row], header: bool) -> str:
    buffer = io.StringIO()
    writer: csv.DictWriter[str] = csv.DictWriter(
        buffer, list(COLUMNS), restval="", lineterminator="\n"
    )
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()


class MetricsLog:
    """Appends rows, which are on the disk when `write` returns.

    A checkpoint counts the rows before it, so they must survive a power cut as it does. Between two
    rows the files are closed: a mounted bucket is sent a file only then.
    """

    def __init__(self, layout: Layout, *, step: int, rows_before: int = 0) -> None:
        """Open a run's log at `step`, dropping later rows.

        Args:
            rows_before: the number of rows up to that step; 0: not known.
        """
        rows = read_rows(layout)
        rows = rows[:rows_before] or [row for row in rows if row["step"] <= step]
        table = chained(rows)
        write_json_lines(layout.metrics, table)
        self._chain: str = table[-1][CHAIN] if table else ""
        self._json, self._csv = layout.metrics, layout.metrics.with_suffix(".csv")
        write_text(self._csv, _csv_lines(rows, header=True))
        self._events = _Events(layout.tensorboard, step)
        self._tracking = Tracking(layout)

    def write(self, row: Row) -> None:
        """Add a row.

        Raises:
            EscadaError: the disk is full.
        """
        with disk_errors(self._json, _SURVIVES):
            (chain,) = chained([row], self._chain)
            self._chain = chain[CHAIN]
            append_text(self._json, json_line(chain))
            append_text(self._csv, _csv_lines([row], header=False))
            scalars = {
                f"{row['kind']}/{name}": cast(float, value)
                for name, value in row.items()
                if name not in ("kind", "step")
            }
            self._events.add(scalars, row["step"])
        self._tracking.log(scalars, row["step"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with disk_errors(self._json, _SURVIVES):
            self._events.close()
        self._tracking.close()


class _Events:
    """A TensorBoard file, written synchronously.

    tensorboardX's SummaryWriter uses a thread, which dies when the disk is full; its caller then
    blocks forever.
    """

    def __init__(self, folder: Path, step: int) -> None:
        make_directory(folder)
        self._writer = EventsWriter(str(folder / "events"), filename_suffix=f".{step}")
        if step:  # makes TensorBoard hide later steps from earlier files
            start = _protobuf.SessionLog(status=_protobuf.SessionLog.START)
            self._writer.write_event(_protobuf.Event(step=step + 1, session_log=start))
        self._writer.flush()

    def add(self, scalars: Mapping[str, float], step: int) -> None:
        for name, value in scalars.items():
            event = _protobuf.Event(wall_time=time.time(), step=step, summary=scalar(name, value))
            self._writer.write_event(event)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
