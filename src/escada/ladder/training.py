"""One training of a climb or of a grid: found by the hash of its content, resumed, or started.

    run = Training(rung="v4", …).run(say)     # finished; trained now only if it was not before

Each training runs in its own process, which isolates its peak memory, its random state and its
crashes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from escada.budget import Budget
from escada.errors import EscadaError
from escada.runs.device import resolve_device
from escada.runs.run import Run, module_folders, run_key, run_of
from escada.signals import INTERRUPTED, ask_to_stop, start_apart
from escada.spec import Spec, load_spec
from escada.text.corpus import Corpus
from escada.training.run import check_profile, is_complete


class TrainingInterrupted(Exception):  # noqa: N818 - a request of the user, not an error
    """The user asked to stop; rerunning the same command resumes the training."""


@dataclass(frozen=True)
class Training:
    """A rung with its settings, and the folder of its run.

    Attributes:
        budget: None: the spec's own.
        out: the folder that the run's folder is made in.
        overrides: `KEY=VALUE` over the preset.
        label: what progress messages call it; default: the rung's name.
        several_seeds: whether messages name the seed.
        allow_differences: resume with another device, threads or versions; not bit-identical.
    """

    rung: str
    preset: str
    budget: Budget | None
    seed: int
    corpus: Corpus
    out: Path
    device: str = "auto"
    overrides: Sequence[str] = ()
    label: str = ""
    several_seeds: bool = False
    allow_differences: bool = False

    @cached_property
    def spec(self) -> Spec:
        """The resolved spec."""
        spec = load_spec(self.rung, preset=self.preset, overrides=self.overrides)
        return spec if self.budget is None else spec.with_budget(self.budget)

    @cached_property
    def key(self) -> str:
        """The identity of its run."""
        return run_key(self.spec, seed=self.seed, corpus_hash=self.corpus.hash)

    def find(self) -> Run | None:
        """Its run, a finished one first; dry runs are ignored."""
        return run_of(self.out, self.key)

    def run(self, say: Callable[[str], None], launcher: Launcher | None = None) -> Run:
        """The finished run; `say` is called with a progress message.

        `launcher` starts the training's process; None: with all threads.

        Raises:
            EscadaError: the training failed.
            TrainingInterrupted: the user asked to stop.
        """
        label, run = self.label or self.spec.name, self.find()
        if run is not None and is_complete(run):
            say(f"{label}: already trained ({run.name})")
            return run
        if run is None:
            seed = f", seed {self.seed}" if self.several_seeds else ""
            say(f"{label}: training for {self.spec.train.budget.shown}{seed}")
            command = self._command()
        else:
            say(f"{label}: going on with {run.name}")
            command = ["resume", str(run.path), "--data", str(self.corpus.path)]
            if self.allow_differences:
                command.append("--allow-differences")
            if folders := module_folders(self.spec):
                # It was opened, so it names the modules of our spec; they are where ours are.
                if run.record.module_folders != folders:
                    run.update(module_folders=folders)
                command.append("--trust-code")
        code = (launcher or Launcher()).run(command)
        if code == INTERRUPTED:
            raise TrainingInterrupted
        run = self.find()
        if code == 0 and run is None:
            raise EscadaError(
                f"the training of {self.spec.name} ended well, but with another key than expected",
                where=self.out,
                fix="escada's own code changed meanwhile: rerun",
            )
        if code != 0 or run is None or not run.finished:
            raise EscadaError(
                f"the training of {self.spec.name} ended with exit code {code}",
                where=run.path if run else self.out,
                fix="fix the error above and rerun: finished rungs are kept",
            )
        return run

    def _command(self) -> list[str]:
        return [
            *("train", self.rung, "--preset", self.preset, "--seed", str(self.seed)),
            *("--data", str(self.corpus.path), "--out", str(self.out), "--device", self.device),
            *(("--budget", str(self.budget)) if self.budget else ()),
            *(part for text in self.overrides for part in ("--set", text)),
        ]


def check_trainings(trainings: Sequence[Training]) -> None:
    """Check all trainings before the first one starts.

    Raises:
        EscadaError: a spec is wrong, two are equal, or corpus or device do not fit.
    """
    for training in trainings:
        check_profile(training.spec, training.corpus)
        resolve_device(training.device)
    keys = [training.key for training in trainings]
    if len(set(keys)) < len(keys):
        named = " ".join(dict.fromkeys(training.rung for training in trainings))
        raise EscadaError("a rung or a size is named twice", where=named, fix="name each once")


class Launcher:
    """Runs escada commands in their own processes.

    Args:
        threads: of each, if several run at a time; their progress is then printed line by line.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._environment = None
        if threads is not None:
            self._environment = os.environ | {
                "OMP_NUM_THREADS": str(threads),
                "TTY_COMPATIBLE": "0",  # bars of several processes would overwrite each other
            }
        self._running: set[subprocess.Popen[bytes]] = set()
        self._starting = threading.Lock()
        self._stopped = False

    def run(self, arguments: Sequence[str]) -> int:
        """The exit code of a command; on Ctrl-C, it saves before it exits.

        Raises:
            TrainingInterrupted: the launcher was stopped.
        """
        with self._starting:
            if self._stopped:
                raise TrainingInterrupted
            # stdout is dropped: its last line, the run's path, is meant for scripts.
            command = [sys.executable, "-m", "escada", *arguments]
            process = start_apart(command, self._environment)
            self._running.add(process)
        asked = False
        try:
            while (code := process.poll()) is None:
                try:
                    code = process.wait()
                except KeyboardInterrupt:
                    asked = True
                    ask_to_stop(process)  # it saves, then exits
        finally:
            self._running.discard(process)
            if process.stdin is not None:
                process.stdin.close()
        if asked or (code != 0 and self._stopped):  # whatever it ended with
            raise TrainingInterrupted
        return code

    def stop(self) -> None:
        """Ask what runs to save and exit; nothing is started any more."""
        with self._starting:
            self._stopped = True
            for process in list(self._running):
                ask_to_stop(process)
