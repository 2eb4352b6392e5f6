"""One run folder and one climb folder have one writer: the second process is told, in one line."""

import signal
import time
from pathlib import Path

import pytest
from tests.faults.conftest import COMMON, only_run, state
from tests.faults.table import FULL, outcomes
from tests.processes import Escada, escada

from escada.runs.run import find_runs

TIMES = 10 if FULL else 2
pytestmark = pytest.mark.slow


def train(corpus: Path, out: Path) -> list[str]:
    common = ["--budget", "120 steps", "--data", str(corpus), *COMMON]
    return ["train", "v2", *common, "--out", str(out), "--set", "train.validations=10"]


def both(command: list[str]) -> list[tuple[int | None, str]]:
    """The exit codes and messages of two processes of one command, the lower code first."""
    processes = [Escada(command) for _ in range(2)]
    said = [process.communicate()[1] for process in processes]
    return sorted(zip((process.returncode for process in processes), said, strict=True))


def one_did_it(done: list[tuple[int | None, str]], what: str) -> None:
    (code, said), (told, line) = done
    right = (code, told) == (0, 2) and "Traceback" not in said + line
    clear = line.splitlines()[-1].startswith("escada: ") if line else False
    outcomes(what)["refused" if right and clear else "wrong"] += 1
    assert right, done
    assert clear, line


def test_of_two_resumes_at_once_one_trains_and_its_log_is_whole(corpus_path, tmp_path):
    assert escada(train(corpus_path, tmp_path / "whole")).returncode == 0
    whole = state(only_run(tmp_path / "whole"))
    for number in range(TIMES):
        out = tmp_path / str(number)
        process = Escada(train(corpus_path, out))
        while not list(out.glob("*/checkpoints/index.json")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        one_did_it(both(["resume", str(only_run(out).path)]), "two `resume` of one run at once")
        assert state(only_run(out)) == whole


def test_of_two_trainings_at_once_one_trains(corpus_path, tmp_path):
    for number in range(TIMES):
        out = tmp_path / str(number)
        one_did_it(both(train(corpus_path, out)), "two `train` of one run at once")
        (run,) = find_runs(out)
        assert run.finished


def test_of_two_climbs_at_once_one_climbs(corpus_path, tmp_path):
    common = ["--budget", "20 steps", "--data", str(corpus_path), *COMMON]
    command = ["climb", "v2", *common, "--out", str(tmp_path / "climb")]
    one_did_it(both(command), "two `climb` in one folder at once")
    assert only_run(tmp_path / "climb").finished
