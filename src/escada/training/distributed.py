"""Several processes, one training.

    torchrun --nproc-per-node 2 -m escada train v5 …

Every process (a *rank*, counted from 0) holds the whole model and trains its rows of each step's
batch; DistributedDataParallel (Li et al. 2020) sums the gradients while the backward pass runs.
A batch is a function of seed and step alone, so no process needs to be told its data, and the step
of N processes is the step of one but for the order of a sum. Rank 0 makes the run, logs,
validates and saves; the others wait for it.

`World` is all that the rest of the package knows of this: who this process is and how it agrees
with the others. There are two groups of communication. The default one moves gradients (NCCL
between GPUs, gloo between CPUs). The other, always gloo, carries what the processes say to each
other: it never makes a GPU wait, and its timeout is a day, because rank 0 may prepare a corpus for
hours.

The seam for sharded training (FSDP2), which is not built: `World.distribute` would shard the model
in place of wrapping it; `weights_of` and `training_tensors` would gather what they save; the rest
of the loop needs no change, since clipping and the optimizers take sharded tensors as they are.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from escada.errors import EscadaError
from escada.runs.device import resolve_device
from escada.signals import on_stop
from escada.spec import TrainSpec
from escada.training import launch

_LONGEST_WAIT = timedelta(hours=24)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    """Among those of its machine; it uses the GPU of that number."""
    control: Any = None
    """The group for words, not gradients; None for a process on its own."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def device(self, wanted: str) -> torch.device:
        """As `resolve_device`; each process of a machine gets a GPU of its own."""
        device = resolve_device(wanted)
        if device.type == "cuda" and self.size > 1:
            return torch.device("cuda", self.local_rank)
        return device

    def barrier(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier(group=self.control)

    def from_first(self, value: _T) -> _T:
        """What rank 0 holds; the values of the others are not looked at."""
        if self.size == 1:
            return value
        box: list[Any] = [value if self.first else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return cast(_T, box[0])

    def first_then_others(self, work: Callable[[], _T]) -> _T:
        """Work that all need and that leaves files: rank 0 does it, then the others find it."""
        if self.size == 1:
            return work()
        if not self.first:
            self.barrier()
            return work()
        done = work()
        self.barrier()
        return done

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes, a new tensor on the same device."""
        if self.size == 1:
            return tensor
        total = tensor.clone()
        dist.all_reduce(total)
        return total

    def distribute(self, module: nn.Module, device: torch.device) -> nn.Module:
        """A module whose backward pass leaves the mean of all processes' gradients in each."""
        if self.size == 1:
            return module
        with warnings.catch_warnings():
            # Newer versions of torch call `broadcast_buffers` otherwise; older ones know no other.
            warnings.simplefilter("ignore", FutureWarning)
            return DistributedDataParallel(
                module,
                device_ids=[device.index] if device.type == "cuda" else None,
                broadcast_buffers=False,  # they are constants
                gradient_as_bucket_view=True,
            )

    def keep_local(self, module: nn.Module, *, local: bool) -> AbstractContextManager[object]:
        """Where `local`, gradients are only added up here: for all micro-batches but the last."""
        if local and isinstance(module, DistributedDataParallel):
            return module.no_sync()
        return nullcontext()


ALONE = World()
"""The world of a process that trains on its own."""


class Agreement:
    """Yes-or-no questions that all processes answer together, in every step and without waiting.

    A yes of any process is everybody's yes, at the same step: the one after it was said, because
    the answers travel while that step is computed. A process on its own agrees at once.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._travelling: tuple[Tensor, Any] | None = None

    def ask(self, *own: bool) -> tuple[bool, ...]:
        """Give this process's answers; get everybody's to the questions asked before."""
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
    """Rows of the batch: those from `rank * sequences`."""
    micro_batch_sequences: int
    """Rows in one forward pass; divides `sequences`."""


def share_of(train: TrainSpec, world_size: int) -> BatchShare:
    """How a step is divided among `world_size` processes, and each part into micro-batches.

    The micro-batch is that of the spec, or the largest below it that divides a process's rows.

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
    """Set the random numbers of a step (dropout): a function of seed, step and rank alone.

    So no random state needs to be saved, and a resume with another number of processes is as well
    defined as any.
    """
    digest = hashlib.blake2b(f"{seed} {step} {rank}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    if device.type == "cuda":
        index = torch.cuda.current_device()  # of several, `joined` chose it
        torch.cuda.default_generators[index].manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)
    else:  # not torch.manual_seed, which takes longer than a small model's step can spare
        torch.default_generator.manual_seed(number)


@contextmanager
def interruptions(world: World) -> Generator[Callable[[], bool]]:
    """The first Ctrl-C (or SIGTERM) asks a training to stop; a second one stops it at once.

    Not with several processes: `torchrun` passes on what it gets, and may do so twice. It ends
    those that have not stopped after half a minute.
    """
    stopping = False

    def stop() -> None:
        nonlocal stopping
        if stopping and world.size == 1:
            raise KeyboardInterrupt
        stopping = True

    with on_stop(stop):
        yield lambda: stopping


@contextmanager
def joined(device: str) -> Generator[World]:
    """Meet the processes that `torchrun` started with this one, if any; leave when all are done.

    Args:
        device: as for `resolve_device`.

    Raises:
        EscadaError: too few GPUs on this machine; or, from inside, another process is gone.
    """
    if launch.processes() == 1:
        yield ALONE
        return
    rank, local_rank = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    kind = resolve_device(device).type
    if kind == "mps":
        raise EscadaError("one Apple GPU cannot be shared by processes", fix="use --device cpu")
    on_gpu = kind == "cuda"
    if on_gpu:
        _check_gpus(local_rank)
        torch.cuda.set_device(local_rank)
    try:
        dist.init_process_group("nccl" if on_gpu else "gloo")
        control = dist.new_group(backend="gloo", timeout=_LONGEST_WAIT)
        world = World(rank, launch.processes(), local_rank, control)
        yield world
        world.barrier()
    except Exception as error:
        _explain(error)
        raise
    dist.destroy_process_group()


def _check_gpus(local_rank: int) -> None:
    gpus = torch.cuda.device_count()
    if local_rank >= gpus:
        raise EscadaError(
            f"this machine has {gpus} GPU{'s' if gpus != 1 else ''}, and process {local_rank + 1} "
            "of those started here has none",
            fix=f"start at most {gpus} with --nproc-per-node, or use --device cpu",
        )


def _explain(error: Exception) -> None:
    """Turn the loss of another process into one line; of a bug, show one traceback, not N."""
    if isinstance(error, EscadaError):
        return
    if isinstance(error, dist.DistError) or "gloo" in str(error):
        raise EscadaError(
            "another process of this training is gone",
            fix="if it said nothing, the system may have ended it for lack of memory; "
            "go on with `escada resume`",
        ) from error
    if not launch.speaks_for_all():
        raise SystemExit(1) from error
