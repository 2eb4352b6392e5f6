"""The block that datatrove's executors run: a call of ours, on another machine."""

from __future__ import annotations

import os
import pickle
import sys
from functools import partial
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.extensions import needed
from escada.files import read_json, utc_now, write_json
from escada.text.preparation.processes import Share, UnfinishedError, call_in_processes

EXTRA = "scale"


class Block:
    """A step of datatrove's pipelines: `work(rank=…, world=…, parent=…)`.

    It is pickled with the folder and the module path of this process, so that relative paths and
    modules of the user's own mean the same elsewhere. datatrove's executors for Slurm and Ray note
    errors and go on, so an EscadaError is also left in a file.
    """

    def __init__(self, work: Share, logs: Path) -> None:
        self.pickled = pickle.dumps(work)
        self.folder = Path.cwd()
        self.module_path = [str(Path(entry).resolve()) for entry in sys.path]
        self.errors = logs / "errors"

    def __call__(self, data: object = None, rank: int = 0, world_size: int = 1) -> None:
        """Do the work of one task."""
        os.chdir(self.folder)
        sys.path += [entry for entry in self.module_path if entry not in sys.path]
        work: Share = pickle.loads(self.pickled)
        call = partial(work, rank=rank, world=world_size, parent=(parent := _parent()))
        try:
            if parent is None:
                call()
            else:  # a process of a pool, which would wait for it for ever if it were killed
                call_in_processes([call])
        except EscadaError as error:
            self.errors.mkdir(parents=True, exist_ok=True)
            parts = {"what": error.what, "where": error.where, "fix": error.fix}
            goes_on = isinstance(error, UnfinishedError)
            write_json(self.errors / f"{rank:05}.json", {"error": parts, "goes_on": goes_on})
            raise

    def __repr__(self) -> str:
        return "escada data prepare"

    def raise_error(self) -> None:
        """Raise the error that a task left."""
        for path in sorted(self.errors.glob("*.json")):
            left = read_json(path)
            raise (UnfinishedError if left["goes_on"] else EscadaError)(**left["error"])


def _parent() -> int | None:
    """The process that runs this one in a pool, and without which nobody waits for it."""
    process = needed("multiprocess", EXTRA).parent_process()
    return None if process is None else process.pid


def new_logs(folder: Path) -> Path:
    """A folder below this one for the logs of a new run."""
    stamp = utc_now().partition("+")[0].replace(":", "-")
    return folder / f"{stamp}-{os.getpid()}"


def datatrove(module: str) -> Any:
    """A module of datatrove's, without its words on every task: those are in the log files."""
    loaded = needed(f"datatrove.{module}", EXTRA)
    needed("loguru", EXTRA).logger.disable("datatrove")
    return loaded
