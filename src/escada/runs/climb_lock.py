"""Marks a folder while a climb is running in it.

    with under_way(folder, planned):    # the climb
        ...
    is_under_way(folder)                # another process

The climb holds a lock on a file in its folder; however the process ends, even by a crash or power
cut, the lock is released. The planned runs are written next to it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path

from pydantic import Field

from escada.files import read_json, write_sealed_json
from escada.locks import exclusive, is_held
from escada.typed_json import JsonObject, parse

SCHEMA_VERSION = 1
PLAN, LOCK = "climb.json", ".climb.lock"


class Planned(JsonObject):
    """A run that a climb will make."""

    name: str
    seed: int
    key: str


class _Plan(JsonObject):
    planned: list[Planned] = Field(default_factory=list[Planned])


@contextlib.contextmanager
def under_way(folder: Path, planned: Sequence[Planned]) -> Generator[None]:
    """Hold the lock of a climb in `folder`, which is made, and write its planned runs, in order.

    Raises:
        EscadaError: another climb is running there.
    """
    fix = "wait, or choose another --out"
    with exclusive(folder / LOCK, "another climb is under way here", fix=fix):
        rows = [run.model_dump() for run in planned]
        write_sealed_json(folder / PLAN, {"schema_version": SCHEMA_VERSION, "planned": rows})
        yield


def is_under_way(folder: Path) -> bool:
    """Whether a running climb holds the lock of this folder."""
    return is_held(folder / LOCK)


def read_plan(folder: Path) -> list[Planned]:
    """The planned runs of the last climb in this folder; none if there was none.

    Raises:
        EscadaError: the file is damaged.
    """
    if not (folder / PLAN).is_file():
        return []
    return parse(_Plan, read_json(folder / PLAN), folder / PLAN).planned
