"""Stop requests to this process and to others, on POSIX and Windows.

    with on_stop(ask):               # Ctrl-C, SIGTERM
        …
    process = start_apart(command)   # does not receive the terminal's Ctrl-C
    ask_to_stop(process)

On Windows a process can only send Ctrl-Break, to a process group; there `on_stop` handles that too.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from types import FrameType

INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""


def _stop_signals() -> tuple[signal.Signals, ...]:
    if sys.platform == "win32":
        return (signal.SIGINT, signal.SIGTERM, signal.SIGBREAK)
    return (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def on_stop(ask: Callable[[], object]) -> Generator[None]:
    """Call `ask` in the main thread for each signal that requests a stop."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        ask()

    before = {number: signal.signal(number, handle) for number in _stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def start_apart(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in its own group (no terminal Ctrl-C), without standard output."""
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            env=environment,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment, process_group=0)


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Forward a Ctrl-C to a process of `start_apart`."""
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
