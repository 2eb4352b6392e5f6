"""Locks among processes and threads, with who holds them."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path

from escada.errors import EscadaError
from escada.files import disk_errors, make_directory, read_json, utc_now, write_json


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a lock: its process, machine and start (UTC, ISO 8601)."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


_LOCK_SECONDS = 1.0
"""How long `exclusive` retries before failing; `is_held` holds the lock for much less."""


@contextlib.contextmanager
def exclusive(
    lock: Path, busy: str | None = None, *, fix: str = "wait until it has ended"
) -> Generator[None]:
    """Hold `lock` exclusively among processes and threads.

    The system releases it when the holder dies.

    Args:
        lock: a dedicated file; created, with its folder, and kept. The holder is recorded next to
            it.
        busy: what the holder is doing, for the error message; None: wait for the lock instead.
        fix: the suggested fix for that error.

    Raises:
        EscadaError: the lock is held (says by whom), or the file cannot be created or locked.
    """
    from filelock import FileLock, Timeout

    make_directory(lock.parent)
    seconds = -1 if busy is None else _LOCK_SECONDS
    file = FileLock(lock, timeout=seconds, fallback_to_soft=False, thread_local=False)
    with disk_errors(lock):
        try:
            file.acquire()
        except Timeout as error:
            who = f": {owner}" if (owner := _read_holder(lock)) else ""
            raise EscadaError(f"{busy}{who}", where=lock.parent, fix=fix) from error
    try:
        write_json(_holder_file(lock), asdict(Holder(os.getpid(), platform.node(), utc_now())))
        yield
    finally:
        _holder_file(lock).unlink(missing_ok=True)
        file.release()


def is_held(lock: Path) -> bool:
    """Whether `lock` is held now; see `exclusive`.

    If the lock cannot be tried, as on a read-only disk, it counts as held while the holder's file
    exists.
    """
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        FileLock(lock, timeout=0, fallback_to_soft=False).acquire().lock.release()
    except Timeout:
        return True
    except OSError:
        return _holder_file(lock).exists()
    return False


def _holder_file(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.json")


def _read_holder(lock: Path) -> Holder | None:
    """The recorded holder of `lock`; None just before it is recorded, or if that is damaged."""
    try:
        return Holder(**read_json(_holder_file(lock)))
    except (EscadaError, TypeError):
        return None
