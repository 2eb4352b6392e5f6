"""Stop requests to this process and to others, on POSIX and Windows.

    with on_stop(ask):               # Ctrl-C, SIGTERM
        …
    process = start_apart(command)   # does not receive the terminal's Ctrl-C
    ask_to_stop(process)
    end_with_parent()                # in that process: it never outlives the one that started it

On Windows a process can only send Ctrl-Break, to a process group; there `on_stop` handles that too.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from types import FrameType

INTERRUPTED = 130
"""Exit code of a process stopped by Ctrl-C (128 + SIGINT)."""
_TIED = "ESCADA_ENDS_WITH_PARENT"
"""Set for a process whose standard input is a pipe from the one that started it."""


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
    """Start a process in its own group (no terminal Ctrl-C), without standard output.

    Its standard input is a pipe that nothing is written to. The system closes it when this process
    ends, even by SIGKILL: see `end_with_parent`.
    """
    tied = {**(os.environ if environment is None else environment), _TIED: "1"}
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=tied,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
        )
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=tied, process_group=0
    )


def end_with_parent() -> None:
    """From now on, end this process at once when the one that started it has ended.

    Does nothing unless that was `start_apart` or multiprocessing. Nothing is saved, as if this
    process had been killed too: files are written atomically, and a training resumes.
    """
    if os.environ.pop(_TIED, None) is not None:  # its own children have other parents
        threading.Thread(target=_end_at_end_of_input, daemon=True).start()
    elif (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_after, args=(parent.join,), daemon=True).start()


def _end_at_end_of_input() -> None:
    _end_after(lambda: os.read(0, 1))


def _end_after(wait: Callable[[], object]) -> None:
    wait()
    os._exit(INTERRUPTED)


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Forward a Ctrl-C to a process of `start_apart`."""
    process.send_signal(signal.CTRL_BREAK_EVENT if sys.platform == "win32" else signal.SIGINT)
