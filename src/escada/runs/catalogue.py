"""Lists runs, always from their folders."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from escada.errors import EscadaError
from escada.files import read_json
from escada.runs.layout import Layout
from escada.runs.record import read_record
from escada.typed_json import JsonObject, parse


class CatalogueRow(TypedDict):
    """A run in the list of runs; unknown values are None."""

    run: str
    name: str | None
    preset: str | None
    seed: int | None
    status: str | None
    problem: str | None
    """What is damaged, where something is."""
    step: int | None
    best_bits_per_byte: float | None
    cost: Mapping[str, object] | None
    test_bits_per_byte: float | None


def catalogue(folder: Path) -> list[CatalogueRow]:
    """One row per run below `folder`, at any depth, sorted by path.

    Only records, costs and test figures are read, which is fast; where one of them is damaged, the
    run has that status and shows no figures.
    """
    return [_row(Layout(path)) for path in sorted(_folders(folder))]


_OTHERS = {"spec.toml", "env.json", "data.json", "tokenizer", "checkpoints", "metrics.jsonl"}
"""Of a run that has lost its record, three of these are there."""


def _folders(folder: Path) -> set[Path]:
    """Run folders, including those that have lost their record."""
    found: set[Path] = set()
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        names = {*folders, *files}
        if "record.json" in names or len(_OTHERS & names) > 2:
            found.add(Path(path))
    return found


def _row(layout: Layout) -> CatalogueRow:
    test = layout.evaluation("test")
    row: CatalogueRow = {
        "run": str(layout.path),
        "name": layout.path.name,
        "preset": None,
        "seed": None,
        "status": "damaged",
        "problem": None,
        "step": None,
        "best_bits_per_byte": None,
        "cost": None,
        "test_bits_per_byte": None,
    }
    try:
        record = read_record(layout.record)
        figure = parse(_Figure, read_json(test), test).bits_per_byte if test.exists() else None
        cost = _cost(layout.cost)
    except EscadaError as error:
        return {**row, "problem": str(error)}
    return {
        **row,
        "name": record.name,
        "preset": record.preset,
        "seed": record.seed,
        "status": record.status,
        "step": record.step,
        "best_bits_per_byte": record.best_bits_per_byte,
        "cost": cost,
        "test_bits_per_byte": figure,
    }


class _Figure(JsonObject):
    bits_per_byte: float


COST = (
    *("hours", "wall_hours", "memory_bytes", "host_memory_bytes", "device_memory_bytes"),
    *("tokens", "flop_per_second", "utilisation", "kwh", "energy_estimated"),
    *("usd", "brl", "money_basis", "co2_g", "grid", "predicted"),
)
"""Keys of a cost sheet that the list shows."""


def _cost(path: Path) -> Mapping[str, object] | None:
    """The figures of a cost sheet; None if it is missing or older."""
    sheet = read_json(path) if path.exists() else {}
    return {key: sheet.get(key) for key in COST} if "wall_hours" in sheet else None
