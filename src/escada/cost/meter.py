"""The meter of a run: what each sitting took, added up over interruptions.

    meter = Meter(run, device)
    …  meter.save()  …          # beside every checkpoint: the sittings so far are on disk
    write_sheet(run, meter, …)  # at the end: `escada.cost.sheet`

A sitting is one process that trains the run, from its first calibration to its end. Its wall time
and its energy were spent whether or not its last steps were lost, so they stay counted; only what
came after the last checkpoint before a crash (a minute at most) is not known. Nothing happens
inside a training step.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from escada.cost.energy import EnergyMeter
from escada.cost.hardware import hardware
from escada.cost.memory import peak_resident_bytes
from escada.cost.money import load_prices
from escada.files import read_json, write_json
from escada.runs.checkpoint import checkpoint_path, has_checkpoint
from escada.runs.run import Run

SCHEMA_VERSION = 2
"""Of cost.json; 1 had the totals of the record and nothing else."""

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


class Meter:
    """The present sitting of a run, and those before it.

    Args:
        run: to be trained; its cost.json holds the earlier sittings.
        device: that it is trained on.

    Raises:
        EscadaError: the user's cost settings or the run's cost.json cannot be read.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.device = device
        self.hardware = hardware(device)
        self.prices = load_prices()
        self._path = run.layout.cost
        self._before = _on_disk(run)
        self._from_step = _last_step(run)
        self._begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._clock = time.monotonic()
        self._validation_seconds = 0.0
        self._energy = EnergyMeter.of(self.hardware, self.prices.settings)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def predicted(self) -> dict[str, Any] | None:
        """What the plan had said, as far as cost.json knows."""
        return self._before.get("predicted")

    def timed(self, validate: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result]:
        """The same validation, with its time counted."""

        def validate_and_count(argument: _Argument) -> _Result:
            begun = time.monotonic()
            result = validate(argument)
            self._validation_seconds += time.monotonic() - begun
            return result

        return validate_and_count

    def sittings(self) -> list[dict[str, Any]]:
        """All sittings up to now, the present one last."""
        on_gpu = self.device.type == "cuda"
        allocated = torch.cuda.max_memory_allocated(self.device) if on_gpu else None
        reserved = torch.cuda.max_memory_reserved(self.device) if on_gpu else None
        present = {
            "begun": self._begun,
            "from_step": self._from_step,
            "device": self.hardware.to_facts(),
            "wall_seconds": time.monotonic() - self._clock,
            "validation_seconds": self._validation_seconds,
            "host_memory_bytes": peak_resident_bytes(),
            "device_memory_bytes": allocated,
            "device_reserved_bytes": reserved,
            "energy": [part.to_facts() for part in self._energy.parts()],
            "notes": self._energy.notes,
        }
        return [*self._before.get("sittings", []), present]

    def save(self) -> None:
        """Write the sittings to cost.json, which is no sheet yet.

        Raises:
            EscadaError: the disk is full.
        """
        write_json(
            self._path,
            {
                "schema_version": SCHEMA_VERSION,
                "status": "training",
                "predicted": self.predicted,
                "sittings": self.sittings(),
            },
        )


def _on_disk(run: Run) -> dict[str, Any]:
    """What an earlier sitting left; a file of another version has no sittings to go on from."""
    if not run.layout.cost.exists():
        return {}
    table = read_json(run.layout.cost)
    return table if table.get("schema_version") == SCHEMA_VERSION else {}


def _last_step(run: Run) -> int:
    """Where the sitting begins: the step of the last checkpoint, 0 when there is none."""
    folder = run.layout.checkpoints
    if not has_checkpoint(folder):
        return 0
    return int(read_json(checkpoint_path(folder, "last") / "checkpoint.json")["step"])
