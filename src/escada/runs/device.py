"""Selects the device, and reports when its memory runs out."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch

from escada.choices import DEVICES
from escada.errors import EscadaError, nearest


def resolve_device(wanted: str) -> torch.device:
    """The named device; `auto` is the first GPU (NVIDIA, then Apple), else the CPU.

    Raises:
        EscadaError: unknown device name, or a GPU that is not there.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device(next((kind for kind, found in there.items() if found), "cpu"))
    if wanted not in DEVICES:
        fix = nearest(wanted, DEVICES)
        raise EscadaError(f"unknown device {wanted!r}", where="--device", fix=fix)
    if not there.get(wanted, True):
        name = "CUDA" if wanted == "cuda" else "Apple GPU (mps)"
        raise EscadaError(f"no {name} device here", where="--device", fix="use --device cpu")
    return torch.device(wanted)


def synchronize(device: torch.device) -> None:
    """Wait for the device to finish, for timing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def sum_type(device: torch.device) -> torch.dtype:
    """The type for long sums: float64, except on Apple GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


_TOO_LARGE = ("can't allocate memory", "calculation overflowed", "invalid dimension", "is too big")
"""In torch's plain RuntimeError for a tensor too large for any memory."""


@contextlib.contextmanager
def memory_errors(where: object, fix: str) -> Generator[None]:
    """Turn running out of GPU or host memory into an `EscadaError`."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out and not any(words in str(error) for words in _TOO_LARGE):
            raise
        raise EscadaError("not enough memory", where=where, fix=fix) from error
