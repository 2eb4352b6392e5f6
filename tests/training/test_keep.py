"""train.keep = "log": weights of chosen steps stay; the training is the same to the last bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.training.conftest import last_hashes, spec_of, train_until

from escada.errors import EscadaError
from escada.files import sha256_file
from escada.runs import kept
from escada.runs.checkpoint import weights_of
from escada.runs.kept import at_step, kept_in, kept_steps
from escada.runs.run import Run, open_run
from escada.text.corpus import Corpus
from escada.training.metrics import read_rows
from escada.training.run import resume, start

STEPS = 40
KEPT = [1, 2, 3, 4, 5, 7, 10, 15, 20, 29, 40]
TIMED = {"seconds", "tokens_per_second", "flop_per_second", "memory_bytes"}


def spec(keep: str, *overrides: str):
    return spec_of("v2", STEPS, f"train.keep={keep}", "model.dropout=0.1", *overrides)


def kept_hashes(run: Run) -> dict[int, str]:
    files = sorted((run.layout.checkpoints / "kept").glob("*/model.safetensors"))
    return {int(file.parent.name.removeprefix("step-")): sha256_file(file) for file in files}


def log(run: Run):
    return [{k: v for k, v in row.items() if k not in TIMED} for row in read_rows(run.layout)]


@pytest.fixture(scope="module")
def plain(corpus_path, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("plain")
    return start(spec("last"), Corpus.open(corpus_path), out, device="cpu")


@pytest.fixture(scope="module")
def keeping(corpus_path, tmp_path_factory) -> Run:
    out = tmp_path_factory.mktemp("keeping")
    return start(spec("log"), Corpus.open(corpus_path), out, device="cpu")


def test_keeping_changes_neither_weights_nor_log_nor_validation(plain, keeping):
    assert last_hashes(keeping) == last_hashes(plain)
    assert log(keeping) == log(plain)
    assert any(row["kind"] == "validation" for row in log(plain))


def test_the_chosen_steps_stay_and_none_without_it(plain, keeping):
    assert kept_in(keeping) == kept_steps(STEPS) == KEPT
    assert kept_in(plain) == []
    with pytest.raises(EscadaError, match=r"no weights of step 3 were kept.*train.keep=log"):
        at_step(plain, 3)


def test_the_weights_are_those_of_the_step(keeping, corpus_path, tmp_path, monkeypatch):
    stopped = train_until(corpus_path, tmp_path, monkeypatch, 5, spec("last"))
    wanted = weights_of(stopped.load_model("last"))
    found = weights_of(at_step(keeping, 5).load_model())
    assert all(torch.equal(found[name], tensor) for name, tensor in wanted.items())
    assert at_step(keeping, 5).weights_sha256("best") == kept_hashes(keeping)[5]


@pytest.mark.parametrize("step", [5, 6])
def test_a_killed_and_resumed_training_keeps_the_same_set(
    keeping, corpus_path, tmp_path, monkeypatch, step
):
    stopped = train_until(corpus_path, tmp_path, monkeypatch, step, spec("log"))
    # As left by a process that went on past its last checkpoint, on another device, and was killed.
    later = stopped.layout.checkpoints / "kept" / "step-00000007"
    later.mkdir(parents=True)
    (later / "model.safetensors").write_bytes(b"other weights")
    assert kept_hashes(resume(stopped.path)) == kept_hashes(keeping)


def test_a_training_that_stops_early_keeps_its_last_weights(corpus_path, tmp_path):
    stopping = spec(
        "log", "train.early_stopping=1", "train.learning_rate=1e-12", "train.validations=8"
    )
    run = start(stopping, Corpus.open(corpus_path), tmp_path, device="cpu")
    assert run.record.stopped_early
    assert kept_in(run)[-1] == run.record.step
    assert len(kept_in(run)) <= kept.MOST_KEPT


def test_damaged_and_missing_weights_are_named(keeping, tmp_path):
    import shutil

    copy = open_run(Path(shutil.copytree(keeping.path, tmp_path / "copy")))
    file = copy.layout.checkpoints / "kept" / "step-00000003" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\x01")
    with pytest.raises(EscadaError, match="another checksum"):
        at_step(copy, 3).load_model()
    file.unlink()
    with pytest.raises(EscadaError, match="an archive leaves them out"):
        at_step(copy, 3).load_model()


def test_what_will_be_kept_is_said_before_the_first_step(corpus_path, tmp_path):
    said: list[str] = []
    run = start(spec("log"), Corpus.open(corpus_path), tmp_path, device="cpu", say=said.append)
    files = (run.layout.checkpoints / "kept").glob("*/model.safetensors")
    size = sum(file.stat().st_size for file in files) / 2**20
    line = next(line for line in said if "keeping" in line)
    assert line.startswith(f"v2: keeping the weights of {len(KEPT)} steps, ")
    foreseen = float(line.split(", ")[1].split()[0])
    assert foreseen == pytest.approx(size, abs=0.1)
