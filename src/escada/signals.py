"""Being asked to stop, and asking another process to, on POSIX and on Windows.

    with on_stop(ask):               # Ctrl-C, SIGTERM
        …
    process = start_apart(command)   # it does not hear the terminal's Ctrl-C
    ask_to_stop(process)

Windows has no signal that a process could send to another one but Ctrl-Break, to a group of its
own; there `on_stop` hears that too.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from types import FrameType

INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""


def _stop_signals() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_stop(ask: Callable[[], object]) -> Generator[None]:
    """Call `ask`, in the main thread, for each signal that asks this process to stop."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        ask()

    before = {number: signal.signal(number, handle) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_apart(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a process, without its standard output, in a group of its own.

    It hears of Ctrl-C from its parent alone: once for each, whoever sent it.
    """
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, process_group=0)


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Pass on a Ctrl-C to a process of `start_apart`."""
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
