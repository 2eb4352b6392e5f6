"""The session of benchmarks: rows that fit their sides, workers that fail without a word lost."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import bench

    return bench


@pytest.fixture
def worker(bench, tmp_path, monkeypatch):
    from peers import process

    script = f"""
import os, sys, time
sys.path.insert(0, {str(BENCHMARKS / "peers")!r})
from protocol import Job, serve
print("a library that prints")
def count(by):
    if by == 0:
        raise ValueError("cannot count by 0")
    return Job(lambda: {{"units": by}}, {{"peer": "counter 1"}})
def instructions():
    return Job(dict, {{"oneDNN": os.environ.get("ONEDNN_MAX_CPU_ISA")}})
def sleep():
    return Job(lambda: time.sleep(9) or {{}}, {{}})
serve({{"count": count, "instructions": instructions, "sleep": sleep}})
"""
    (tmp_path / "counter.py").write_text(script)
    monkeypatch.setattr(process, "HERE", tmp_path)
    one = process.Worker("counter.py", Path(sys.executable), 1, tmp_path / "log", "avx2")
    yield one
    one.stop()


def test_a_worker_runs_a_job_as_often_as_it_is_told(worker):
    assert worker.build("a", "count", {"by": 2}, 20)["peer"] == "counter 1"
    answer = worker.run("a", 3, 20)
    assert answer["work"] == {"units": 6}
    assert answer["seconds"] > 0


def test_a_worker_acts_the_processor_that_is_asked_for(worker):
    assert worker.build("a", "instructions", {}, 20) == {"oneDNN": "AVX2"}


def test_a_worker_says_what_went_wrong_and_lives_on(worker):
    from peers.process import WorkerError

    with pytest.raises(WorkerError, match="cannot count by 0"):
        worker.build("a", "count", {"by": 0}, 20)
    worker.build("b", "count", {"by": 1}, 20)
    assert worker.run("b", 1, 20)["work"] == {"units": 1}


def test_a_worker_that_takes_too_long_is_stopped_and_can_start_again(worker):
    from peers.process import WorkerError

    worker.build("a", "sleep", {}, 20)
    with pytest.raises(WorkerError, match="no answer within 1 s"):
        worker.run("a", 1, 1)
    with pytest.raises(WorkerError, match="started anew"):
        worker.run("a", 1, 20)


@pytest.fixture
def ours(bench, corpus_path, tmp_path):
    from peers import process

    one = process.Worker("ours_worker.py", Path(sys.executable), 1, tmp_path / "log")
    yield one
    one.stop()


def test_our_worker_trains_and_decodes(ours, corpus_path):
    small = ["tokenizer.vocab_size=320", "model.d_model=16", "model.n_heads=2", "model.n_layers=1"]
    small += ["train.batch_sequences=2", "train.micro_batch_sequences=1", "train.window_tokens=8"]
    options = {"data": str(corpus_path), "rung": "v5", "preset": "full", "overrides": small}
    facts = ours.build("a", "train", options, 60)
    assert facts["batch"] == "2 x 8"
    assert facts["precision"] in ("fp32", "bf16")
    assert ours.run("a", 2, 60)["work"]["tokens"] == 2 * 2 * 8
    assert ours.build("b", "product", {"dtype": "float32", "size": 8}, 60)
    assert ours.run("b", 1, 60)["work"] == {"flop": 2 * 8**3}


@pytest.mark.slow  # the type checker reads torch: 15 s
def test_no_benchmark_and_no_tool_uses_what_escada_does_not_have(tmp_path):
    """They are run by hand, long after what they use was renamed."""
    root = BENCHMARKS.parent
    folders = [BENCHMARKS, BENCHMARKS / "peers", BENCHMARKS / "peers/quality", root / "docs/tools"]
    rules = ("AttributeAccessIssue", "CallIssue", "UndefinedVariable")
    config = {
        "include": [str(folder.relative_to(root)) for folder in folders],
        "extraPaths": ["src", *(str(folder.relative_to(root)) for folder in folders)],
        "typeCheckingMode": "off",
        "reportMissingImports": "none",
        "reportMissingModuleSource": "none",
        **{f"report{rule}": "error" for rule in rules},
    }
    path = root / f".pyright-{tmp_path.name}.json"
    path.write_text(json.dumps(config))
    try:
        pyright = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
        done = subprocess.run([*pyright, "-p", str(path)], capture_output=True, text=True)
    finally:
        path.unlink()
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] > 20
    assert [f"{one['file']}: {one['message']}" for one in found["generalDiagnostics"]] == []


def all_groups(bench):
    nothing = Path("nothing")
    return list(bench.groups(bench.Settings(nothing, 2, nothing, nothing, {})))


def test_every_row_names_sides_of_its_group_and_rows_have_names_of_their_own(bench):
    names = []
    for group in all_groups(bench):
        for row in group.rows:
            names.append(row.name)
            assert row.ours in group.sides
            assert not isinstance(row.peer, str) or row.peer in group.sides
    assert len(names) == len(set(names))
    assert {"train.v_final.vs_transformers_bf16", "predictions.v1.vs_keras"} <= set(names)


def turn(units, seconds, **facts):
    return {"work": {"units": units}, "seconds": seconds, "facts": facts}


def row_of(bench, turns, failures, **changes):
    row = bench.Row(
        **{"name": "r", "ours": "o", "peer": "p", "quantity": "units", "unit": "u/s"} | changes
    )
    return bench._row(row, bench.Group("g", {}, [row]), turns, failures)


def test_a_ratio_is_of_medians_and_its_range_of_neighbours(bench):
    ours = [turn(10, 1), turn(20, 1), turn(90, 3)]
    peers = [turn(5, 1, peer="p 1"), turn(5, 1, peer="p 1"), turn(10, 1, peer="p 1")]
    row = row_of(bench, {"o": ours, "p": peers}, {}, aim=4.5)
    assert (row["ours"], row["peer"], row["ratio"]) == (20, 5, 4)
    assert row["ratio_range"] == [2, 4]
    assert (row["peer_name"], row["met"], row["repeats"]) == ("p 1", False, 3)


def test_less_is_better_where_the_figure_is_seconds(bench):
    turns = {"o": [turn(1, 4.0)] * 2}
    row = row_of(bench, turns, {}, peer=20.0, seconds=True, aim=1.0)
    assert (row["ours"], row["peer"], row["ratio"], row["met"]) == (4, 20, 5, True)


@pytest.mark.parametrize(
    ("reason", "status"), [("not installed: x", "skipped"), ("no answer within 9 s", "failed")]
)
def test_a_peer_that_cannot_be_had_is_said_and_ours_is_kept(bench, reason, status):
    row = row_of(bench, {"o": [turn(10, 1)]}, {"p": reason})
    assert (row["status"], row["reason"], row["ours"], row["ratio"]) == (status, reason, 10, None)
    assert reason in bench.table([row])


def test_two_protocols_say_how_far_their_losses_are_apart(bench):
    turns = {"o": [turn(1, 1, nats_per_target=2.5)], "p": [turn(1, 1, nats_per_target=3.0)]}
    assert row_of(bench, turns, {})["nats_per_target_difference"] == -0.5


def test_a_missing_corpus_is_one_line(tmp_path):
    command = [
        sys.executable,
        str(BENCHMARKS / "bench.py"),
        "--only",
        "text",
        "--data",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(tmp_path) in done.stderr
    assert "escada data prepare" in done.stderr
