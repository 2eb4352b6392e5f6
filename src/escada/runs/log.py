"""metrics.jsonl as it is read: every row verified, and none lost at the end.

A row's chain (`escada.checksums`) covers the rows before it. Rows missing at the end are noticed by
the last checkpoint, which holds the number of rows written before it. One that the index does not
name does not count: it was written just before a crash, and the log was cut for the one before it.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from escada.errors import EscadaError
from escada.files import read_json, read_json_lines
from escada.runs.checkpoint import checkpoint_path, has_checkpoint
from escada.runs.layout import RESTORE, Layout
from escada.typed_json import JsonObject


def read_log(layout: Layout) -> list[dict[str, Any]]:
    """The rows of a training's log; none if there is no file.

    A last line without a line feed is still being written, or was cut short by a crash: skipped.

    Raises:
        EscadaError: a row was changed, or rows are missing.
    """
    counted = _rows_at_checkpoint(layout)  # first, since a training may add to both meanwhile
    path = layout.metrics
    rows = read_json_lines(path, unfinished=True, fix=RESTORE) if path.exists() else []
    if len(rows) < counted:
        raise EscadaError(
            f"damaged: the log has {len(rows)} rows, at the last checkpoint it had {counted}",
            where=path,
            fix=RESTORE,
        )
    return rows


class _Facts(JsonObject):
    logged_rows: int = 0


class _Checkpoint(JsonObject):
    facts: _Facts = _Facts()


def _rows_at_checkpoint(layout: Layout) -> int:
    """Rows logged before the last checkpoint; 0 where that is not known."""
    if not has_checkpoint(layout.checkpoints):
        return 0
    try:
        path = checkpoint_path(layout.checkpoints, "last") / "checkpoint.json"
        return _Checkpoint.model_validate(read_json(path)).facts.logged_rows
    except (EscadaError, ValidationError):
        return 0  # replaced meanwhile, or damaged: said where the checkpoint is read
