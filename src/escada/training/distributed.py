"""Data-parallel training in several processes.

    torchrun --nproc-per-node 2 -m escada train v5 …

Every process (a *rank*, from 0) trains its rows of each step's batch. It holds the whole model, and
DistributedDataParallel (Li et al. 2020) averages the gradients during the backward pass; or it
holds a part of the model (`escada.training.sharding`). A batch depends on seed and step alone, so
no data is exchanged, and a step of N processes equals a step of one up to summation order. Rank 0
creates the run, logs, validates and saves.

`World` is the only interface to the rest of the package. There are two process groups: the default
one for gradients (NCCL on GPUs, gloo on CPUs), and a gloo group for control messages. The latter
never blocks a GPU and has a timeout of a day, because rank 0 may prepare a corpus for hours.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from types import FrameType
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage]
from torch.distributed.rendezvous import (
    rendezvous,  # pyright: ignore[reportUnknownVariableType]
)
from torch.nn.parallel import DistributedDataParallel

from escada.errors import EscadaError
from escada.runs.device import resolve_device
from escada.signals import on_stop
from escada.spec import TrainSpec
from escada.training import launch

_LONGEST_WAIT = timedelta(hours=24)
_LAST_WORDS_SECONDS = 5.0
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class World:
    """The processes that train together, as seen by this one."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Rank within this machine; also the index of its GPU."""
    local_size: int = 1
    """Processes on this machine."""
    control: Any = None
    """The process group for control messages; None for a single process."""

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes files and reports to the user."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """Like `resolve_device`, but each process of a machine gets its own GPU."""
        device = resolve_device(wanted)
        if device.type == "cuda" and self.size > 1:
            return torch.device("cuda", self.local_rank)
        return device

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def from_first(self, value: _T) -> _T:
        """The value of rank 0; those of other ranks are ignored."""
        if self.size == 1:
            return value
        box: list[Any] = [value if self.first else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return cast(_T, box[0])

    def first_then_others(self, work: Callable[[], _T]) -> _T:
        """Run `work`, which caches its result in files, on rank 0 first, then on the others."""
        if self.size == 1:
            return work()
        if not self.first:
            self.barrier()
            return work()
        done = work()
        self.barrier()
        return done

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, as a new tensor on the same device."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def distribute(self, module: nn.Module, device: torch.device) -> nn.Module:
        """Wrap a module so that its backward pass averages gradients over all processes."""
        if self.size == 1:
            return module
        with warnings.catch_warnings():
            # Newer versions of torch deprecate `broadcast_buffers`; older ones have no other name.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module,
                device_ids=[device.index] if device.type == "cuda" else None,
                broadcast_buffers=False,  # buffers are constants
                gradient_as_bucket_view=True,
            )

    def keep_local(self, module: nn.Module, *, local: bool) -> AbstractContextManager[object]:
        """If `local`, accumulate gradients without exchanging them."""
        if local and isinstance(module, DistributedDataParallel):
            return module.no_sync()
        return nullcontext()


ALONE = World()


class Agreement:
    """Yes-or-no questions answered together by all processes, every step, without blocking.

    The result is the logical OR of all answers, one step late: the all-reduce overlaps with the
    next step. A single process gets its own answers at once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._travelling: tuple[Tensor, Any] | None = None

    def ask(self, *own: bool) -> tuple[bool, ...]:
        """Send this process's answers; return the combined answers to the previous call."""
        if self._world.size == 1:
            return own
        answers = torch.tensor(own, dtype=torch.uint8)
        work: Any = dist.all_reduce(  # pyright: ignore[reportUnknownVariableType]
            answers, dist.ReduceOp.MAX, group=self._world.control, async_op=True
        )
        arrived, self._travelling = self._travelling, (answers, work)
        if arrived is None:
            return (False,) * len(own)
        arrived[1].wait()
        return tuple(bool(arrived[0][question]) for question in range(len(own)))


@dataclass(frozen=True, slots=True)
class BatchShare:
    """The part of a step that one process trains."""

    sequences: int
    """Rows of the batch, starting at `rank * sequences`."""
    micro_batch_sequences: int
    """Rows per forward pass; divides `sequences`."""


