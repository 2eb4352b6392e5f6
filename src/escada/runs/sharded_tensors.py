"""Whole tensors in files, parts of them in memory: sharded tensors gathered and divided.

    sha256 = write_tensors(path, tensors)     # on rank 0
    help_to_write(tensors)                    # on the others

A file is written tensor by tensor, each gathered just before, so that no process ever holds more
than the largest one besides its own parts. safetensors' writers want all tensors at once.

A sharded training (`escada.training.sharding`) has `DTensor`s as parameters and moments. They are
recognised by their method `full_tensor`, since importing their class takes half a second, which
every other verb would pay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

_DTYPES = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Their names in a safetensors file and, as there, the order of the data, which aligns them."""


def is_sharded(tensor: Tensor) -> bool:
    """Whether each process has only a part of the tensor."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Tensor) -> Tensor:
    """This process's part, sharing memory with the tensor; the tensor itself if it is whole."""
    return cast("Any", tensor).to_local() if is_sharded(tensor) else tensor


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> Iterator[tuple[str, Tensor]]:
    """Whole tensors, those that were sharded on the CPU; all processes must iterate together.

    One is gathered after the other, in the order of a file, so there is memory needed for the
    largest one only, where the caller keeps none.

    Args:
        keep: False for a process that only takes part; it gets nothing.
    """
    for name in _in_order(tensors):
        tensor = tensors[name]
        whole = cast("Any", tensor).full_tensor() if is_sharded(tensor) else tensor
        if keep:
            yield name, whole.cpu() if is_sharded(tensor) else tensor


def _in_order(tensors: Mapping[str, Tensor]) -> list[str]:
    order = list(_DTYPES)
    return sorted(tensors, key=lambda name: (order.index(tensors[name].dtype), name))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write whole tensors as a safetensors file; other processes that have parts of them must go
    through `gathered` meanwhile.

    Returns:
        The file's SHA-256, hexadecimal.

    Raises:
        OSError: the disk is full.
    """
    table: dict[str, object] = {}
    end = 0
    for name in _in_order(tensors):
        tensor = tensors[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        table[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    header = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    digest = hashlib.sha256()
    with path.open("wb") as file:

        def write(data: bytes | memoryview) -> None:
            file.write(data)
            digest.update(data)

        write(len(header).to_bytes(8, "little") + header)
        for _, whole in gathered(tensors, keep=True):
            flat = whole.detach().cpu().reshape(-1)
            write(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


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
