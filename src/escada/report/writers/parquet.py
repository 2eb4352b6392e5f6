"""The rungs of ladder.json as Parquet, one row each; nested values have dotted names."""

from __future__ import annotations

import importlib
import io
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.files import write_bytes
from escada.report.data import read_ladder
from escada.typed_json import flat

_MAGIC = b"PAR1"
_LEFT_OUT = {"guardrails"}
"""Hundreds of figures of single texts, which ladder.json has."""


def write_parquet(folder: Path, file: Path) -> Path:
    """Write the ladder of a climb; return `file`.

    Intervals are lists of two numbers, texts in two languages two columns; what a rung lacks is
    null.

    Raises:
        EscadaError: no ladder, or another file lies there.
    """
    if file.is_dir() or (file.exists() and file.read_bytes()[:4] != _MAGIC):
        raise EscadaError("something else lies there", where=file, fix="name another file")
    rows = [
        flat(row.model_dump(mode="json", exclude=_LEFT_OUT)) for row in read_ladder(folder).rungs
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    arrow: Any = importlib.import_module("pyarrow")  # partly typed
    parquet: Any = importlib.import_module("pyarrow.parquet")
    table = arrow.table({name: [row.get(name) for row in rows] for name in columns})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    write_bytes(file, buffer.getvalue())
    return file