def share_of(train: TrainSpec, world_size: int) -> BatchShare:
    """Divide a step's batch among `world_size` processes, and each share into micro-batches.

    The micro-batch is the spec's, or the largest smaller one that divides a process's rows.

    Raises:
        EscadaError: the batch cannot be divided evenly.
    """
    batch = train.batch_sequences
    if batch % world_size:
        raise EscadaError(
            f"train.batch_sequences {batch} cannot be divided among {world_size} processes",
            fix=f"choose a multiple of {world_size}, or another --nproc-per-node",
        )
    rows = batch // world_size
    most = min(rows, train.known_micro_batch or rows)
    return BatchShare(rows, next(m for m in range(most, 0, -1) if rows % m == 0))


def seed_step(seed: int, step: int, rank: int, device: torch.device) -> None:
    """Seed the random numbers of a step (dropout) from seed, step and rank.

    So checkpoints need no random state, and a resume may use another number of processes.
    """
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    if device.type == "cuda":
        index = torch.cuda.current_device()  # set by `joined` if there are several
        torch.cuda.default_generators[index].manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    else:  # torch.manual_seed takes too long for the steps of a small model
        torch.default_generator.manual_seed(number)


@contextmanager
def interruptions(world: World) -> Generator[Callable[[], bool]]:
    """Ctrl-C (or SIGTERM) requests a stop; a second one stops at once.

    With several processes the second one is ignored: `torchrun` may forward a signal twice. It
    kills processes that have not stopped after half a minute.
    """
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping and world.size == 1:
            raise KeyboardInterrupt
        stopping = True

    with on_stop(stop):
        yield lambda: stopping


def _end_soon(_number: int, _frame: FrameType | None) -> None:
    """On SIGTERM outside the loop: end, but not at once.

    When a process dies, `torchrun` sends SIGTERM to the others within a tenth of a second. They
    notice by themselves, and this leaves them the time to say so.
    """
    ending = threading.Timer(_LAST_WORDS_SECONDS, os._exit, (128 + signal.SIGTERM,))
    ending.daemon = True
    ending.start()


@contextmanager
def joined(device: str) -> Generator[World]:
    """Join the processes that `torchrun` started, if any; leave when all are done.

    Raises:
        EscadaError: too few GPUs on this machine; or, inside the context, another process died.
    """
    if launch.processes() == 1:
        yield ALONE
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    kind = resolve_device(device).type
    if kind == "mps":
        raise EscadaError("one Apple GPU cannot be shared by processes", fix="use --device cpu")
    signal.signal(signal.SIGTERM, _end_soon)
    on_gpu = kind == "cuda"
    if on_gpu:
        _check_gpus(local_rank)
        torch.cuda.set_device(local_rank)
    try:
        _init_processes("nccl" if on_gpu else "gloo")
        control = dist.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        size = launch.processes()
        here = int(os.environ.get("LOCAL_WORLD_SIZE", size))
        world = World(rank, size, local_rank, here, control)
        yield world
        world.barrier()
    except Exception as error:
        _explain(error)
        raise
    dist.destroy_process_group()


def _init_processes(backend: str) -> None:
    """Join the default process group, of this attempt only.

    `torchrun --max-restarts` keeps its key-value store, where the addresses of the last attempt's
    processes still are (pytorch issue 135712). Its count of attempts is the same for all processes
    of one machine; several machines must be started afresh (docs/distributed.md).
    """
    if os.environ.get("GROUP_WORLD_SIZE", "1") != "1":
        dist.init_process_group(backend)
        return
    store, rank, size = next(rendezvous("env://"))
    attempt = PrefixStore(f"escada/attempt/{launch.attempt()}", store)
    dist.init_process_group(backend, store=attempt, rank=rank, world_size=size)


def _check_gpus(local_rank: int) -> None:
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        raise EscadaError(
            f"this machine has {gpus} GPU{'s' if gpus != 1 else ''}, and process {local_rank + 1} "
            "of those started here has none",
            fix=f"start at most {gpus} with --nproc-per-node, or use --device cpu",
        )


def _explain(error: Exception) -> None:
    """Report a lost process in one line; for a bug, let only one process print its traceback."""
    if isinstance(error, EscadaError):
        return
    if isinstance(error, dist.DistError) or "gloo" in str(error):
        raise EscadaError(
            "another process of this training is gone",
            fix="if it said nothing, the system may have ended it for lack of memory; "
            "go on with `escada resume` (torchrun --max-restarts does so by itself)",
        ) from error
    if not launch.speaks_for_all():
        raise SystemExit(1) from error
