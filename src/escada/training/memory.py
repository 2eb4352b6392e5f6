"""The memory that a training may have: how large a micro-batch fits, and what the allocator keeps.

glibc hands large blocks back to the system as soon as they are free, and asks for them again in the
next layer: every page is then cleared and mapped anew. That was 13 % of v5's step with dropout
(docs/decisions/0008), and 40 % of v1's. Kept blocks of 32 MiB and more are cut up for smaller ones
until nothing large fits any more, so they need more memory: they are kept only where there is
plenty (`escada.cost.footprint.with_large_kept`).
"""

from __future__ import annotations

import ctypes

import psutil
import torch

from escada.cost.footprint import largest_micro_batch, with_large_kept
from escada.errors import EscadaError
from escada.models.contract import LanguageModel, build_model
from escada.models.saved import Setting, setting_of
from escada.runs.device import memory_errors
from escada.runs.record import MicroBatchChoice
from escada.spec import Spec
from escada.training.distributed import share_of
from escada.training.precision import ResolvedPrecision

MEMORY_SHARE = 0.9
"""Of the memory that is free now, what a training may plan with: others need some too."""
SMALLER = "lower train.micro_batch_sequences (the batch stays), train.window_tokens or the model"
"""What to do where memory is not enough."""

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
_NEVER = 2**31 - 1
_USUAL_BLOCKS = 2**16
"""glibc's own limit of blocks that come from the system one by one."""
_LARGE = 2**25
"""The highest threshold that glibc takes."""


def shape_of(spec: Spec, vocab_size: int) -> LanguageModel:
    """The model without memory: on the meta device.

    Raises:
        EscadaError: so large that no memory could hold it.
    """
    with memory_errors("model", SMALLER), torch.device("meta"):
        return build_model(spec.model, vocab_size, seed=0)


def free_memory_bytes(device: torch.device) -> int:
    """What a training could have now: of the GPU, or of the machine with this process's share."""
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
) -> bool | None:
    """Have the allocator keep what a step frees, large blocks too where there is room for them.

    Args:
        spec: that will be trained.
        model: of it; the meta device will do.
        device: that will train; nothing is done for a GPU.
        precision: of it.
        sequences: of a micro-batch.
        processes: that share this machine's memory.

    Returns:
        Whether large blocks are kept too (never where the allocator is not glibc's); None on a GPU.
    """
    if device.type != "cpu":
        return None
    have = MEMORY_SHARE * free_memory_bytes(device) / processes
    setting = Setting(precision.name, "cpu")
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
    memory_bytes: int | None = None,
) -> tuple[Spec, MicroBatchChoice]:
    """The spec with a micro-batch that fits into memory, and what the run's record says of it.

    A number in the spec stays as it is. `"auto"` becomes the largest divisor of the batch that
    fits, and so does an absent one when the whole batch does not fit. The batch of a step never
    changes.

    Args:
        spec: the resolved rung.
        vocab_size: V.
        device: that will train.
        precision: of it.
        processes: that share the batch, and on a CPU the memory.
        memory_bytes: for all of them; None: 90 % of what is free.

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
        setting_of(precision.name, device),
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
    """Ask the allocator to keep freed blocks; False where it is not glibc's.

    Args:
        large_too: those of 32 MiB and more as well.
    """
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
