"""Training memory: choosing a micro-batch that fits, and tuning the allocator.

glibc returns large blocks to the system when they are freed, so every layer maps and clears its
pages anew: 13 % of v5's step with dropout (docs/decisions/0008), 40 % of v1's. Keeping blocks of
32 MiB and more fragments the heap and needs more memory, so they are kept only where there is
plenty (`escada.cost.footprint.with_large_kept`).
"""

from __future__ import annotations

import ctypes
from dataclasses import replace

import psutil
import torch

from escada.cost.footprint import largest_micro_batch, with_large_kept
from escada.errors import EscadaError
from escada.models.activation_memory import Setting, setting_of
from escada.models.contract import LanguageModel, build_model
from escada.runs.device import memory_errors
from escada.runs.record import MicroBatchChoice
from escada.spec import Spec
from escada.training.distributed import share_of
from escada.training.precision import ResolvedPrecision

MEMORY_SHARE = 0.9
"""Share of the free memory that a training may plan with."""
SMALLER = "lower train.micro_batch_sequences (the batch stays), train.window_tokens or the model"
"""The suggested fix when memory runs out."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_NEVER = 2**31 - 1
_USUAL_BLOCKS = 2**16
"""glibc's default limit on mmapped blocks."""
_LARGE = 2**25
"""The largest mmap threshold that glibc accepts."""


def shape_of(spec: Spec, vocab_size: int) -> LanguageModel:
    """The model on the meta device; an EscadaError if it is too large for any memory."""
    fix = "choose a smaller model, or a machine with more of it"
    with memory_errors(spec.model.kind, fix), torch.device("meta"):
        return build_model(spec.model, vocab_size, seed=0)


def free_memory_bytes(device: torch.device) -> int:
    """Free GPU memory; on a CPU, the available memory plus what this process already uses."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available + psutil.Process().memory_info().rss


def settle_host_memory(
    spec: Spec,
    model: LanguageModel,
    device: torch.device,
    precision: ResolvedPrecision,
    *,
    sequences: int,
    processes: int = 1,
    shards: int = 1,
) -> bool | None:
    """Make the allocator keep the memory that a step frees, large blocks only if they fit.

    Returns:
        Whether large blocks are kept (never without glibc); None for a GPU, where nothing is done.
    """
    if device.type != "cpu":
        return None
    have = MEMORY_SHARE * free_memory_bytes(device) / processes
    setting = Setting(precision.name, "cpu", shards=shards)
    setting = with_large_kept(model, spec.train, have, setting, sequences=sequences)
    obeyed = keep_freed_memory(large_too=setting.keeps_large)
    return setting.keeps_large and obeyed


def choose_micro_batch(
    spec: Spec,
    vocab_size: int,
    device: torch.device,
    precision: ResolvedPrecision,
    *,
    processes: int = 1,
    shards: int = 1,
    memory_bytes: int | None = None,
) -> tuple[Spec, MicroBatchChoice]:
    """Resolve the micro-batch of a spec to one that fits, and describe the choice for the record.

    A number in the spec is kept. `"auto"` becomes the largest divisor of the batch that fits, as
    does an absent value if the whole batch does not fit. The batch of a step never changes.

    Args:
        processes: that share the batch and, on a CPU, the memory.
        shards: processes that divide weights, gradients and optimizer state among them.
        memory_bytes: for all processes; None: 90 % of what is free.

    Raises:
        EscadaError: not even one sequence fits, or the processes cannot divide the batch.
    """
    wanted = spec.train.micro_batch_sequences
    if isinstance(wanted, int):
        return spec, MicroBatchChoice(wanted=wanted, sequences=wanted)
    have = memory_bytes or int(MEMORY_SHARE * free_memory_bytes(device))
    if device.type == "cpu":
        have //= processes
    rows = share_of(spec.train, processes).sequences
    fitting = largest_micro_batch(
        shape_of(spec, vocab_size),
        spec.train,
        have,
        replace(setting_of(precision.name, device), shards=shards),
        batch_sequences=rows,
    )
    if fitting is None:
        raise EscadaError(
            f"a single sequence does not fit into the {have / 2**30:.2f} GiB that are free",
            where="train.micro_batch_sequences",
            fix="choose a smaller model or window, or set a number to try all the same",
        )
    choice = MicroBatchChoice(wanted=wanted or "batch", sequences=fitting, memory_bytes=have)
    if wanted is None and fitting == rows:
        return spec, choice
    return spec.with_micro_batch(fitting), choice


def keep_freed_memory(*, large_too: bool) -> bool:
    """Tell glibc to keep freed blocks (`large_too`: of any size); False without glibc."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    wishes = {
        _M_MMAP_MAX: 0 if large_too else _USUAL_BLOCKS,
        _M_MMAP_THRESHOLD: _LARGE,
        _M_TRIM_THRESHOLD: _NEVER,
    }
    refused = [name for name, value in wishes.items() if not mallopt(name, value)]
    return not refused
