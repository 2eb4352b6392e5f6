"""The command line in a process of its own that starts at once.

A new interpreter that imports torch takes seconds of a core. Here a server does that once a session
(multiprocessing's forkserver) and every process is forked from it: it has its own memory, signals,
limits and exit code, can be killed, and shares nothing with the tests but what was imported. What
depends on the start of an interpreter (encodings, hash seeds, Python's path) still takes one.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_IMPORTED = (
    "torch._dynamo escada.cli escada.training.run escada.ladder.climb matplotlib.figure".split()
)
assert all(map(find_spec, _IMPORTED))  # the server passes over a name that it does not find
_CONTEXT.set_forkserver_preload(_IMPORTED)


def _run_verb(
    arguments: list[str],
    prelude: str,
    environment: dict[str, str],
    cwd: str,
    session: bool,
    outputs: tuple[Path, Path],
) -> None:
    """What the forked process does: the verb, after some Python, with the streams in files."""
    if session:
        os.setsid()
    for stream, path in zip((sys.stdout, sys.stderr), outputs, strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), stream.fileno())
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the server ignores it
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.argv = ["escada", *arguments]
    exec(prelude, {})
    from escada.cli import main

    main()


class Escada:
    """`escada ARGUMENTS`, running; the methods are those of `subprocess.Popen`."""

    def __init__(
        self,
        arguments: Sequence[object],
        *,
        prelude: str = "",
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        start_new_session: bool = False,
    ) -> None:
        self.args = [str(part) for part in arguments]
        folder = Path(tempfile.mkdtemp(prefix="escada-process-"))
        self._outputs = folder / "stdout", folder / "stderr"
        for path in self._outputs:
            path.touch()
        self._process = _CONTEXT.Process(
            target=_run_verb,
            args=(
                *(self.args, prelude, dict(os.environ if env is None else env)),
                *(str(cwd or Path.cwd()), start_new_session, self._outputs),
            ),
            daemon=True,  # it does not outlive the tests
        )
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        self.wait(timeout)
        stdout, stderr = (path.read_text(encoding="utf-8") for path in self._outputs)
        return stdout, stderr


def escada(
    arguments: Sequence[object],
    *,
    prelude: str = "",
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end; the test's own timeout ends one that hangs, too."""
    process = Escada(arguments, prelude=prelude, env=env, cwd=cwd)
    try:
        stdout, stderr = process.communicate()
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.wait(), stdout, stderr)
