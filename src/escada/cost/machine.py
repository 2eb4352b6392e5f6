"""A machine as the planner sees it: memory, pace and power.

known_gpu("rtx3060-12gb", spec)          # datasheet values and an assumed efficiency
unknown_gpu(parse_memory("12GB"), spec)  # memory only; the pace is unknown
escada.training.plan.machine_here(…)     # this machine, with its pace measured
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from escada.cost.gpus import Gpu, Precision, device
from escada.errors import EscadaError
from escada.models.activation_memory import Setting
from escada.spec import MODELS, Spec

WIDTH = 768
"""d_model of the Transformer that the table's efficiencies refer to (GPT-2)."""
NARROWER = 0.8
"""Efficiency scales with (d_model / 768) ^ 0.8. Assumed, from an A100: at d_model 384, 22.4 ms for
16,384 tokens or 0.158 of its peak, against 0.28 at 768 (github.com/karpathy/nanoGPT issue 178, read
2026-11-30; 894 ms for 40 micro-batches)."""
MOST = 0.5
"""Upper limit of the assumed efficiency."""
GPU_RESERVE_BYTES = 3 * 2**28
"""GPU memory unavailable to a training (0.75 GiB): driver, CUDA context and fragmentation of
torch's cache. Assumed."""
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of a machine: measured times of the parts of a step, or FLOP/s.

    Attributes:
        basis: `measured` or `assumed`.
        sequences: in the measured micro-batch.
        micro_batch_seconds: of its forward and backward pass.
        update_seconds: of clipping and optimizer.
        flop_per_second: if not measured.
        spread: the 90 % quantile of the times over the 10 % quantile, if measured.
    """

    basis: Literal["measured", "assumed"]
    note: str
    sequences: int = 0
    micro_batch_seconds: float = 0.0
    update_seconds: float = 0.0
    flop_per_second: float | None = None
    spread: float | None = None

    def seconds_per_step(self, flops_per_step: float, sequences: int, batch: int) -> float:
        """Seconds per optimizer step of `batch` sequences in micro-batches of `sequences`."""
        if self.flop_per_second is not None:
            return flops_per_step / self.flop_per_second
        each = self.micro_batch_seconds * sequences / self.sequences
        return each * batch / sequences + self.update_seconds

    def to_json(self) -> dict[str, str | float | None]:
        """The pace, as in a plan or a cost sheet."""
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
    """The machine that trains.

    Attributes:
        setting: precision and kind of device.
        memory_bytes: available to a training; None if unknown.
        gpu: its entry in the table of GPUs.
        watts: drawn in training; None if unknown.
        watts_basis: the source of `watts`.
        pace: None if unknown.
    """

    title: str
    setting: Setting
    memory_bytes: int | None
    gpu: Gpu | None = None
    watts: float | None = None
    watts_basis: str = "not known"
    pace: Pace | None = None

    def seconds_per_step(self, flops_per_step: float, sequences: int, batch: int) -> float | None:
        """Seconds per optimizer step; None if the pace is unknown."""
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
        spec: the rung to train; determines precision and efficiency.
        watts: the user's `device_watts`; None: the board's power limit.

    Raises:
        EscadaError: not in the table, or no hardware support for the precision.
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


def assumed_efficiency(gpu: Gpu, spec: Spec) -> float:
    """The share of its peak that the GPU is assumed to reach with this rung."""
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
    """Parse `12GB`, `12 GiB` or `800M` to bytes; units are powers of 1024.

    Raises:
        EscadaError: not a number with a unit.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text.lower())
    amount = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if not 1 <= amount < math.inf:
        raise EscadaError(f"memory {text!r} is not understood", fix="write for example 12GB")
    return int(amount)
