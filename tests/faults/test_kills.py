"""SIGKILL at random moments: what is killed goes on, and ends as if it had not been.

Whatever is killed is begun again with the command that its user would give; then the weights and
the figures must be those of the uninterrupted one, bit for bit, and nothing may still be running.
Kills of `data prepare` are counted beside these, by the tests of the corpus.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import psutil
import pytest
from tests.faults.table import FULL, outcomes
from tests.faults.test_parents_and_children import gone_within
from tests.processes import Escada, escada

from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.log import read_log
from escada.runs.run import Run, find_runs

pytestmark = pytest.mark.slow
KILLS_OF_TRAIN = 50 if FULL else 2
KILLS_OF_CLIMB = 20 if FULL else 1
SIZES = (
    *("model.d_hidden=32", "model.d_embedding=16", "model.dropout=0.1", "train.window_tokens=24"),
    *("train.batch_sequences=6", "train.micro_batch_sequences=3", "train.validation_bytes=2000"),
)
COMMON = [
    *("--preset", "laptop", "--device", "cpu", "--seed", "7"),
    *(part for size in SIZES for part in ("--set", size)),
]
TIMED = {"seconds", "tokens_per_second", "flop_per_second", "memory_bytes"}


def only_run(out: Path) -> Run:
    (found,) = find_runs(out)
    return found


def state(run: Run) -> tuple[object, ...]:
    """Everything that decides what a run is, without times."""
    last = checkpoint_path(run.layout.checkpoints, "last")
    rows = [{k: v for k, v in row.items() if k not in TIMED} for row in read_log(run.layout)]
    weights = [sha256_file(last / f"{name}.safetensors") for name in ("model", "training")]
    cost = read_json(run.layout.cost)
    return run.record.status, run.record.step, weights, rows, cost["status"], cost["step"]


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
