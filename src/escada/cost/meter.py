"""The meter of a run: what each session took, added up over interruptions.

    meter = Meter(run, device)
    …  meter.save()  …          # beside every checkpoint: the sessions so far are on disk
    write_sheet(run, meter, …)  # at the end: `escada.cost.sheet`

A session is one process that trains the run, from its first calibration to its end. Its wall time
and its energy were spent whether or not its last steps were lost, so they stay counted; only what
came after the last checkpoint before a crash (a minute at most) is not known. Nothing happens
inside a training step.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from escada.cost.energy import EnergyMeter, Part
from escada.cost.hardware import RecordedHardware, hardware
from escada.cost.memory import peak_resident_bytes
from escada.cost.money import load_prices
from escada.errors import EscadaError
from escada.files import read_json, write_json
from escada.runs.checkpoint import checkpoint_path, has_checkpoint
from escada.runs.layout import RESTORE
from escada.runs.record import PredictedCost
from escada.runs.run import Run

SCHEMA_VERSION = 2
"""Of cost.json; 1 had the totals of the record and nothing else."""

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Session:
    """What one process took that trained the run.

    Attributes:
        begun: date and time, UTC.
        from_step: where it went on.
        device: that computed.
        wall_seconds: all of them.
        validation_seconds: those of them in validations.
        host_memory_bytes: the most that the process held.
        device_memory_bytes: the most that its tensors held of the GPU; None on a CPU.
        device_reserved_bytes: with what torch keeps beside them.
        energy: of each part of the machine.
        notes: what could not be measured, and why.
    """

    begun: str
    from_step: int
    device: RecordedHardware
    wall_seconds: float
    validation_seconds: float
    host_memory_bytes: int | None
    device_memory_bytes: int | None
    device_reserved_bytes: int | None
    energy: list[Part]
    notes: list[str]


class Meter:
    """The present session of a run, and those before it.

    Args:
        run: to be trained; its cost.json holds the earlier sessions.
        device: that it is trained on.

    Raises:
        EscadaError: the user's cost settings or the run's cost.json cannot be read.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.device = device
        self.hardware = hardware(device)
        self.prices = load_prices()
        self._path = run.layout.cost
        self._before = _on_disk(self._path)
        self._from_step = _last_step(run)
        self._begun = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._clock = time.monotonic()
        self._validation_seconds = 0.0
        self._energy = EnergyMeter.of(self.hardware, self.prices.settings)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def predicted(self) -> PredictedCost | None:
        """What the plan had said, as far as cost.json knows."""
        return self._before.predicted

    def timed(self, validate: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result]:
        """The same validation, with its time counted."""

        def validate_and_count(argument: _Argument) -> _Result:
            begun = time.monotonic()
            result = validate(argument)
            self._validation_seconds += time.monotonic() - begun
            return result

        return validate_and_count

    def sessions(self) -> list[Session]:
        """All sessions up to now, the present one last."""
        on_gpu = self.device.type == "cuda"
        allocated = torch.cuda.max_memory_allocated(self.device) if on_gpu else None
        reserved = torch.cuda.max_memory_reserved(self.device) if on_gpu else None
        present = Session(
            begun=self._begun,
            from_step=self._from_step,
            device=self.hardware.recorded(),
            wall_seconds=time.monotonic() - self._clock,
            validation_seconds=self._validation_seconds,
            host_memory_bytes=peak_resident_bytes(),
            device_memory_bytes=allocated,
            device_reserved_bytes=reserved,
            energy=self._energy.parts(),
            notes=self._energy.notes,
        )
        return [*self._before.sessions, present]

    def save(self) -> None:
        """Write the sessions to cost.json, which is no sheet yet.

        Raises:
            EscadaError: the disk is full.
        """
        write_json(
            self._path,
            {
                "schema_version": SCHEMA_VERSION,
                "status": "training",
                "predicted": self.predicted and self.predicted.model_dump(exclude_unset=True),
                "sessions": [asdict(session) for session in self.sessions()],
            },
        )


class _Ledger(BaseModel):
    """What cost.json holds of earlier sessions."""

    predicted: PredictedCost | None = None
    sessions: tuple[Session, ...] = ()


def _on_disk(path: Path) -> _Ledger:
    """What earlier sessions left; a file of another version has none to go on from."""
    table = with_present_names(read_json(path)) if path.exists() else {}
    if table.get("schema_version") != SCHEMA_VERSION:
        return _Ledger()
    try:
        return _Ledger.model_validate(table)
    except ValidationError as error:
        raise EscadaError(
            "damaged: its sessions cannot be read", where=path, fix=RESTORE
        ) from error


def with_present_names(table: Mapping[str, Any]) -> dict[str, Any]:
    """A cost.json, those of before 2026-12 too, with the names that its keys have now."""
    return {"sessions" if name == "sittings" else name: value for name, value in table.items()}


def _last_step(run: Run) -> int:
    """Where the session begins: the step of the last checkpoint, 0 when there is none."""
    folder = run.layout.checkpoints
    if not has_checkpoint(folder):
        return 0
    return int(read_json(checkpoint_path(folder, "last") / "checkpoint.json")["step"])
