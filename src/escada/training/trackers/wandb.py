"""Weights & Biases. `WANDB_MODE=offline` writes below the run's folder, for `wandb sync`.

Project, entity and server are those of its own variables (`WANDB_PROJECT` …).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from typing import Any

from escada.extensions import needed
from escada.training.trackers import PROJECT, TrackedRun

PACKAGE = "wandb"


class _Tracker:
    def __init__(self, library: Any, run: TrackedRun) -> None:
        self.id = run.id or secrets.token_hex(8)
        # No console, code or git: a training sends figures and settings, nothing else.
        settings = library.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, save_code=False
        )
        self._run = library.init(
            id=self.id,
            resume="allow",
            name=run.name,
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            dir=str(run.folder),
            config=dict(run.settings),
            settings=settings,
        )
        # W&B's own step only grows; rows after a checkpoint come again when a run is resumed.
        self._run.define_metric("*", step_metric="step")

    def log(self, scalars: Mapping[str, float], step: int) -> None:
        self._run.log({**scalars, "step": step})

    def finish(self) -> None:
        self._run.finish()


def start(run: TrackedRun) -> _Tracker:
    """Begin a W&B run, or continue the one with this id."""
    return _Tracker(needed(PACKAGE, "wandb"), run)
