"""Trackers: a training's rows go to W&B, MLflow or Trackio too, beside the files of its folder.

    choose_tracker("wandb")                   # --tracker wandb, or ESCADA_TRACKER=wandb
    with Tracking(layout) as tracking:        # in the process that writes the log
        tracking.log({"train/loss": 2.1}, step=10)

A tracker is one module, in this folder or importable by dotted name:

    PACKAGE = "wandb"                         # what it needs; the name of its extra is the module's
    def start(run: TrackedRun) -> Tracker     # a tracked run, or the one that `run.id` names

It is no part of a spec and changes no key. tracker.json in the run's folder says which tracked run
is this one's, so that a resumed training continues it, with or without the option. **A tracker
never ends a training**: its first failure is said and written into tracker.json, and nothing more
is sent until the training is resumed. What leaves the machine is the tracker's own affair: escada
sends what `TrackedRun` and the rows hold, never text of the corpus.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from pydantic import ValidationError

from escada.errors import EscadaError
from escada.extensions import ExtensionPoint, needed, trust
from escada.files import read_json, read_toml, write_sealed_json
from escada.runs.layout import Layout
from escada.runs.record import read_record
from escada.terminal import echo_error, shortened
from escada.typed_json import JsonObject

PROJECT = "escada"
"""The project or experiment, where the library's own variable names no other one."""
TRACKERS = ExtensionPoint(
    "escada.training.trackers",
    "tracker",
    offers=("PACKAGE", "start"),
    where="--tracker",
    page="docs/trackers.md",
    in_folders=True,
)
VARIABLE = "ESCADA_TRACKER"
"""Chooses a tracker for this process and those that it starts."""
_SHOWN_CHARACTERS = 200


class Tracker(Protocol):
    """A tracked run that is open."""

    id: str
    """By which it can be continued."""

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Send the figures of one row."""
        ...

    def finish(self) -> None:
        """Send what waits, and close."""
        ...


@dataclass(frozen=True)
class TrackedRun:
    """What a tracker is told of a run.

    Attributes:
        id: of the tracked run to continue; None: a new one.
        name: of the run's folder.
        folder: the run's folder.
        settings: rung, preset, seed, hashes and the resolved spec, nested.
    """

    id: str | None
    name: str
    folder: Path
    settings: Mapping[str, Any]


class _Recorded(JsonObject):
    """tracker.json."""

    tracker: str
    id: str | None = None
    problem: str | None = None
    """The first failure since the training began or was resumed."""


def choose_tracker(name: str | None) -> None:
    """Have the trainings of this process, and of those that it starts, tracked; None: no change.

    Raises:
        EscadaError: no such tracker, or its package is not installed.
    """
    if name is not None:
        trust(name)
        _library(name)
        os.environ[VARIABLE] = name


def _library(name: str) -> Any:
    """The tracker's module, whose package is installed."""
    module = TRACKERS.load(name)
    needed(module.PACKAGE, name)
    return module


class Tracking:
    """The tracker of a training, if one was chosen now or before; else nothing."""

    def __init__(self, layout: Layout) -> None:
        self._path = layout.path / "tracker.json"
        self._tracker: Tracker | None = None
        before = self._read()
        name = os.environ.get(VARIABLE) or (before.tracker if before else None)
        if name is None:
            return
        if name == os.environ.get(VARIABLE):
            trust(name)
        known = before.id if before is not None and before.tracker == name else None
        self._recorded = _Recorded(tracker=name, id=known)
        self._call(lambda: self._start(name, _tracked(layout, known)))
        self._write()

    def _start(self, name: str, run: TrackedRun) -> None:
        self._tracker = tracker = _library(name).start(run)
        self._recorded = self._recorded.model_copy(update={"id": tracker.id})

    def _read(self) -> _Recorded | None:
        if not self._path.exists():
            return None
        try:
            return _Recorded.model_validate(read_json(self._path))
        except (EscadaError, ValidationError):
            echo_error(f"warning: {self._path} is damaged: its tracked run is not continued")
            return None

    def _write(self) -> None:
        write_sealed_json(self._path, {"schema_version": 1, **self._recorded.model_dump()})

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        """Send the figures of one row."""
        if (tracker := self._tracker) is not None:
            self._call(lambda: tracker.log(scalars, step))

    def close(self) -> None:
        """Close the tracked run."""
        if (tracker := self._tracker) is not None:
            self._call(tracker.finish)
            self._tracker = None

    def _call(self, call: Callable[[], None]) -> None:
        """Call a library; what it prints goes to standard error, as all progress does."""
        try:
            with redirect_stdout(sys.stderr):
                call()
        except Exception as error:  # noqa: BLE001 - somebody else's code must not end a training
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._tracker = None
        problem = shortened(f"{type(error).__name__}: {error}", _SHOWN_CHARACTERS)
        if isinstance(error, EscadaError):
            problem = str(error)
        self._recorded = self._recorded.model_copy(update={"problem": problem})
        self._write()
        echo_error(f"warning: {self._recorded.tracker} failed, the training goes on: {problem}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _tracked(layout: Layout, known: str | None) -> TrackedRun:
    record = read_record(layout.record)
    settings = record.model_dump(
        mode="json",
        include={"name", "preset", "seed", "key", "spec_hash", "corpus_hash", "budget"},
    )
    settings["spec"] = read_toml(layout.spec)
    return TrackedRun(known, layout.path.name, layout.path, settings)
