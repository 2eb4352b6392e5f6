"""Fast dropout on a CPU, where torch's takes a quarter of a Transformer's step.

torch draws a Mersenne twister number per entry. Here a 64-bit draw decides four entries with 16
bits each, so p is exact to 2^-17, and kept entries are divided by the exact keep probability. Draws
come from SFC64 (Doty-Humphrey 2010), seeded per call from torch's generator for reproducibility.
Measurements: docs/decisions/0008. On a GPU and in compiled models torch's dropout is used.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_BITS = 16
_ENTRIES_PER_DRAW = 64 // _BITS
_ONE_IN_BF16 = 0x3F80
"""The bits of 1.0 in bf16."""


def keep_share(p: float) -> float:
    """The probability that an entry is kept: 1 - p, rounded to 16 bits."""
    return 1 - round(p * 2**_BITS) / 2**_BITS


def keep_mask(like: Tensor, p: float) -> Tensor:
    """1 for kept and 0 for dropped entries, on the CPU, with the shape and type of `like`."""
    seed = int(torch.randint(2**62, ()).item())
    draws = np.random.Generator(np.random.SFC64(seed)).integers(
        -(2**63), 2**63 - 1, -(-like.numel() // _ENTRIES_PER_DRAW), np.int64, endpoint=True
    )
    words = torch.from_numpy(draws).view(torch.int16)[: like.numel()]
    words.ge_(round(p * 2**_BITS) - 2 ** (_BITS - 1))
    if like.dtype == torch.bfloat16:  # two thirds of the time of a conversion
        return words.mul_(_ONE_IN_BF16).view(torch.bfloat16).view(like.shape)
    return words.to(like.dtype).view(like.shape)


def drop(x: Tensor, p: float) -> Tensor:
    """Inverted dropout (Srivastava et al. 2014) with probability p."""
    if p == 0:
        return x
    if not x.is_cpu or torch.compiler.is_compiling():
        return functional.dropout(x, p)
    # In bf16 a mask of 1/(1 - p) would round all kept entries to the same side.
    return x * keep_mask(x, p) * (1 / keep_share(p))


class Dropout(nn.Module):
    """`drop` as a layer, active in training mode only."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Apply dropout; same shape."""
        return drop(x, self.p) if self.training else x

    def add_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """The stream plus what is kept of x."""
        if not (self.training and self.p):
            return stream + x
        if not x.is_cpu or torch.compiler.is_compiling():
            return stream + functional.dropout(x, self.p)
        return torch.addcmul(stream, x, keep_mask(x, self.p), value=1 / keep_share(self.p))

    def extra_repr(self) -> str:
        """Shown by `repr`."""
        return f"p={self.p}"
