"""Processes that share work: how many cores they may use, and what can be sent to them."""

from __future__ import annotations

import os
import sys
from multiprocessing.reduction import ForkingPickler

from escada.errors import EscadaError


def usable_cores() -> int:
    """Fewer than all in a job of Slurm, or under taskset."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_sendable(value: object, what: str, *, where: str, fix: str) -> None:
    """Find out before any work is done whether a new process can be given `value`.

    Raises:
        EscadaError: it cannot, as a lambda or a function inside another cannot.
    """
    try:
        ForkingPickler.dumps(value)
    except Exception as error:  # whatever the pickling of the value's own classes raises
        told = f"{what} cannot be sent to other processes: {error}"
        raise EscadaError(told, where=where, fix=fix) from error
