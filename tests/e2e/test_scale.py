"""A grid: killed in the middle it goes on, nothing is trained twice, no test document is read."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from tests.processes import Escada, escada

from escada.files import read_json
from escada.runs.run import find_runs

TINY = (
    *("train.batch_sequences=6", "train.micro_batch_sequences=3", "train.window_tokens=24"),
    *("model.d_embedding=16", "model.d_hidden=32", "train.validations=1"),
)
BUDGETS = "2e8 flop,4e8 flop,8e8 flop"
NO_TEST_DOCUMENTS = """
from escada.text.corpus import Corpus
documents = Corpus.documents
def but_test(self, split):
    assert split != "test"
    return documents(self, split)
Corpus.documents = but_test
"""


def arguments(corpus_path, out):
    return [
        *("scale", "v1", "--budgets", BUDGETS, "--seeds", "0,1", "--device", "cpu"),
        *("--data", corpus_path, "--out", out),
        *(part for setting in TINY for part in ("--set", setting)),
    ]


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_ends_the_grid(corpus_path, tmp_path):
    out = tmp_path / "out"
    process = Escada(arguments(corpus_path, out), prelude=NO_TEST_DOCUMENTS)
    while len(finished := [run for run in find_runs(out) if run.finished]) < 3:
        assert process.poll() is None
        time.sleep(0.1)
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    assert process.wait() == -signal.SIGKILL
    began = {run.name: run.record.created for run in finished}

    done = escada(arguments(corpus_path, out), prelude=NO_TEST_DOCUMENTS)
    assert done.returncode == 0, done.stderr
    runs = {run.name: run for run in find_runs(out)}
    assert len(runs) == 6
    assert all(run.finished for run in runs.values())
    assert {name: runs[name].record.created for name in began} == began
    assert done.stderr.count("already trained") >= 3
    assert not list(out.glob("*/evaluation/*test*"))
    written = (out / "scale.json").read_bytes()
    (prediction,) = read_json(out / "scale.json")["predictions"]
    assert prediction["before"]
    assert prediction["measured"] > 0
    assert "predicted from the smaller budgets" in done.stdout
    assert (out / "scale" / "index.html").is_file()

    again = escada(arguments(corpus_path, out), prelude=NO_TEST_DOCUMENTS)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("already trained") == 6
    assert (out / "scale.json").read_bytes() == written

    side_by_side = tmp_path / "side-by-side"
    jobs = [*arguments(corpus_path, side_by_side), "--jobs", "2"]
    command = [sys.executable, "-m", "escada", *map(str, jobs)]  # its workers have no daemon above
    two = subprocess.run(command, capture_output=True, text=True)
    assert two.returncode == 0, two.stderr

    def figures(folder):
        return {
            run["key"]: run["bits_per_byte"] for run in read_json(folder / "scale.json")["runs"]
        }

    assert figures(side_by_side) == figures(out)
