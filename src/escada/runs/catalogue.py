"""An index of runs, read from their folders each time: `runs/` is the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.files import read_json
from escada.runs.layout import Layout


def catalogue(folder: Path) -> list[dict[str, Any]]:
    """One row a run below `folder`, at any depth, sorted by path.

    Reads only the records, so a thousand runs list in a moment, and a damaged one (its status says
    so) does not hide the others.
    """
    rows: list[dict[str, Any]] = []
    for record_path in sorted(folder.rglob("record.json")):
        layout = Layout(record_path.parent)
        if any(part.startswith(".") for part in layout.path.relative_to(folder).parts):
            continue
        try:
            record = read_json(record_path)
        except EscadaError:
            record = {"name": layout.path.name, "status": "damaged"}
        test = layout.evaluation("test")
        rows.append(
            {
                "run": str(layout.path),
                **{k: record.get(k) for k in ("name", "preset", "seed", "status", "step")},
                "best_bits_per_byte": record.get("best_bits_per_byte"),
                "cost": _cost(layout.cost),
                "test_bits_per_byte": read_json(test)["bits_per_byte"] if test.exists() else None,
            }
        )
    return rows


COST = (
    *("hours", "wall_hours", "memory_bytes", "host_memory_bytes", "device_memory_bytes"),
    *("tokens", "flop_per_second", "utilisation", "kwh", "energy_estimated"),
    *("usd", "brl", "money_basis", "co2_g", "grid", "predicted"),
)
"""What is shown of a run's cost sheet."""


def _cost(path: Path) -> dict[str, Any] | None:
    """The figures of a cost sheet; None when there is none yet, or it is damaged or older."""
    try:
        sheet = read_json(path) if path.exists() else {}
    except EscadaError:
        return None
    return {key: sheet.get(key) for key in COST} if "wall_hours" in sheet else None
