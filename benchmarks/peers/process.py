"""The parent's side of a measurement: workers as processes, with a time limit on every answer."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

from peers.protocol import MARK

PROCESSORS = {
    "native": {},
    "avx512": {
        "ATEN_CPU_CAPABILITY": "avx512",
        "MKL_ENABLE_INSTRUCTIONS": "AVX512",
        "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI",
    },
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
}
"""Kinds of processor and what makes torch, MKL and oneDNN (TensorFlow's too) act them: `avx512` has
int8 products but no bf16 and no AMX, `avx2` neither."""
HERE = Path(__file__).parent
ROOT = HERE.parents[1]


class WorkerError(Exception):
    """A worker could not do what it was asked; the message says why."""


class Worker:
    """A process that builds and times jobs; started at the first request, again after a crash."""

    def __init__(
        self, script: str, python: Path, threads: int, log: Path, processor: str = "native"
    ) -> None:
        self._command = [str(python), str(HERE / script)]
        self._environment = {
            **os.environ,
            **PROCESSORS[processor],
            "OMP_NUM_THREADS": str(threads),
            "PYTHONPATH": str(ROOT / "src"),
            "TOKENIZERS_PARALLELISM": "true",
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    def build(self, key: str, job: str, options: dict[str, Any], seconds: float) -> dict[str, Any]:
        """Build a job; returns its facts."""
        request = {"call": "build", "key": key, "job": job, "options": options}
        return self._ask(request, seconds)["facts"]

    def run(self, key: str, times: int, seconds: float) -> dict[str, Any]:
        """Run a job; returns seconds, work and facts."""
        return self._ask({"call": "run", "key": key, "times": times}, seconds)

    def drop(self, key: str) -> None:
        """Forget a job, so that its memory is free for the next."""
        if self._process is not None:
            self._ask({"call": "drop", "key": key}, 30.0)

    def stop(self) -> None:
        """End the process and forget its jobs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process, self._unread = None, b""

    def _ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any]:
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            answer = json.loads(self._answer(time.monotonic() + seconds, seconds))
        except (WorkerError, OSError):
            self.stop()
            raise
        if "error" in answer:
            raise WorkerError(answer["error"])
        return answer

    def _answer(self, end: float, seconds: float) -> bytes:
        """The next answer; other lines are what a library printed."""
        while not (line := self._line(end, seconds)).startswith(MARK.encode()):
            pass
        return line.removeprefix(MARK.encode())

    def _line(self, end: float, seconds: float) -> bytes:
        assert self._process is not None
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            left = max(0.0, end - time.monotonic())
            if not select.select([self._process.stdout], [], [], left)[0]:
                raise WorkerError(f"no answer within {seconds:.0f} s")
            part = os.read(self._process.stdout.fileno(), 1 << 16)
            if not part:
                raise WorkerError(f"the worker ended; see {self._log}")
            self._unread += part
        line, _, self._unread = self._unread.partition(b"\n")
        return line
