"""Trackio: an SQLite file on this machine (`TRACKIO_DIR`, or its own folder) and `trackio show`.

Nothing leaves the machine unless the variable of Trackio's own that names a Space or server is set.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from escada.extensions import needed
from escada.training.trackers import PROJECT, TrackedRun
from escada.typed_json import flat

PACKAGE = "trackio"


class _Tracker:
    def __init__(self, library: Any, run: TrackedRun) -> None:
        self.id = run.id or f"{run.name}-{secrets.token_hex(3)}"
        self._run = library.init(
            project=PROJECT,
            name=self.id,
            resume="allow",
            config=flat(run.settings),
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log(dict(scalars), step=step)

    def finish(self) -> None:
        self._run.finish()


def start(run: TrackedRun) -> _Tracker:
    """Begin a Trackio run, or continue the one of this name."""
    return _Tracker(needed(PACKAGE, "trackio"), run)
