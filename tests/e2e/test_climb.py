"""The climb: two small rungs, done once, gone on with after Ctrl-C, and the keys of its ladder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from escada.files import sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.run import find_runs

RUNGS = ("v1", "v2")
SIZES = (
    "model.d_hidden=24 model.d_embedding=12 train.batch_sequences=4 train.window_tokens=24"
).split()
PROMISED = (
    "name run preset seed tokenizer protocol corpus_hash status parameters bits_per_byte ci95 "
    "perplexity training_tokens training_flops training_seconds tokens_per_second "
    "peak_memory_bytes validation_bits_per_byte train_bits_per_byte"
).split()


def command(corpus: Path, out: Path, *rungs: str, budget: str = "40 steps", seed: int = 0):
    sizes = [part for size in SIZES for part in ("--set", size)]
    return [
        *(sys.executable, "-m", "escada", "climb", *(rungs or RUNGS), "--preset", "laptop"),
        *("--budget", budget, "--seed", str(seed), "--device", "cpu"),
        *("--data", str(corpus), "--out", str(out), *sizes),
    ]


def environment():
    return os.environ | {"OMP_NUM_THREADS": "1"}


def climb(*arguments, **options) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments, **options), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done


def ladder(out: Path) -> dict:
    return json.loads((out / "ladder.json").read_text(encoding="utf-8"))


def weights(out: Path) -> dict[str, tuple[str, int]]:
    """The last weights of each run: their hash, and when they were written."""
    found = {}
    for run in find_runs(out):
        path = checkpoint_path(run.layout.checkpoints, "last") / "model.safetensors"
        found[run.name] = sha256_file(path), path.stat().st_mtime_ns
    return found


@pytest.fixture(scope="module")
def climbed(corpus_path, tmp_path_factory) -> tuple[Path, str]:
    """A finished climb and what it printed; tests leave it as it is, or add to it."""
    out = tmp_path_factory.mktemp("climb")
    return out, climb(corpus_path, out).stdout


def test_the_ladder_has_its_promised_keys_and_true_figures(climbed):
    out, _ = climbed
    rows = ladder(out)["rungs"]
    assert [row["name"] for row in rows] == list(RUNGS)
    for row, run in zip(rows, sorted(find_runs(out), key=lambda r: r.spec.name), strict=True):
        assert set(PROMISED) <= set(row)
        assert (row["preset"], row["seed"], row["status"]) == ("laptop", 0, "finished")
        assert out / row["run"] == run.path
        assert row["corpus_hash"] == run.corpus_hash
        assert row["ci95"][0] < row["bits_per_byte"] < row["ci95"][1]
        assert row["training_tokens"] == 40 * 4 * 24
        test = json.loads(run.layout.evaluation("test").read_text())
        assert row["bits_per_byte"] == test["bits_per_byte"]
        sample = json.loads(run.layout.evaluation("train-sample").read_text())
        assert row["train_bits_per_byte"] == sample["bits_per_byte"]
        card = run.layout.card.read_text(encoding="utf-8")
        assert f"**{row['bits_per_byte']:.3f}**" in card
        assert f"**{row['train_bits_per_byte']:.3f}**" in card
        assert "not measured" not in card
    assert rows[1]["beats_previous"]["against"] == "v1"


def test_the_table_and_the_report_show_every_rung(climbed):
    out, shown = climbed
    for row in ladder(out)["rungs"]:
        (line,) = [text for text in shown.splitlines() if text.split()[:1] == [row["name"]]]
        assert f"{row['bits_per_byte']:.3f} [" in line
    assert "character bigram" in shown
    assert f"Report: {out / 'report' / 'index.html'}" in shown
    assert (out / "report" / "index.html").is_file()


def test_a_second_climb_retrains_and_remeasures_nothing(climbed, corpus_path):
    out, _ = climbed
    before, rows = weights(out), ladder(out)["rungs"]
    said = climb(corpus_path, out).stderr
    assert all(f"{rung}: already trained" in said for rung in RUNGS)
    assert "measured on" not in said
    assert "samples written" not in said
    assert weights(out) == before
    assert ladder(out)["rungs"] == rows


@pytest.mark.slow
@pytest.mark.parametrize("changed", [{"budget": "30 steps"}, {"seed": 1}])
def test_another_budget_or_seed_is_another_run(climbed, corpus_path, changed):
    out, _ = climbed
    before = weights(out)
    said = climb(corpus_path, out, "v1", **changed).stderr
    assert "v1: training for" in said
    after = weights(out)
    assert len(after) == len(before) + 1
    assert {name: after[name] for name in before} == before  # earlier runs are kept as they were


@pytest.mark.slow
def test_a_climb_that_was_stopped_goes_on_to_the_same_weights(corpus_path, tmp_path):
    budget = "2000 steps"  # a training that lasts long enough to be stopped in its middle
    process = subprocess.Popen(
        command(corpus_path, tmp_path, "v1", budget=budget),
        env=environment(),
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    while not any("train" in path.read_text() for path in tmp_path.glob("*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)  # to the climb; its training hears of it from there
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert "The same command goes on with the climb" in said
    assert "Traceback" not in said
    (stopped,) = find_runs(tmp_path)
    assert stopped.record["status"] == "interrupted"
    assert 0 < stopped.record["step"] < 2000

    said = climb(corpus_path, tmp_path, "v1", budget=budget).stderr
    assert f"v1: going on with {stopped.name}" in said
    (finished,) = find_runs(tmp_path)
    assert finished.record["step"] == 2000
    assert ladder(tmp_path)["rungs"][0]["status"] == "finished"
    climb(corpus_path, tmp_path / "whole", "v1", budget=budget)
    ((resumed, _),) = weights(tmp_path).values()
    ((whole, _),) = weights(tmp_path / "whole").values()
    assert resumed == whole
