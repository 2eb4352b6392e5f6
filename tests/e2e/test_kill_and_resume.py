"""A training that is killed, at any moment, ends with the weights of one that was not.

The one that was not ran in an interpreter of its own, with a hash seed of its own.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.processes import Escada, escada

from escada.files import read_json, sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.run import find_runs
from escada.training.metrics import read_rows

SMALL = {
    "v2": ["model.d_embedding=16", "model.d_hidden=48", "model.dropout=0.1"],
    "v4": ["tokenizer.vocab_size=400", "model.d_embedding=32", "model.d_hidden=48"],
    "v5": [
        "tokenizer.vocab_size=400",
        "model.d_model=32",
        "model.n_heads=2",
        "model.d_ff=64",
        "model.n_layers=2",
        "model.dropout=0.1",
        "model.attention_dropout=0.1",
    ],
}
STEPS = 60


def train(rung: str, corpus_path: Path, out: Path) -> list[str]:
    common = ["train.batch_sequences=6", "train.micro_batch_sequences=3", "train.window_tokens=24"]
    overrides = [part for s in SMALL[rung] + common for part in ("--set", s)]
    return [
        *("train", rung, "--preset", "laptop", "--budget", f"{STEPS} steps", "--seed", "7"),
        *("--data", str(corpus_path), "--out", str(out), *overrides),
    ]


def run(arguments: list[str], prelude: str = "", expect: int = 0) -> None:
    done = escada(arguments, prelude=prelude)
    assert done.returncode == expect, done.stderr


def only_run(out: Path):
    (found,) = find_runs(out)
    return found


def final_weights(out: Path) -> tuple[str, str]:
    """Hashes of the last weights and of the optimizer and random state beside them."""
    last = checkpoint_path(only_run(out).layout.checkpoints, "last")
    assert read_json(last / "checkpoint.json")["step"] == STEPS
    return sha256_file(last / "model.safetensors"), sha256_file(last / "training.safetensors")


def metrics(out: Path):
    timed = {"seconds", "tokens_per_second", "flop_per_second", "memory_bytes"}
    rows = read_rows(only_run(out).layout)
    return [{k: v for k, v in row.items() if k not in timed} for row in rows]


@pytest.fixture(scope="module", params=["v2", pytest.param("v4", marks=pytest.mark.slow), "v5"])
def uninterrupted(request, corpus_path, tmp_path_factory):
    out = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, "-m", "escada", *train(request.param, corpus_path, out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return request.param, out


# Kills its own process, with the signal that nothing can catch, in the middle of writing the third
# checkpoint: its weights are written, its training state is not.
DIE_WHILE_SAVING = """
import os, signal
import escada.runs.checkpoint as checkpoint
write, calls = checkpoint.write_tensors, []
def dying_write(path, tensors):
    calls.append(path)
    if len(calls) == 6:
        os.kill(os.getpid(), signal.SIGKILL)
    return write(path, tensors)
checkpoint.write_tensors = dying_write
"""

# The same between two checkpoints: in the middle of a step.
DIE_BETWEEN_CHECKPOINTS = """
import os, signal
from escada.training.step import Stepper
clip, calls = Stepper.clip, []
def dying_clip(self):
    calls.append(1)
    if len(calls) == 28:
        os.kill(os.getpid(), signal.SIGKILL)
    clip(self)
Stepper.clip = dying_clip
"""


@pytest.mark.parametrize("prelude", [DIE_WHILE_SAVING, DIE_BETWEEN_CHECKPOINTS])
def test_killed_and_resumed_is_bit_identical_to_uninterrupted(
    uninterrupted, corpus_path, tmp_path, prelude
):
    rung, reference = uninterrupted
    run(train(rung, corpus_path, tmp_path), prelude, expect=-signal.SIGKILL)
    assert only_run(tmp_path).record.status == "training"
    run(["resume", str(only_run(tmp_path).path)])
    assert final_weights(tmp_path) == final_weights(reference)
    assert metrics(tmp_path) == metrics(reference)


def test_killed_from_outside_before_any_checkpoint_then_resumed(
    uninterrupted, corpus_path, tmp_path
):
    rung, reference = uninterrupted
    process = Escada(train(rung, corpus_path, tmp_path))
    while not list(tmp_path.glob("*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    run(["resume", str(only_run(tmp_path).path)])
    assert final_weights(tmp_path) == final_weights(reference)


def test_ctrl_c_saves_says_how_to_resume_and_loses_nothing(uninterrupted, corpus_path, tmp_path):
    rung, reference = uninterrupted
    process = Escada(train(rung, corpus_path, tmp_path))
    while not any("train" in p.read_text() for p in tmp_path.glob("*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "escada resume" in said
    assert only_run(tmp_path).record.status == "interrupted"
    card = only_run(tmp_path).layout.card
    assert "its status is *interrupted*" in card.read_text(encoding="utf-8")
    run(["resume", str(only_run(tmp_path).path)])
    assert final_weights(tmp_path) == final_weights(reference)
    for finished in (card, only_run(reference).layout.card):
        assert f"| steps | {STEPS} of {STEPS}" in finished.read_text(encoding="utf-8")


def test_a_finished_run_is_not_resumed_and_other_threads_are_refused(uninterrupted, tmp_path):
    _, reference = uninterrupted
    done = escada(["resume", only_run(reference).path])
    assert done.returncode == 2
    assert "finished" in done.stderr
    assert "Traceback" not in done.stderr
