"""Which device a verb runs on, and what it says when its memory is not enough."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch

from escada.errors import EscadaError


def resolve_device(wanted: str) -> torch.device:
    """`auto` is the first GPU if there is one, else the CPU.

    Raises:
        EscadaError: CUDA was asked for and is not there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise EscadaError("no CUDA device here", where="--device", fix="use --device cpu")
    if wanted not in ("cpu", "cuda"):
        fix = "use auto, cpu or cuda"
        raise EscadaError(f"unknown device {wanted!r}", where="--device", fix=fix)
    return torch.device(wanted)


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
