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
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from escada.errors import EscadaError, nearest

Precision = Literal["fp32", "bf16", "fp16"]
Ownership = Literal["owned", "rented"]
_SAME_MEMORY = 0.1
"""Two cards of one name are taken for the same when their memory differs by less than this."""


@dataclass(frozen=True, slots=True)
class Rent:
    """What someone asks for an hour of one GPU."""

    usd_per_hour: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The fraction of its peak that an architecture is assumed to reach with d_model = 768."""

    fraction: float
    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """Where the figures of a GPU were read."""

    source: str
    date: str


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, by its maker's sheet.

    Attributes:
        name: as in the table, such as `rtx3060-12gb`.
        title: as its maker writes it.
        memory_bytes: all of it; the driver and the context keep some hundred MB for themselves.
        flop_per_second: dense peak by precision; a precision that is missing is not in hardware.
        bytes_per_second: to and from its memory.
        board_watts: power limit of the whole board, as shipped.
        efficiency: assumed for its architecture.
        sheet: where the figures were read.
        usual: how people come by it.
        rent: a public price, where one was found.
        torch_names: what `torch.cuda.get_device_name` calls it.
    """

    name: str
    title: str
    memory_bytes: int
    flop_per_second: Mapping[str, float]
    bytes_per_second: float
    board_watts: float
    efficiency: Efficiency
    sheet: Sheet
    usual: Ownership
    rent: Rent | None
    torch_names: tuple[str, ...]

    def peak_flop_per_second(self, precision: Precision) -> float:
        """Dense peak of the sheet in this precision.

        Raises:
            EscadaError: the device has no such arithmetic in hardware.
        """
        if precision not in self.flop_per_second:
            raise EscadaError(
                f"{self.title} has no {precision} in hardware",
                where=self.name,
                fix="choose fp16 or fp32",
            )
        return self.flop_per_second[precision]

    @property
    def training_precision(self) -> Precision:
        """What `train.precision = auto` comes to on it."""
        return "bf16" if "bf16" in self.flop_per_second else "fp16"


@cache
def known_devices() -> Mapping[str, Device]:
    """The table, by name."""
    text = resources.files("escada.cost").joinpath("devices.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    assumed = {name: Efficiency(**row) for name, row in table.pop("efficiency").items()}
    return {
        name: _device(name, cast(dict[str, Any], row), assumed[row["architecture"]])
        for name, row in table.items()
    }


def _device(name: str, row: Mapping[str, Any], efficiency: Efficiency) -> Device:
    return Device(
        name=name,
        title=row["title"],
        memory_bytes=row["memory_mib"] * 2**20,
        flop_per_second={precision: peak * 1e12 for precision, peak in row["tflops"].items()},
        bytes_per_second=row["gb_per_s"] * 1e9,
        board_watts=row["watts"],
        efficiency=efficiency,
        sheet=Sheet(**row["sheet"]),
        usual=row["usual"],
        rent=Rent(**row["rent"]) if "rent" in row else None,
        torch_names=tuple(row["torch"]),
    )


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
    named = [found for found in known_devices().values() if torch_name in found.torch_names]
    near = min(named, key=lambda found: abs(found.memory_bytes - memory_bytes), default=None)
    if near is None or abs(near.memory_bytes - memory_bytes) > _SAME_MEMORY * near.memory_bytes:
        return None
    return near
