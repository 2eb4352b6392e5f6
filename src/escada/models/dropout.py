"""Dropout that does not take a quarter of a Transformer's step on a CPU.

torch draws one number after another from a Mersenne twister there and asks each whether it is below
p. Here one draw of 64 bits decides about four entries: each has 16 of them, so p is met to within
2^-17, and what is kept is divided by exactly the share that is kept. The draws come from SFC64
(Doty-Humphrey 2010), which each call seeds with a number from torch's generator, so that the same
random state gives the same masks. docs/decisions/0008 has the measurements. On a GPU, and where a
model is compiled, it is torch's own, which is fast there.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

_BITS = 16
_ENTRIES_PER_DRAW = 64 // _BITS
_ONE_IN_BF16 = 0x3F80
"""The bits of 1.0."""


def keep_share(p: float) -> float:
    """The share of entries that is kept: 1 - p, as near as 16 bits say it."""
    return 1 - round(p * 2**_BITS) / 2**_BITS


def keep_mask(like: Tensor, p: float) -> Tensor:
    """1 where an entry is kept and 0 where it is dropped: shape and type of `like`, on the CPU."""
    seed = int(torch.randint(2**62, ()).item())
    draws = np.random.Generator(np.random.SFC64(seed)).integers(
        -(2**63), 2**63 - 1, -(-like.numel() // _ENTRIES_PER_DRAW), np.int64, endpoint=True
    )
    words = torch.from_numpy(draws).view(torch.int16)[: like.numel()]
    words.ge_(round(p * 2**_BITS) - 2 ** (_BITS - 1))
    if like.dtype == torch.bfloat16:  # two thirds of the time of a conversion
        return words.mul_(_ONE_IN_BF16).view(torch.bfloat16).view(like.shape)
    return words.to(like.dtype).view(like.shape)


def thinned(x: Tensor, p: float) -> tuple[Tensor, float]:
    """`x` with entries dropped, and the factor that is still to be applied.

    The factor is apart because a smaller tensor can often take it, and because in bf16 a mask of
    1/(1 - p) would round all that is kept to the same side.
    """
    if not x.is_cpu or torch.compiler.is_compiling():
        return functional.dropout(x, p), 1.0
    return x * keep_mask(x, p), 1 / keep_share(p)


def drop(x: Tensor, p: float) -> Tensor:
    """Entries become zero with probability p, the others larger, so that the mean stays.

    Srivastava et al. 2014, in its inverted form.
    """
    if p == 0:
        return x
    x, factor = thinned(x, p)
    return x if factor == 1 else x * factor


class Dropout(nn.Module):
    """`drop` as a layer: it does nothing in evaluation mode."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return drop(x, self.p) if self.training else x

    def extra_repr(self) -> str:
        """Shown by `repr`."""
        return f"p={self.p}"
