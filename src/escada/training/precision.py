"""The number format of matrix multiplications, what multiplies, and the reasons for both.

On a CPU both go by what was measured (`escada.cost.processor`).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Literal

import torch

from escada.cost.processor import LEAST_GAIN, bf16_gain, onednn_gain, onednn_pays
from escada.errors import EscadaError
from escada.models.onednn import onednn_packs

Precision = Literal["fp32", "bf16", "fp16"]
MatmulLibrary = Literal["blas", "onednn"]


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


@dataclass(frozen=True, slots=True)
class ResolvedMatmulLibrary:
    """The library that multiplies in linear layers and the reason for it, recorded in the run."""

    name: MatmulLibrary
    reason: str = ""


BLAS = ResolvedMatmulLibrary("blas")


def resolve_matmul_library(precision: Precision, device: torch.device) -> ResolvedMatmulLibrary:
    """What multiplies in linear layers; only fp32 on a CPU has a choice."""
    if device.type != "cpu" or precision != "fp32" or not onednn_packs(torch.float32):
        return BLAS
    reason = f"oneDNN multiplies {onednn_gain():.2g} times as fast in fp32"
    return ResolvedMatmulLibrary("onednn" if onednn_pays() else "blas", reason)


def offers_bf16(device: torch.device) -> bool:
    """Whether torch has fast bf16 products for the device, not an emulation."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and onednn_packs(torch.bfloat16)


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
