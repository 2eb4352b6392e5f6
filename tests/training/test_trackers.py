"""A tracker gets the rows of a training, goes on with it when it is resumed, and never ends it.

The last three tests need the real libraries, each offline: `make test-trackers`.
"""

import importlib.util
import json
import sqlite3
import sys

import pytest
from tests.training.conftest import last_hashes, spec_of, train_until
from typer.testing import CliRunner

from escada.cli import app
from escada.errors import EscadaError
from escada.files import read_json
from escada.runs.log import read_log
from escada.runs.run import run_key
from escada.text.corpus import Corpus
from escada.training.run import resume, start
from escada.training.trackers import VARIABLE, choose_tracker
from escada.typed_json import flat

TRACKER = """
import json
from pathlib import Path

PACKAGE = "json"

class Mine:
    def __init__(self, run):
        self.file = run.folder / "mine.jsonl"
        self.id = run.id or "first"
        self.write(start=run.id, name=run.name, rung=run.settings["spec"]["name"])

    def write(self, **row):
        with self.file.open("a") as file:
            file.write(json.dumps(row) + "\\n")

    def log(self, scalars, step):
        if (self.file.parents[1] / "break").exists():
            raise ConnectionError("no route to host")
        self.write(step=step, **scalars)

    def finish(self):
        self.write(finished=True)

start = Mine
"""


@pytest.fixture(autouse=True)
def untracked(monkeypatch):
    monkeypatch.setenv(VARIABLE, "")


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A tracker of the test's own, chosen."""
    (tmp_path / "tracker_of_mine.py").write_text(TRACKER)
    monkeypatch.syspath_prepend(tmp_path)
    yield choose_tracker("tracker_of_mine")
    sys.modules.pop("tracker_of_mine", None)


def written(run):
    return [json.loads(line) for line in (run.path / "mine.jsonl").read_text().splitlines()]


def train(corpus_path, out):
    return start(spec_of("v1", 8), Corpus.open(corpus_path), out, device="cpu")


def test_a_tracker_gets_every_row_and_the_settings(mine, corpus_path, tmp_path):
    run = train(corpus_path, tmp_path)
    first, *rows, last = written(run)
    assert first == {"start": None, "name": run.name, "rung": "v1"}
    assert last == {"finished": True}
    logged = read_log(run.layout)
    assert [row["step"] for row in rows] == [row["step"] for row in logged]
    losses = [row["loss"] for row in logged if row["kind"] == "train"]
    assert [row["train/loss"] for row in rows if "train/loss" in row] == losses
    assert any("validation/bits_per_byte" in row for row in rows)


def test_a_resumed_training_goes_on_with_its_tracked_run(mine, corpus_path, tmp_path, monkeypatch):
    stopped = train_until(corpus_path, tmp_path, monkeypatch, 4)
    assert read_json(stopped.path / "tracker.json")["id"] == "first"
    monkeypatch.setenv(VARIABLE, "")  # it is not named again
    resume(stopped.path)
    starts = [row["start"] for row in written(stopped) if "start" in row]
    assert starts == [None, "first"]
    assert max(row.get("step", 0) for row in written(stopped)) == 8


def test_a_damaged_tracker_json_is_said_and_a_new_tracked_run_is_begun(
    mine, corpus_path, tmp_path, monkeypatch, capsys
):
    stopped = train_until(corpus_path, tmp_path, monkeypatch, 4)
    (stopped.path / "tracker.json").write_text("{")
    resume(stopped.path)
    assert "tracker.json is damaged: its tracked run is not continued" in capsys.readouterr().err
    assert [row["start"] for row in written(stopped) if "start" in row] == [None, None]


def test_a_tracker_changes_neither_key_nor_weights(mine, corpus_path, tmp_path, monkeypatch):
    tracked = train(corpus_path, tmp_path / "tracked")
    monkeypatch.setenv(VARIABLE, "")
    plain = train(corpus_path, tmp_path / "plain")
    assert tracked.record.key == plain.record.key
    assert last_hashes(tracked) == last_hashes(plain)
    assert not (plain.path / "tracker.json").exists()
    key = run_key(spec_of("v1", 8), seed=0, corpus_hash=Corpus.open(corpus_path).hash)
    assert tracked.record.key == key


def test_a_tracker_that_fails_is_said_once_and_ends_nothing(mine, corpus_path, tmp_path, capsys):
    (tmp_path / "break").touch()
    run = train(corpus_path, tmp_path)
    assert run.finished
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "tracker_of_mine" in line]
    assert "the training goes on: ConnectionError: no route to host" in said
    assert read_json(run.path / "tracker.json")["problem"] == "ConnectionError: no route to host"


