"""The number format of matrix multiplications, and the reason for it.

On a CPU `auto` measures. torch reports bf16 support for every CPU with AVX-512, but not all are
faster: relative to fp32, a product took 1/4 of the time on an AMD EPYC, 1/5 on an Intel Xeon with
AMX, and twice the time on the same Xeon without AMX. Where torch reports no support, bf16 is not
measured: on a two-core AVX2 machine it ran at 0.9 GFLOP/s, against 98 in fp32.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch

from escada.cost.peak_flops import product_seconds
from escada.errors import EscadaError

Precision = Literal["fp32", "bf16", "fp16"]

LEAST_GAIN = 1.2
"""Minimum bf16 speedup of a product on a CPU; conversions cost some of it."""
_PRODUCT_SIZE = 1024
_PRODUCT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ResolvedPrecision:
    """A precision and the reason for it, recorded in the run."""

    name: Precision
    reason: str

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[object]:
        """The context for forward passes."""
        if self.name == "fp32":
            return contextlib.nullcontext()
        dtype = torch.bfloat16 if self.name == "bf16" else torch.float16
        return torch.autocast(device.type, dtype=dtype)

    def scaler(self, device: torch.device) -> torch.amp.GradScaler:
        """Loss scaling (Micikevicius et al. 2018), enabled for fp16 only."""
        return torch.amp.GradScaler(device.type, enabled=self.name == "fp16")


def offers_bf16(device: torch.device) -> bool:
    """Whether torch has fast bf16 products for the device, not an emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


@cache
def bf16_gain() -> float:
    """Speedup of bf16 products over fp32 on this CPU, measured once per process."""
    fp32, bf16 = (
        product_seconds(torch.device("cpu"), dtype, _PRODUCT_SIZE, _PRODUCT_SECONDS)
        for dtype in (torch.float32, torch.bfloat16)
    )
    return fp32 / bf16


def resolve_precision(wanted: str, device: torch.device) -> ResolvedPrecision:
    """Resolve `train.precision` for this device.

    Raises:
        EscadaError: the device would only emulate the format.
    """
    bf16 = offers_bf16(device)
    if wanted == "auto":
        if bf16 and device.type == "cuda":
            return ResolvedPrecision("bf16", "auto: bf16 in hardware")
        if device.type == "cuda":
            return ResolvedPrecision("fp16", "auto: no bf16 in hardware, fp16 with loss scaling")
        if not bf16:
            return ResolvedPrecision("fp32", "auto: no bf16 in hardware")
        gain = bf16_gain()
        reason = f"auto: bf16 multiplies {gain:.2g} times as fast as fp32"
        return ResolvedPrecision("bf16" if gain >= LEAST_GAIN else "fp32", reason)
    if wanted == "bf16" and not bf16:
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
