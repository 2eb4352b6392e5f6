"""A climb: nothing is trained twice, Ctrl-C costs nothing, and every row holds what it promises."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import escada
from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.run import find_runs

STEPS, LONG = 300, 20_000
TINY = (
    *("train.batch_sequences=6", "train.micro_batch_sequences=3", "train.window_tokens=24"),
    *("model.d_embedding=16", "model.d_hidden=32"),
)
PROMISED = (
    "name run preset seed tokenizer protocol corpus_hash status parameters bits_per_byte ci95 "
    "perplexity training_tokens training_flops training_seconds tokens_per_second "
    "peak_memory_bytes train_bits_per_byte guardrails beats_previous"
).split()


def command(
    corpus_path: Path, out: Path, *rungs: str, steps: int = STEPS, seeds: int = 1, jobs: int = 1
):
    return [
        *(sys.executable, "-m", "escada", "climb", *rungs, "--preset", "laptop"),
        *("--budget", f"{steps} steps", "--seeds", str(seeds), "--device", "cpu"),
        *("--jobs", str(jobs)),
        *("--data", str(corpus_path), "--out", str(out)),
        *(part for setting in TINY for part in ("--set", setting)),
    ]


def environment(source: Path | None = None):
    return os.environ | {"OMP_NUM_THREADS": "1"} | ({"PYTHONPATH": str(source)} if source else {})


def climb(corpus_path: Path, out: Path, *rungs: str, source: Path | None = None, **asked: int):
    """What it said, the table it ended with, and ladder.json."""
    arguments = command(corpus_path, out, *rungs, **asked)
    done = subprocess.run(arguments, env=environment(source), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr, done.stdout, read_json(out / "ladder.json")


def weights(out: Path) -> dict[tuple[str, int, str], str]:
    """Hashes of every run's last weights, by its rung, seed and budget."""
    return {
        (run.spec.name, run.seed, run.record.budget): sha256_file(
            checkpoint_path(run.layout.checkpoints, "last") / "model.safetensors"
        )
        for run in find_runs(out)
    }


@pytest.fixture(scope="module")
def climbed(corpus_path, tmp_path_factory):
    """A climb of two rungs; not to be changed."""
    out = tmp_path_factory.mktemp("climb") / "out"
    return out, *climb(corpus_path, out, "v1", "v2")


@pytest.fixture
def copied(climbed, tmp_path):
    return Path(shutil.copytree(climbed[0], tmp_path / "out"))


def test_every_row_has_what_was_promised(climbed, corpus):
    out, _, table, ladder = climbed
    assert [row["name"] for row in ladder["rungs"]] == ["v1", "v2"]
    for row in ladder["rungs"]:
        assert set(PROMISED) <= set(row)
        assert row["status"] == "finished"
        assert row["corpus_hash"] == corpus.hash
        assert row["ci95"][0] < row["bits_per_byte"] < row["ci95"][1]
        assert row["name"] in table
        assert f"{row['bits_per_byte']:.3f}" in table
        test, sample = (
            read_json(out / row["run"] / f"evaluation/{name}.json")
            for name in ("test", "train-sample")
        )
        assert row["bits_per_byte"] == test["bits_per_byte"]
        assert row["train_bits_per_byte"] == sample["bits_per_byte"] != test["bits_per_byte"]
    first, second = ladder["rungs"]
    assert first["beats_previous"] is None
    assert second["beats_previous"]["against"] == "v1"
    (step,) = ladder["comparisons"]
    assert (step["a"], step["b"], step["scope"]) == ("v2", "v1", "run")
    assert step["difference"] == pytest.approx(second["bits_per_byte"] - first["bits_per_byte"])
    assert (out / "report/index.html").is_file()


def test_guardrails_judge_a_small_corpus_without_a_crash(climbed):
    _, said, _, ladder = climbed
    for row in ladder["rungs"]:
        assert row["guardrails"]["verdict"] in {"pass", "fail", "invalid"}
        assert f"{row['name']}: guardrails: {row['guardrails']['verdict']}" in said


def test_a_second_climb_with_other_words_in_the_code_makes_nothing_again(
    copied, climbed, corpus_path, tmp_path
):
    """Docstrings were edited in the meantime, and how progress is shown."""
    source = tmp_path / "src" / "escada"
    shutil.copytree(Path(escada.__file__).parent, source)
    for edited in ("judge/client.py", "report/findings.py", "evaluation/ruler.py"):
        file = source / edited
        file.write_text(file.read_text().replace('"""', '"""Said in other words. ', 1))
    progress = source / "terminal.py"
    progress.write_text(progress.read_text() + "\nANOTHER_LINE = 1\n")
    before = weights(copied)
    said, _, again = climb(corpus_path, copied, "v1", "v2", source=source.parent)
    assert said.count("already trained") == 2
    assert "training for" not in said
    for made in ("measured on", "samples written", "guardrails:", "scored", "guessed"):
        assert made not in said
    assert again == climbed[-1]
    assert weights(copied) == before


