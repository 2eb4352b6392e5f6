"""The hardware of a training, as far as its cost is concerned."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from escada.choices import DeviceKind
from escada.cost.gpus import Gpu, device_of
from escada.runs.environment import cpu_name


@dataclass(frozen=True, slots=True)
class Hardware:
    """The devices of a training.

    Attributes:
        kind: `cpu`, `cuda`, or `mps` (Apple GPU).
        title: the name that the processor or GPU reports.
        count: devices over all processes and machines.
        here: devices in this machine.
        threads: of all processes in this machine.
        device: the GPU's entry in the table; None for a CPU or an unknown GPU.
        uuids: NVML UUIDs of the GPUs in this machine.
        processes: over all machines.
    """

    kind: DeviceKind
    title: str
    count: int
    here: int
    threads: int
    device: Gpu | None
    uuids: tuple[str, ...] = ()
    processes: int = 1

    def recorded(self) -> RecordedHardware:
        """The hardware as recorded in a cost sheet."""
        return RecordedHardware(
            kind=self.kind,
            title=self.title,
            name=self.device.name if self.device else None,
            count=self.count,
            threads=self.threads,
            processes=self.processes,
        )


@dataclass(frozen=True, slots=True)
class RecordedHardware:
    """`Hardware` in JSON, with the device by name."""

    kind: str
    title: str
    name: str | None
    count: int
    threads: int
    processes: int = 1


def hardware(device: torch.device) -> Hardware:
    """Detect the hardware of a training on this device, with torchrun that of all processes."""
    threads = torch.get_num_threads()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type != "cuda":
        # The processes of one machine share its CPU, which counts as one device.
        machines = max(1, processes // here)
        kind = "mps" if device.type == "mps" else "cpu"
        return Hardware(kind, cpu_name(), machines, 1, threads * here, None, (), processes)
    numbers = range(here) if here > 1 else [device.index or 0]
    properties: list[Any] = [torch.cuda.get_device_properties(number) for number in numbers]
    title = str(properties[0].name)
    return Hardware(
        "cuda",
        title,
        processes,
        here,
        threads * here,
        device_of(title, properties[0].total_memory),
        tuple(f"GPU-{found.uuid}" for found in properties),
        processes,
    )
