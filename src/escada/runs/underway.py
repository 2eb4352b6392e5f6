"""A climb that is under way, and who may know of it.

    with under_way(folder, planned):    # the climb
        ...
    is_under_way(folder)                # whoever follows it, in another process

The climb holds a lock on a file in its folder for as long as it lives: however it ends, by a crash
or a power cut too, the lock is gone. What it means to climb is written beside it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from escada.files import exclusive, is_held, read_json, write_json

SCHEMA_VERSION = 1
PLAN, LOCK = "climb.json", ".climb.lock"


@dataclass(frozen=True, slots=True)
class Planned:
    """A run that a climb will make; `key` is that of its folder."""

    name: str
    seed: int
    key: str


@contextlib.contextmanager
def under_way(folder: Path, planned: Sequence[Planned]) -> Generator[None]:
    """Say for as long as it is entered that a climb is under way in `folder`.

    Args:
        folder: of the climb; is made.
        planned: its runs, in their order.

    Raises:
        EscadaError: another climb is under way there.
    """
    fix = "wait, or choose another --out"
    with exclusive(folder / LOCK, "another climb is under way here", fix=fix):
        rows = [{"name": run.name, "seed": run.seed, "key": run.key} for run in planned]
        write_json(folder / PLAN, {"schema_version": SCHEMA_VERSION, "planned": rows})
        yield


def is_under_way(folder: Path) -> bool:
    """Whether a climb lives that holds the lock of this folder."""
    return is_held(folder / LOCK)


def read_plan(folder: Path) -> list[Planned]:
    """The runs that the last climb in this folder meant to make; none if there was none.

    Raises:
        EscadaError: the file is damaged.
    """
    if not (folder / PLAN).is_file():
        return []
    rows = read_json(folder / PLAN).get("planned", [])
    return [Planned(row["name"], row["seed"], row["key"]) for row in rows]
