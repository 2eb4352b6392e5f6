"""Two trainings of the same thing that begin in the same instant: one trains, one is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from escada.files import read_json
from escada.runs.run import find_runs

pytestmark = pytest.mark.slow
TINY = (
    *("--set", "train.batch_sequences=4", "--set", "train.window_tokens=16"),
    *("--set", "model.d_embedding=8", "--set", "model.d_hidden=16"),
)
WAITING = """
import sys, time
from pathlib import Path
from escada.cli import main
import escada.training.run
ready, go = Path(sys.argv.pop(1)), Path(sys.argv.pop(1))
ready.touch()
while not go.exists():
    time.sleep(0.001)
sys.argv[0] = "escada"
main()
"""


def at_once(folder: Path, *arguments: str) -> list[subprocess.CompletedProcess]:
    """What came of two processes of one command line, which begin together when both are ready."""
    go = folder / "go"
    ready = [folder / "ready-0", folder / "ready-1"]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", WAITING, str(mark), str(go), *arguments],
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for mark in ready
    ]
    while not all(mark.exists() for mark in ready):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    go.touch()
    done = []
    for process in processes:
        stdout, stderr = process.communicate(timeout=240)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr))
    for path in (go, *ready):
        path.unlink()
    return done


def assert_one_trained_and_one_was_told(done, out: Path) -> None:
    trained, told = sorted(done, key=lambda process: process.returncode)
    assert (trained.returncode, told.returncode) == (0, 2), (trained.stderr, told.stderr)
    assert "Traceback" not in trained.stderr + told.stderr
    last = told.stderr.splitlines()[-1]
    assert "folder exists" in last or "another process" in last, last
    runs = list(find_runs(out))
    assert [read_json(run.layout.record)["status"] for run in runs] == ["finished"]
    assert not [path.name for path in out.iterdir() if path.name.endswith(".tmp")]


def test_two_trainings_of_one_rung_and_two_continuations_of_its_run(tmp_path, corpus_path):
    out = tmp_path / "runs"
    common = ("--data", str(corpus_path), "--device", "cpu")
    train = ("train", "v1", "--budget", "20 steps", *TINY, *common)
    assert_one_trained_and_one_was_told(at_once(tmp_path, *train, "--out", str(out)), out)
    (run,) = find_runs(out)
    more = tmp_path / "more"
    on = ("train", "--continue-from", str(run.path), "--budget", "20 steps", *common)
    assert_one_trained_and_one_was_told(at_once(tmp_path, *on, "--out", str(more)), more)
