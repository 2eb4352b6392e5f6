"""A climb that is under way, and who may know of it.

    with under_way(folder, planned):    # the climb
        ...
    is_under_way(folder)                # whoever follows it, in another process

The climb holds a lock on a file in its folder for as long as it lives: however it ends, by a crash
or a power cut too, the lock is gone. What it means to climb is written beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from escada.errors import EscadaError
from escada.files import make_directory, read_json, write_json

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
    make_directory(folder)
    with (folder / LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EscadaError(
                "another climb is under way here", where=folder, fix="wait, or choose another --out"
            ) from error
        rows = [{"name": run.name, "seed": run.seed, "key": run.key} for run in planned]
        write_json(folder / PLAN, {"schema_version": SCHEMA_VERSION, "planned": rows})
        yield


def is_under_way(folder: Path) -> bool:
    """Whether a climb lives that holds the lock of this folder."""
    try:
        with (folder / LOCK).open("r") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_plan(folder: Path) -> list[Planned]:
    """The runs that the last climb in this folder meant to make; none if there was none.

    Raises:
        EscadaError: the file is damaged.
    """
    if not (folder / PLAN).is_file():
        return []
    rows = read_json(folder / PLAN).get("planned", [])
    return [Planned(row["name"], row["seed"], row["key"]) for row in rows]