@pytest.mark.slow  # quick: the same of one training, in test_kill_and_resume
@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), id="ctrl-c"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), id="sigterm-to-the-climb-alone"),
    ],
)
def test_stopped_in_the_middle_the_same_command_ends_with_the_same_weights(
    copied, climbed, corpus_path, stop
):
    reference = weights(copied)
    shutil.rmtree(copied / climbed[-1]["rungs"][1]["run"])
    # A session of its own: as a terminal does, the signal goes to the climb and to its training.
    process = subprocess.Popen(
        command(corpus_path, copied, "v1", "v2"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Where the tests run in the background, SIGINT is ignored, and children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not any("train" in p.read_text() for p in copied.glob("*-v2-*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.005)
    stop(process.pid)
    _, said = process.communicate()
    assert process.returncode == 130, said
    assert "The same command goes on" in said
    assert "Traceback" not in said
    (second,) = (run for run in find_runs(copied) if run.spec.name == "v2")
    assert second.record.status == "interrupted"
    assert second.record.step < STEPS
    said, _, ladder = climb(corpus_path, copied, "v1", "v2")
    assert "v1: already trained" in said
    assert "v2: going on with" in said
    assert weights(copied) == reference
    figures = [row["bits_per_byte"] for row in ladder["rungs"]]
    assert figures == [row["bits_per_byte"] for row in climbed[-1]["rungs"]]


@pytest.mark.slow
def test_two_at_a_time_make_the_same_ladder(climbed, corpus_path, tmp_path):
    said, _, ladder = climb(corpus_path, tmp_path, "v1", "v2", jobs=2)
    assert said.index("v2: training for") < said.index("v1: measured on")
    assert ladder["jobs"] == 2
    rows, in_turn = ladder["rungs"], climbed[-1]["rungs"]
    assert [row["name"] for row in rows] == ["v1", "v2"]
    for row, other in zip(rows, in_turn, strict=True):
        assert row["bits_per_byte"] == other["bits_per_byte"]
        assert row["guardrails"] == other["guardrails"]
    for step, other in zip(ladder["comparisons"], climbed[-1]["comparisons"], strict=True):
        assert step | {"cost": None} == other | {"cost": None}
    assert ladder["baseline_comparisons"] == climbed[-1]["baseline_comparisons"]
    said, _, again = climb(corpus_path, tmp_path, "v1", "v2", jobs=2)
    assert said.count("already trained") == 2
    assert "measured on" not in said
    assert again == ladder


@pytest.mark.slow
def test_two_at_a_time_are_both_saved_when_stopped(climbed, corpus_path, tmp_path):
    process = subprocess.Popen(
        command(corpus_path, tmp_path, "v1", "v2", jobs=2),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while not all(
        any("train" in p.read_text() for p in tmp_path.glob(f"*-{rung}-*/metrics.jsonl"))
        for rung in ("v1", "v2")
    ):
        assert process.poll() is None
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "The same command goes on" in said
    assert "Traceback" not in said
    assert {run.record.status for run in find_runs(tmp_path)} <= {"interrupted", "finished"}
    assert len(list(find_runs(tmp_path))) == 2
    _, _, ladder = climb(corpus_path, tmp_path, "v1", "v2", jobs=2)
    figures = [row["bits_per_byte"] for row in ladder["rungs"]]
    assert figures == [row["bits_per_byte"] for row in climbed[-1]["rungs"]]


@pytest.mark.slow
def test_one_of_two_that_is_killed_ends_the_climb_and_the_other_is_saved(
    climbed, corpus_path, tmp_path
):
    arguments = command(corpus_path, tmp_path, "v1", "v2", steps=LONG, jobs=2)
    process = subprocess.Popen(
        arguments, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    while not all(
        any("train" in p.read_text() for p in tmp_path.glob(f"*-{rung}-*/metrics.jsonl"))
        for rung in ("v1", "v2")
    ):
        assert process.poll() is None
        time.sleep(0.005)
    (first,) = (
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if {"train", "v1"} <= set(child.cmdline())
    )
    first.kill()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "escada: the training of v1 ended with exit code -9" in said
    assert "Traceback" not in said
    saved = {run.spec.name: run.record for run in find_runs(tmp_path)}
    assert saved["v2"].status == "interrupted"
    assert 0 < saved["v2"].step < LONG


@pytest.mark.slow  # quick: recipes of several seeds, in tests/cli/test_cli_compare
def test_another_seed_trains_anew_and_two_seeds_speak_of_recipes(copied, climbed, corpus_path):
    before = weights(copied)
    said, table, ladder = climb(corpus_path, copied, "v1", "v2", seeds=2)
    assert said.count("already trained") == 2
    assert said.count("training for") == 2
    rows = [(row["name"], row["seed"]) for row in ladder["rungs"]]
    assert rows == [("v1", 0), ("v2", 0), ("v1", 1), ("v2", 1)]
    after = weights(copied)
    assert before.items() <= after.items()
    assert len(set(after.values())) == 4
    assert {row["scope"] for row in ladder["comparisons"]} == {"recipe"}
    (step,) = ladder["comparisons"]
    assert step["seeds"] == {"a": [0, 1], "b": [0, 1]}
    for row in ladder["rungs"]:
        assert f"{row['bits_per_byte']:.3f}" in table


@pytest.mark.slow  # quick: a run's key, in tests/runs
def test_another_budget_trains_anew(copied, corpus_path):
    before = weights(copied)
    said, _, ladder = climb(corpus_path, copied, "v1", steps=20)
    assert "training for 20 steps" in said
    assert [row["name"] for row in ladder["rungs"]] == ["v1"]
    after = weights(copied)
    assert before.items() <= after.items()
    assert set(after) - set(before) == {("v1", 0, "20 steps")}
