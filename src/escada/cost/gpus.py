"""Known GPUs: memory, peak throughput, power and rental price.

    device("rtx3060-12gb").peak_flop_per_second("bf16")
    device_of(torch.cuda.get_device_name(), total_memory)      # None: not in the table

The table is `gpus.toml`; each row cites the source and date of its values. A price that could
not be found is absent.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict

from escada.errors import EscadaError, nearest

Precision = Literal["fp32", "bf16", "fp16"]
Ownership = Literal["owned", "rented"]
_SAME_MEMORY = 0.1
"""Relative memory difference below which two cards of the same name count as the same."""


class _Read(BaseModel):
    """Published values with their source and the date they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    date: str


class Rent(_Read):
    """A rental price of one GPU, per hour."""

    usd_per_hour: float


class Efficiency(_Read):
    """The share of its peak that an architecture is assumed to reach at d_model = 768."""

    fraction: float


class Gpu(BaseModel):
    """A GPU: a row of the table, with values from the vendor's datasheet.

    Attributes:
        name: the key in the table, such as `rtx3060-12gb`.
        efficiency: assumed for its architecture.
        memory_mib: total; driver and CUDA context take a few hundred MB of it.
        tflops: dense peak by precision; precisions without hardware support are missing.
        watts: default power limit of the board.
        usual: whether it is usually rented or owned.
        torch: its name in `torch.cuda.get_device_name`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    architecture: str
    efficiency: Efficiency
    memory_mib: int
    tflops: dict[str, float]
    gb_per_s: float
    watts: float
    sheet: _Read
    usual: Ownership
    rent: Rent | None = None
    torch: tuple[str, ...]

    @property
    def memory_bytes(self) -> int:
        """Total memory."""
        return self.memory_mib * 2**20

    def peak_flop_per_second(self, precision: Precision) -> float:
        """Dense peak in this precision, from the datasheet.

        Raises:
            EscadaError: the device has no hardware support for the precision.
        """
        if precision not in self.tflops:
            raise EscadaError(
                f"{self.title} has no {precision} in hardware",
                where=self.name,
                fix="choose fp16 or fp32",
            )
        return self.tflops[precision] * 1e12

    @property
    def training_precision(self) -> Precision:
        """What `train.precision = auto` resolves to on it."""
        return "bf16" if "bf16" in self.tflops else "fp16"


@cache
def known_devices() -> Mapping[str, Gpu]:
    """All devices of the table, by name."""
    text = resources.files("escada.cost").joinpath("gpus.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    efficiency = table.pop("efficiency")
    return {
        name: Gpu(name=name, efficiency=efficiency[row["architecture"]], **row)
        for name, row in table.items()
    }


def device(name: str) -> Gpu:
    """Look up a device by name, ignoring case, spaces and underscores.

    Raises:
        EscadaError: not in the table; suggests the closest name.
    """
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
    known = known_devices()
    if wanted not in known:
        raise EscadaError(
            f"unknown GPU {name!r}",
            fix=nearest(wanted, known) + " (or give its memory, such as 12GB)",
        )
    return known[wanted]


def device_of(torch_name: str, memory_bytes: int) -> Gpu | None:
    """Look up a device by the name that torch reports; None if it is not in the table.

    `memory_bytes` (`total_memory` of its properties) distinguishes cards with the same name.
    """
    named = [found for found in known_devices().values() if torch_name in found.torch]
    near = min(named, key=lambda found: abs(found.memory_bytes - memory_bytes), default=None)
    if near is None or abs(near.memory_bytes - memory_bytes) > _SAME_MEMORY * near.memory_bytes:
        return None
    return near
