"""A machine as a plan sees it: its memory, its pace, what it draws.

known_gpu("rtx3060-12gb", spec)          # by the maker's sheet and an assumed efficiency
unknown_gpu(parse_memory("12GB"))        # what fits; how long it takes is not known
escada.training.plan.machine_here(spec)  # this one, its pace measured
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from escada.cost.devices import Device, Precision, device
from escada.errors import EscadaError
from escada.models.saved import Setting
from escada.spec import MODELS, Spec

WIDTH = 768
"""d_model of the Transformer that the table's efficiencies are of: GPT-2's."""
NARROWER = 0.8
"""A Transformer of another width reaches (d_model / 768) ^ 0.8 of that. Assumed, after an A100 with
d_model 384: 22.4 ms for 16,384 tokens, 0.158 of its peak, where d_model 768 reaches 0.28
(github.com/karpathy/nanoGPT issue 178, read 2026-11-30; 894 ms for 40 micro-batches)."""
MOST = 0.5
"""No model is taken to reach more."""
GPU_RESERVE_BYTES = 3 * 2**28
"""Of a GPU's memory, 0.75 GiB that a training cannot have: driver, CUDA's context, holes in torch's
cache. Assumed."""
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a machine takes a step: measured by parts, or a rate of operations.

    Attributes:
        basis: `measured` here, or `assumed`.
        note: how.
        sequences: of the micro-batch that was measured.
        micro_batch_seconds: of its forward and backward pass.
        update_seconds: of clipping and optimizer.
        flop_per_second: if it was not measured.
        spread: the slow times (90 % quantile) over the fast ones (10 %), if it was measured.
    """

    basis: Literal["measured", "assumed"]
    note: str
    sequences: int = 0
    micro_batch_seconds: float = 0.0
    update_seconds: float = 0.0
    flop_per_second: float | None = None
    spread: float | None = None

    def seconds_per_step(self, flops_per_step: float, sequences: int, batch: int) -> float:
        """Seconds of an optimizer step of `batch` sequences in micro-batches of `sequences`."""
        if self.flop_per_second is not None:
            return flops_per_step / self.flop_per_second
        each = self.micro_batch_seconds * sequences / self.sequences
        return each * batch / sequences + self.update_seconds

    def to_json(self) -> dict[str, str | float | None]:
        """As a plan and a cost sheet show it."""
        return {
            "basis": self.basis,
            "note": self.note,
            "micro_batch_seconds": self.micro_batch_seconds or None,
            "update_seconds": self.update_seconds or None,
            "flop_per_second": self.flop_per_second,
            "spread": self.spread,
        }


@dataclass(frozen=True, slots=True)
class Machine:
    """What trains.

    Attributes:
        title: for people.
        setting: precision and kind of device.
        memory_bytes: that a training can have; None where it is not known.
        gpu: its entry in the table of GPUs.
        watts: that it draws while it trains; None where it is not known.
        watts_basis: where that is from.
        pace: None where it is not known.
    """

    title: str
    setting: Setting
    memory_bytes: int | None
    gpu: Device | None = None
    watts: float | None = None
    watts_basis: str = "not known"
    pace: Pace | None = None

    def seconds_per_step(self, flops_per_step: float, sequences: int, batch: int) -> float | None:
        """Seconds of an optimizer step; None where the pace is not known."""
        if self.pace is None:
            return None
        return self.pace.seconds_per_step(flops_per_step, sequences, batch)

    def to_json(self) -> dict[str, object]:
        """As JSON."""
        return {
            "title": self.title,
            "name": self.gpu.name if self.gpu else None,
            "device": self.setting.device,
            "precision": self.setting.precision,
            "memory_bytes": self.memory_bytes,
            "watts": self.watts,
            "watts_basis": self.watts_basis,
            "pace": self.pace.to_json() if self.pace else None,
        }


def known_gpu(name: str, spec: Spec, *, watts: float | None = None) -> Machine:
    """A GPU of the table.

    Args:
        name: such as `rtx3060-12gb`.
        spec: that it will train; decides precision and efficiency.
        watts: the user's `device_watts`; None: the board's limit.

    Raises:
        EscadaError: not in the table, or a precision that it has not in hardware.
    """
    gpu = device(name)
    wanted = spec.train.precision
    precision: Precision = gpu.training_precision if wanted == "auto" else wanted
    peak = gpu.peak_flop_per_second(precision)
    share = assumed_efficiency(gpu, spec)
    note = f"assumed efficiency {share:.2f} of {peak / 1e12:g} TFLOP/s ({precision})"
    return Machine(
        title=gpu.title,
        setting=Setting(precision, "cuda"),
        memory_bytes=gpu.memory_bytes - GPU_RESERVE_BYTES,
        gpu=gpu,
        watts=watts or gpu.watts,
        watts_basis="the user's device_watts" if watts else "the board's power limit",
        pace=Pace("assumed", note, flop_per_second=share * peak),
    )


def assumed_efficiency(gpu: Device, spec: Spec) -> float:
    """The fraction of its peak that the GPU is assumed to reach in the training of this rung."""
    stated: float | None = getattr(MODELS.load(spec.model.kind), "PLANNED_EFFICIENCY", None)
    if stated is not None:
        return gpu.efficiency.fraction * stated
    width = getattr(spec.model, "d_model", WIDTH)
    return min(MOST, gpu.efficiency.fraction * (width / WIDTH) ** NARROWER)


def unknown_gpu(memory_bytes: int, spec: Spec, *, watts: float | None = None) -> Machine:
    """A GPU of which only the memory is known."""
    wanted = spec.train.precision
    return Machine(
        title=f"a GPU with {memory_bytes / 2**30:.3g} GiB",
        setting=Setting("bf16" if wanted == "auto" else wanted, "cuda"),
        memory_bytes=max(0, memory_bytes - GPU_RESERVE_BYTES),
        watts=watts,
        watts_basis="the user's device_watts" if watts else "not known",
    )


def parse_memory(text: str) -> int:
    """Bytes of `12GB`, `12 GiB` or `800M`; units are powers of 1024, as with memory chips.

    Raises:
        EscadaError: not a number with a unit.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    amount = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= amount < math.inf:
        raise EscadaError(f"memory {text!r} is not understood", fix="write for example 12GB")
    return int(amount)
