"""Runs the shares of a preparation in processes of this machine.

    run = in_processes(4)
    run(share, folder)       # share(rank=0, world=4, parent=…), …, share(rank=3, …)

Whatever has this form can run them: see `preparation.cluster` for Ray and Slurm.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Protocol

from escada.errors import EscadaError
from escada.signals import end_with_parent


class Share(Protocol):
    """The work of one of `world` processes; ends when the process `parent` has ended."""

    def __call__(self, *, rank: int, world: int, parent: int | None) -> None:
        """Do what falls to `rank`."""
        ...


Run = Callable[[Share, Path], None]
"""Calls a share for every rank, each in a process of its own, and waits for all of them. The folder
is that of the parts: what else is written there goes when the corpus is made."""


class UnfinishedError(EscadaError):
    """Parts are missing; those that are complete stay, and the same call goes on."""


class WorkerKilledError(UnfinishedError):
    """A worker process was killed."""


def alone(share: Share, _: Path) -> None:
    """Run the only share in this process."""
    share(rank=0, world=1, parent=None)


def in_processes(workers: int) -> Run:
    """Run shares in this many new processes.

    Raises:
        WorkerKilledError: one was killed.
        EscadaError: what a share raises.
    """
    return partial(_in_processes, workers)


def _in_processes(workers: int, share: Share, _: Path) -> None:
    one_of = partial(share, world=workers, parent=os.getpid())
    call_in_processes([partial(one_of, rank=rank) for rank in range(workers)])


def call_in_processes(calls: Sequence[Callable[[], None]]) -> None:
    """Make each call in a new process.

    Raises:
        WorkerKilledError: one was killed.
    """
    context = get_context("spawn")
    with ProcessPoolExecutor(len(calls), context, initializer=end_with_parent) as pool:
        for one in as_completed([pool.submit(call) for call in calls]):
            if error := one.exception():
                for process in active_children():  # parts are complete or not there
                    process.terminate()
                pool.shutdown(cancel_futures=True)
                _raise(error)


def _raise(error: BaseException) -> None:
    from concurrent.futures.process import BrokenProcessPool

    if isinstance(error, BrokenProcessPool):
        raise WorkerKilledError(
            "a worker process was killed (is there enough memory?)",
            where="data prepare",
            fix="start the same command again, with fewer --workers; it goes on from here",
        ) from error
    raise error
