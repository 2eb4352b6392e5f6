"""The meter of a run: cost of each session, summed over interruptions.

    meter = Meter(run, device)
    …  meter.save()  …          # with every checkpoint
    write_sheet(run, meter, …)  # at the end: `escada.cost.sheet`

A session is one process training the run. Its wall time and energy count even if its last steps
were lost; only what followed the last checkpoint before a crash (at most a minute) is unknown.
Nothing is measured inside a training step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import BaseModel, ValidationError

from escada.cost.energy import EnergyMeter, Part
from escada.cost.hardware import RecordedHardware, hardware
from escada.cost.money import load_prices
from escada.cost.peak_memory import peak_resident_bytes
from escada.errors import EscadaError
from escada.files import read_json, utc_now, write_sealed_json
from escada.runs.checkpoint import last_step
from escada.runs.layout import RESTORE
from escada.runs.record import PredictedCost
from escada.runs.run import Run

SCHEMA_VERSION = 2
"""Version of cost.json; version 1 held only the totals of the record."""

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Session:
    """The cost of one session.

    Attributes:
        begun: date and time, UTC.
        from_step: the step it started at.
        wall_seconds: total, including validation.
        validation_seconds: spent in validation.
        host_memory_bytes: peak resident set.
        device_memory_bytes: peak GPU memory in tensors; None on a CPU.
        device_reserved_bytes: peak GPU memory reserved by torch's allocator.
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
    """The current session of a run and the earlier ones, read from its cost.json.

    Raises:
        EscadaError: the user's cost settings or the run's cost.json cannot be read.
    """

    def __init__(self, run: Run, device: torch.device) -> None:
        self.device = device
        self.hardware = hardware(device)
        self.prices = load_prices()
        self._path = run.layout.cost
        self._before = _on_disk(self._path)
        self._from_step = last_step(run.layout.checkpoints)
        self._begun = utc_now()
        self._clock = time.monotonic()
        self._validation_seconds = 0.0
        self._energy = EnergyMeter.of(self.hardware, self.prices.settings)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    @property
    def predicted(self) -> PredictedCost | None:
        """The plan's prediction, if cost.json has one."""
        return self._before.predicted

    def timed(self, validate: Callable[[_Argument], _Result]) -> Callable[[_Argument], _Result]:
        """Wrap `validate` so that its time is counted."""

        def validate_and_count(argument: _Argument) -> _Result:
            begun = time.monotonic()
            result = validate(argument)
            self._validation_seconds += time.monotonic() - begun
            return result

        return validate_and_count

    def sessions(self) -> list[Session]:
        """All sessions up to now, the current one last."""
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
        """Write the sessions to cost.json, without the sheet's totals.

        Raises:
            EscadaError: the disk is full.
        """
        write_sealed_json(
            self._path,
            {
                "schema_version": SCHEMA_VERSION,
                "status": "training",
                "predicted": self.predicted and self.predicted.model_dump(exclude_unset=True),
                "sessions": [asdict(session) for session in self.sessions()],
            },
        )


class _Ledger(BaseModel):
    """The part of cost.json about earlier sessions."""

    predicted: PredictedCost | None = None
    sessions: tuple[Session, ...] = ()


def _on_disk(path: Path) -> _Ledger:
    """Read earlier sessions; none if the file has another schema version."""
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
    """Rename keys of a cost.json written before 2026-12."""
    return {"sessions" if name == "sittings" else name: value for name, value in table.items()}
