"""Whole tensors in files, parts of them in memory: sharded tensors gathered and divided.

A sharded training (`escada.training.sharding`) has `DTensor`s as parameters and moments. They are
recognised by their method `full_tensor`, since importing their class takes half a second, which
every other verb would pay.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has only a part of the tensor."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """This process's part, sharing memory with the tensor; the tensor itself if it is whole."""
    return cast("Any", tensor).to_local() if is_sharded(tensor) else tensor


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """Whole tensors, those that were sharded on the CPU; all processes must call this together.

    One tensor is gathered after the other, so a GPU needs memory for the largest one only.

    Args:
        keep: False for a process that only takes part; it gets an empty dictionary.
    """
    found: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = cast("Any", tensor).full_tensor() if is_sharded(tensor) else tensor
        if keep:
            found[name] = whole.cpu() if is_sharded(tensor) else tensor
    return found


def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """A whole tensor, divided as `like` is if that is sharded; no data are exchanged."""
    if not is_sharded(like):
        return whole
    from torch.distributed.tensor import distribute_tensor

    own = cast("Any", like)
    return distribute_tensor(
        whole.to(own.device), own.device_mesh, own.placements, src_data_rank=None
    )


@torch.no_grad()
def fill(own: Tensor, whole: Tensor) -> None:
    """Copy the values of a whole tensor into one of the same shape, which may be sharded."""
    local(own).copy_(local(part_of(whole, own)))