def test_code_that_a_folder_names_is_not_run_unless_it_is_named_again(
    mine, corpus_path, tmp_path, monkeypatch, capsys
):
    from escada import extensions

    stopped = train_until(corpus_path, tmp_path, monkeypatch, 4)
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setattr(extensions._TRUST, "names", set())
    before = len(written(stopped))
    assert resume(stopped.path).finished
    assert len(written(stopped)) == before
    assert "--trust-code" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "words"), [("wandbb", "wandb"), ("no_such_tracker", "unknown tracker")]
)
def test_an_unknown_tracker_is_refused_before_anything_is_trained(name, words, tmp_path):
    for verb in (["train", "v1", "--out", str(tmp_path)], ["climb", "v1"]):
        done = CliRunner().invoke(app, [*verb, "--tracker", name])
        assert isinstance(done.exception, EscadaError)
        assert words in str(done.exception)


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="it is installed")
def test_one_that_is_not_installed_says_how_to_install_it():
    with pytest.raises(EscadaError, match=r"pip install 'escada\[wandb\]'"):
        choose_tracker("wandb")


def test_settings_are_flattened_with_dots():
    assert flat({"a": {"b": {"c": 1}}, "d": [2]}) == {"a.b.c": 1, "d": [2]}


def stopped_and_resumed(name, corpus_path, out, monkeypatch):
    """A training that was tracked, stopped at half of its steps and resumed."""
    pytest.importorskip(name)
    choose_tracker(name)
    stopped = train_until(corpus_path, out, monkeypatch, 4)
    identity = read_json(stopped.path / "tracker.json")["id"]
    monkeypatch.setenv(VARIABLE, "")
    run = resume(stopped.path)
    recorded = read_json(run.path / "tracker.json")
    assert (recorded["tracker"], recorded["id"], recorded["problem"]) == (name, identity, None)
    losses = {row["step"]: row["loss"] for row in read_log(run.layout) if row["kind"] == "train"}
    return run, identity, losses


@pytest.mark.slow
def test_mlflow_s_own_store_has_one_run_with_every_loss(corpus_path, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run, identity, losses = stopped_and_resumed("mlflow", corpus_path, tmp_path, monkeypatch)
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("escada")
    (found,) = client.search_runs([experiment.experiment_id])
    assert (found.info.run_id, found.info.run_name) == (identity, run.name)
    assert found.info.status == "FINISHED"
    assert found.data.params["spec.name"] == "v1"
    found_losses = client.get_metric_history(identity, "train/loss")
    # What was sent after the checkpoint that the training went on from stays there.
    assert losses.items() <= {metric.step: metric.value for metric in found_losses}.items()
    assert client.get_metric_history(identity, "validation/bits_per_byte")


@pytest.mark.slow
def test_trackio_s_own_file_has_one_run_with_every_loss(corpus_path, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    run, identity, losses = stopped_and_resumed("trackio", corpus_path, tmp_path, monkeypatch)
    assert identity.startswith(run.name)
    rows = sqlite3.connect(tmp_path / "trackio" / "escada.db").execute(
        "select run_name, step, metrics from metrics"
    )
    found = [(name, step, json.loads(text)) for name, step, text in rows]
    assert {name for name, _, _ in found} == {identity}
    sent = {step: one["train/loss"] for _, step, one in found if "train/loss" in one}
    assert losses.items() <= sent.items()


@pytest.mark.slow
def test_w_and_b_offline_writes_two_parts_of_one_run(corpus_path, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run, identity, losses = stopped_and_resumed("wandb", corpus_path, tmp_path, monkeypatch)
    parts = sorted((run.path / "wandb").glob(f"offline-run-*/run-{identity}.wandb"))
    assert len(parts) == 2
    rows = [row for part in parts for row in history(part)]
    assert (
        losses.items()
        <= {row["step"]: row["train/loss"] for row in rows if "train/loss" in row}.items()
    )


def history(file):
    """The rows in a file of W&B's: records in LevelDB's log format, each a protocol buffer."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, at, whole = file.read_bytes(), 7, b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the end of a block is filled up
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or its last part
            record = Record.FromString(whole)
            whole = b""
            if record.HasField("history"):
                items = record.history.item
                yield {
                    ".".join([*one.nested_key] or [one.key]): json.loads(one.value_json)
                    for one in items
                }
