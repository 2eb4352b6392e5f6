"""GPUs that are known by name: what they can hold, compute and draw, and what an hour costs.

    device("rtx3060-12gb").peak_flop_per_second("bf16")
    device_of(torch.cuda.get_device_name(), total_memory)      # None: not in the table

The table is `devices.toml` beside this file; each row says where its figures were read
and when. A name that is not in it is an error that names the nearest; a price that nobody published
is absent, not guessed.
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
"""Two cards of one name are taken for the same when their memory differs by less than this."""


class _Read(BaseModel):
    """Figures that somebody published, with the place and the day that they were read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    date: str


class Rent(_Read):
    """What someone asks for an hour of one GPU."""

    usd_per_hour: float


class Efficiency(_Read):
    """The fraction of its peak that an architecture is assumed to reach with d_model = 768."""

    fraction: float


class Device(BaseModel):
    """A GPU, by its maker's sheet: a row of the table.

    Attributes:
        name: as in the table, such as `rtx3060-12gb`.
        title: as its maker writes it.
        architecture: its maker's name for it.
        efficiency: assumed for its architecture.
        memory_mib: all of it; the driver and the context keep some hundred MB for themselves.
        tflops: dense peak by precision; a precision that is missing is not in hardware.
        gb_per_s: to and from its memory.
        watts: power limit of the whole board, as shipped.
        sheet: where the figures were read.
        usual: how people come by it.
        rent: a public price, where one was found.
        torch: what `torch.cuda.get_device_name` calls it.
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
        """All of it."""
        return self.memory_mib * 2**20

    def peak_flop_per_second(self, precision: Precision) -> float:
        """Dense peak of the sheet in this precision.

        Raises:
            EscadaError: the device has no such arithmetic in hardware.
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
        """What `train.precision = auto` comes to on it."""
        return "bf16" if "bf16" in self.tflops else "fp16"


@cache
def known_devices() -> Mapping[str, Device]:
    """The table, by name."""
    text = resources.files("escada.cost").joinpath("devices.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    efficiency = table.pop("efficiency")
    return {
        name: Device(name=name, efficiency=efficiency[row["architecture"]], **row)
        for name, row in table.items()
    }


def device(name: str) -> Device:
    """The device of this name; case, spaces and underscores do not matter.

    Raises:
        EscadaError: not in the table; names the nearest.
    """
    wanted = name.strip().lower().replace("_", "-").replace(" ", "-")
    known = known_devices()
    if wanted not in known:
        raise EscadaError(
            f"unknown GPU {name!r}",
            fix=nearest(wanted, known) + " (or give its memory, such as 12GB)",
        )
    return known[wanted]


def device_of(torch_name: str, memory_bytes: int) -> Device | None:
    """The device that torch calls by this name; None when it is not in the table.

    Args:
        torch_name: from `torch.cuda.get_device_name`.
        memory_bytes: `torch.cuda.get_device_properties(…).total_memory`; tells a card of 8 GB from
            one of 16 GB that has the same name.
    """
    named = [found for found in known_devices().values() if torch_name in found.torch]
    near = min(named, key=lambda found: abs(found.memory_bytes - memory_bytes), default=None)
    if near is None or abs(near.memory_bytes - memory_bytes) > _SAME_MEMORY * near.memory_bytes:
        return None
    return near
