"""A clock that jumps back and forth by years changes no duration, budget or rate."""

import time

import pytest
from tests.faults.conftest import COMMON, only_run, state
from tests.faults.table import outcomes
from tests.processes import Escada, escada

from escada.files import read_json
from escada.runs.log import read_log

pytestmark = pytest.mark.slow
# What Python tells of the date and the time, as if somebody set the clock before each question.
JUMPS = """
import datetime, itertools, time
import escada.files
tell, jumps = time.time, itertools.cycle([0.0, 1e7, -3e8, 5e8, -1e9])
time.time = lambda: tell() + next(jumps)
class Moment(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return datetime.datetime.fromtimestamp(time.time(), tz)
class Day(datetime.date):
    @classmethod
    def today(cls):
        return datetime.date.fromtimestamp(time.time())
escada.files.datetime = Moment
datetime.date = Day
"""
FAULT = "a clock that jumps by years"


def train(corpus, out, budget):
    validations = ["--set", "train.validations=10"]
    common = ["--budget", budget, "--data", corpus, *COMMON, "--out", out, *validations]
    return ["train", "v2", *common]


def test_a_budget_in_seconds_is_kept_and_every_time_is_positive(corpus_path, tmp_path):
    began = time.monotonic()
    done = escada(train(corpus_path, tmp_path / "runs", "4 s"), prelude=JUMPS)
    elapsed = time.monotonic() - began
    assert done.returncode == 0, done.stderr
    run = only_run(tmp_path / "runs")
    rows = read_log(run.layout)
    seconds = [row["seconds"] for row in rows if "seconds" in row]
    rates = [row["tokens_per_second"] for row in rows if "tokens_per_second" in row]
    cost = read_json(run.layout.cost)
    outcomes(FAULT)["survived"] += 1
    assert run.finished
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] <= seconds[-1] < elapsed
    assert all(0 < rate < 1e9 for rate in rates)
    assert 0 < cost["hours"] <= cost["wall_hours"] < elapsed / 3600
    assert cost["kwh"] is None or 0 <= cost["kwh"] < 1
    assert "-" not in str(cost["hours"])


def test_a_training_that_was_stopped_resumes_to_the_same_weights(corpus_path, tmp_path):
    assert escada(train(corpus_path, tmp_path / "whole", "120 steps")).returncode == 0
    out = tmp_path / "jumping"
    process = Escada(train(corpus_path, out, "120 steps"), prelude=JUMPS)
    while not list(out.glob("*/checkpoints/index.json")):
        assert process.poll() is None
        time.sleep(0.005)
    process.kill()
    process.wait()
    done = escada(["resume", only_run(out).path], prelude=JUMPS)
    assert done.returncode == 0, done.stderr
    same = state(only_run(out)) == state(only_run(tmp_path / "whole"))
    outcomes(FAULT)["survived" if same else "wrong"] += 1
    assert same


def test_a_climb_and_its_page_are_written(corpus_path, tmp_path):
    common = ["--budget", "20 steps", "--data", corpus_path, *COMMON, "--out", tmp_path / "climb"]
    for _ in range(2):  # the second finds all done
        done = escada(["climb", "v2", *common], prelude=JUMPS)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "climb" / "report" / "index.html").is_file()
    outcomes(FAULT)["survived"] += 1
