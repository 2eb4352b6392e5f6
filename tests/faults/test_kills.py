"""SIGKILL at random moments: what is killed goes on, and ends as if it had not been.

Whatever is killed is begun again with the command that its user would give; then the weights and
the figures must be those of the uninterrupted one, bit for bit, and nothing may still be running.
Kills of `data prepare` are counted beside these, in test_kills_of_prepare.py.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.conftest import COMMON, gone_within, only_run, state
from tests.faults.table import FULL, outcomes
from tests.processes import Escada, escada

from escada.files import read_json
from escada.runs.run import find_runs

pytestmark = pytest.mark.slow
KILLS_OF_TRAIN = 50 if FULL else 2
KILLS_OF_CLIMB = 20 if FULL else 1


def killed_after(command: list[str], seconds: float) -> None:
    process = Escada(command)
    time.sleep(seconds)
    children = (
        psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    )
    process.kill()
    process.wait()
    assert gone_within(children, 10.0), children


@pytest.mark.timeout(3600)
def test_a_training_killed_at_a_random_moment_resumes_to_the_same_weights(corpus_path, tmp_path):
    rng = random.Random("kills of train")
    found = outcomes("SIGKILL of `train`, then `resume`")
    common = ["--budget", "120 steps", "--data", str(corpus_path), *COMMON]

    def command(out: Path) -> list[str]:
        return ["train", "v2", *common, "--out", str(out), "--set", "train.validations=10"]

    assert escada(command(tmp_path / "whole")).returncode == 0
    began = time.monotonic()
    assert escada(command(tmp_path / "timed")).returncode == 0
    whole, seconds = state(only_run(tmp_path / "whole")), time.monotonic() - began
    assert whole[0] == "finished"
    for number in range(KILLS_OF_TRAIN):
        out = tmp_path / str(number)
        killed_after(command(out), rng.uniform(0, seconds))
        begun = list(find_runs(out))
        again = ["resume", str(begun[0].path)] if begun else command(out)
        done = escada(again)
        finished_before = bool(begun) and begun[0].finished
        same = done.returncode == (2 if finished_before else 0) and state(only_run(out)) == whole
        found["survived" if same else "wrong"] += 1
        assert same, (number, done.returncode, done.stderr)


@pytest.mark.timeout(3600)
def test_a_climb_killed_at_a_random_moment_goes_on_and_leaves_no_process(corpus_path, tmp_path):
    rng = random.Random("kills of climb")
    found = outcomes("SIGKILL of `climb`, then `climb`")
    common = ["--budget", "60 steps", "--data", str(corpus_path), *COMMON]

    def command(out: Path) -> list[str]:
        return ["climb", "v2", *common, "--out", str(out), "--set", "train.validations=5"]

    def figures(out: Path) -> object:
        (row,) = read_json(out / "ladder.json")["rungs"]
        run = only_run(out)
        return state(run), row["bits_per_byte"], row["ci95"], row["lexicon_share"], row["cloze"]

    began = time.monotonic()
    assert escada(command(tmp_path / "whole")).returncode == 0
    whole, seconds = figures(tmp_path / "whole"), time.monotonic() - began
    for number in range(KILLS_OF_CLIMB):
        out = tmp_path / str(number)
        killed_after(command(out), rng.uniform(0, seconds))
        done = escada(command(out))
        same = done.returncode == 0 and figures(out) == whole
        found["survived" if same else "wrong"] += 1
        assert same, (number, done.returncode, done.stderr)
