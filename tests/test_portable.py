"""What Windows and macOS need, as far as it can be seen on Linux."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from escada import signals
from escada.errors import EscadaError
from escada.evaluation.scoring import target_scores
from escada.runs.device import resolve_device, sum_type

IMPORT_ALL = """
import builtins, importlib, os, pkgutil, signal, sys

MODULES = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}
SIGNALS = "SIGKILL SIGHUP SIGQUIT SIGUSR1 SIGUSR2 SIGALRM SIGCHLD SIGSTOP SIGCONT SIGTSTP SIGPIPE"
CALLS = "fork forkpty getuid geteuid getgid getpgid getpgrp setsid setpgid killpg nice uname"
CALLS += " sysconf sched_getaffinity getloadavg mkfifo wait3 chown"


def import_all():
    import escada
    modules = []
    for found in pkgutil.walk_packages(escada.__path__, "escada."):
        try:
            modules.append(importlib.import_module(found.name))
        except ModuleNotFoundError as error:  # the library of an extra
            if error.name.partition(".")[0] == "escada":
                raise
    return modules


import_all()  # so that the libraries, which have Windows branches of their own, are there
for name in [name for name in sys.modules if name.partition(".")[0] == "escada"]:
    del sys.modules[name]
plain = builtins.__import__


def without_posix(name, globals=None, *others, **more):
    if (globals or {}).get("__name__", "").startswith("escada") and name in MODULES:
        raise ImportError(f"{globals['__name__']} imports {name}")
    return plain(name, globals, *others, **more)


builtins.__import__ = without_posix
for name in SIGNALS.split():
    delattr(signal, name)
for name in CALLS.split():
    delattr(os, name)
print(len(import_all()))
"""


def test_every_module_is_imported_without_what_only_posix_has():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 150


def test_a_process_of_its_own_group_is_asked_to_stop(tmp_path):
    # A process that was started in the background is born with SIGINT ignored.
    code = "import pathlib, signal, sys, time; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    code += "pathlib.Path(sys.argv[1]).touch(); time.sleep(60)"
    up = tmp_path / "up"
    process = signals.start_apart([sys.executable, "-c", code, str(up)])
    while not up.exists():
        time.sleep(0.01)
    signals.ask_to_stop(process)
    assert process.wait(20) == -signal.SIGINT


def test_on_windows_a_group_is_made_and_asked_in_windows_way(monkeypatch):
    made, sent = {}, []

    class Process:
        def __init__(self, command, **options):
            made.update(options)

        def send_signal(self, number):
            sent.append(number)

    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "Popen", Process)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    signals.ask_to_stop(signals.start_apart(["escada"]))
    assert made.pop("env").items() > os.environ.items()
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    assert made == {**streams, "creationflags": 0x200}
    assert sent == [1]


def test_a_signal_asks_and_its_handler_is_restored():
    asked, before = [], signal.getsignal(signal.SIGTERM)
    with signals.on_stop(lambda: asked.append(1)):
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)
    assert asked == [1, 1]
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    ("cuda", "mps", "auto"), [(False, True, "mps"), (True, True, "cuda"), (False, False, "cpu")]
)
def test_auto_takes_an_apple_gpu_where_no_other_is(monkeypatch, cuda, mps, auto):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto").type == auto
    if not mps:
        with pytest.raises(EscadaError, match=r"no Apple GPU \(mps\) device here"):
            resolve_device("mps")
    with pytest.raises(EscadaError, match="did you mean 'cuda'"):
        resolve_device("cuta")


def test_no_float64_is_made_on_an_apple_gpu(monkeypatch):
    """The meta device stands for it; its sums are made on the CPU, as `target_scores` says."""
    assert sum_type(torch.device("mps")) == torch.float32
    assert sum_type(torch.device("cpu")) == torch.float64
    nats, _ = target_scores(torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.int64))
    assert nats.dtype == torch.float64


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["Windows", "Darwin"])
def test_the_types_hold_on_other_systems(platform):
    """No call that the system lacks, unless behind a look at `sys.platform`."""
    root = Path(__file__).parents[1]
    pyright = [Path(sys.executable).parent / "pyright", "--pythonplatform", platform]
    done = subprocess.run(pyright, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
