"""Which device a verb runs on."""

from __future__ import annotations

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
        raise EscadaError("no CUDA device", where="--device", fix="use --device cpu")
    if wanted not in ("cpu", "cuda"):
        raise EscadaError(f"unknown device {wanted!r}", where="--device", fix="auto, cpu or cuda")
    return torch.device(wanted)
