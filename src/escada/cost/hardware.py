"""The devices that a training runs on, as far as its cost is concerned.

`hardware(torch.device("cuda"))` says what they are, how many there are and which entry of the table
of known GPUs they belong to.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch

from escada.choices import DeviceKind
from escada.cost.devices import Device, device_of
from escada.runs.environment import cpu_name


@dataclass(frozen=True, slots=True)
class Hardware:
    """What computes.

    Attributes:
        kind: `cpu`, `cuda`, or `mps` for the GPU of an Apple chip.
        title: what the processor or the GPU calls itself.
        count: devices that compute, over all processes and machines.
        here: those of them in this machine.
        threads: that compute in this machine, of all its processes.
        device: the GPU's entry in the table; None for a CPU or a GPU that is not there.
        uuids: of the GPUs in this machine, as NVML knows them.
        processes: that train together, over all machines.
    """

    kind: DeviceKind
    title: str
    count: int
    here: int
    threads: int
    device: Device | None
    uuids: tuple[str, ...] = ()
    processes: int = 1

    def recorded(self) -> RecordedHardware:
        """What a cost sheet says of it."""
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
    """`Hardware` as JSON has it, its device by name."""

    kind: str
    title: str
    name: str | None
    count: int
    threads: int
    processes: int = 1


def hardware(device: torch.device) -> Hardware:
    """What a training on this device computes with; with torchrun, all processes together."""
    threads = torch.get_num_threads()
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type != "cuda":
        # The processes of one machine share its processor: one device a machine.
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
