"""Which number format the matrix multiplications use, and why.

`auto` asks the hardware, because emulated bf16 is not merely slower but a hundred times slower: on
a two-core AVX2 machine a bf16 matmul ran at 0.9 GFLOP/s against 98 in fp32.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import torch

from escada.errors import EscadaError

Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class ResolvedPrecision:
    """A precision and the reason for it, recorded in the run."""

    name: Precision
    reason: str

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """The context that a forward pass runs in."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(device.type, dtype=dtype)

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Loss scaling (Micikevicius et al. 2018): needed by fp16, a no-op otherwise."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def resolve_precision(wanted: str, device: torch.device) -> ResolvedPrecision:
    """What `train.precision` means on this device.

    Raises:
        EscadaError: a format that the device would only emulate.
    """
    fast_bf16 = has_fast_bf16(device)
    if wanted == "auto":
        if fast_bf16:
            return ResolvedPrecision("bf16", "auto: bf16 in hardware")
        if device.type == "cuda":
            return ResolvedPrecision("fp16", "auto: no bf16 in hardware, fp16 with loss scaling")
        return ResolvedPrecision("fp32", "auto: no bf16 in hardware")
    if wanted == "bf16" and not fast_bf16:
        raise EscadaError(
            f"this {device.type} has no bf16 in hardware and would emulate it",
            where="train.precision",
            fix="use fp32 or auto",
        )
    if wanted == "fp16" and device.type != "cuda":
        raise EscadaError(
            f"fp16 training is not supported on {device.type}",
            where="train.precision",
            fix="use fp32 or auto",
        )
    assert wanted in ("fp32", "bf16", "fp16")
    return ResolvedPrecision(wanted, "asked for")
