"""Which device a verb runs on, and what it says when its memory is not enough."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch

from escada.choices import DEVICES
from escada.errors import EscadaError, nearest


def resolve_device(wanted: str) -> torch.device:
    """`auto` is the first GPU if there is one (NVIDIA's, then Apple's), else the CPU.

    Raises:
        EscadaError: a GPU was asked for that is not there, or a device of another name.
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
    """Wait until the device has done what it was given, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def sum_type(device: torch.device) -> torch.dtype:
    """The type of long sums on a device: float64, but for Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64


_TOO_LARGE = ("can't allocate memory", "calculation overflowed", "invalid dimension", "is too big")
"""What torch says, as a plain RuntimeError, of a tensor that no memory holds."""


@contextlib.contextmanager
def memory_errors(where: object, fix: str) -> Generator[None]:
    """Turn memory that runs out, of the GPU or the machine, into one clear line."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        out = isinstance(error, MemoryError | torch.OutOfMemoryError)
        if not out and not any(words in str(error) for words in _TOO_LARGE):
            raise
        raise EscadaError("not enough memory", where=where, fix=fix) from error
