"""docs/adding-a-rung.md, done as it says: a rung from outside the package, and one with a model."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import tomli_w
from tests.processes import Escada, escada

from escada.files import read_json, write_sealed_json
from escada.spec import load_spec, overlay

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-rung.md"


def block(language: str, number: int = 0) -> str:
    """A block of code of the page."""
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)[number]


# Sizes for a moment's training on the tests' corpus, where the page's are for a real one.
TINY = {
    "about": {"follows": "v1"},
    "presets": {
        "laptop": {
            "tokenizer": {"vocab_size": 400},
            "model": {"d_embedding": 16, "d_hidden": 24},
            "train": {"batch_sequences": 4, "window_tokens": 24},
        }
    },
}
OF_ANOTHER_KIND = {"about": {"tests": ["model.kind"]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder: two spec files and a package with a model."""
    folder = tmp_path_factory.mktemp("mine")
    wide = overlay(tomllib.loads(block("toml")), TINY)
    bigram = overlay(wide, {"name": "bigram", "model": None} | OF_ANOTHER_KIND)
    bigram["model"] = tomllib.loads(block("toml", 1))["model"]
    del bigram["presets"]["laptop"]["model"]["d_hidden"]
    for spec in (wide, bigram):
        path = folder / f"{spec['name']}.toml"
        path.write_text(tomli_w.dumps(spec), encoding="utf-8")
    (folder / "my_models").mkdir()
    (folder / "my_models" / "bigram.py").write_text(block("python"), encoding="utf-8")
    return folder


def test_the_pages_spec_file_loads_as_it_stands(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(block("toml"), encoding="utf-8")
    for preset, width in (("full", 768), ("laptop", 384)):
        spec = load_spec(str(path), preset=preset)
        assert (spec.name, spec.preset, spec.model.d_hidden) == ("v4_wide", preset, width)


@pytest.mark.parametrize("name", [pytest.param("v4_wide", marks=pytest.mark.slow), "bigram"])
def test_one_toml_file_trains_evaluates_and_samples(folder, corpus_path, name, monkeypatch, capsys):
    from escada.cli import main

    def verb(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["escada", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        shown = capsys.readouterr()
        assert not end.value.code, shown.err
        return shown.out

    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    training = ("--preset", "laptop", "--budget", "20 steps", "--data", corpus_path)
    run = verb("train", f"{name}.toml", *training, "--device", "cpu").splitlines()[-1]
    found = json.loads(verb("evaluate", run, "--json"))
    assert 0 < found["bits_per_byte"] < 8
    assert found["tokenizer"]["vocab_size"] == 400
    assert found["protocol"] == "document/carried-state"
    written = json.loads(verb("sample", run, "--prompt", "A menina", "--max-tokens", 5, "--json"))
    assert written["samples"][0]["tokens"] > 0


@pytest.mark.slow
def test_it_climbs_next_to_v1_and_is_compared_with_what_it_follows(folder, corpus_path):
    rungs = ("v1", "v4_wide.toml", "bigram.toml")
    small = ("--set", "train.batch_sequences=4", "--set", "train.window_tokens=24")
    climb = ("climb", *rungs, "--preset", "laptop", "--budget", "20 steps", *small)
    done = subprocess.run(
        [sys.executable, "-m", "escada", *climb, "--data", str(corpus_path), "--out", "climb"],
        cwd=folder,  # and with it on Python's path
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ladder = read_json(folder / "climb" / "ladder.json")
    v1, wide, bigram = ladder["rungs"]
    assert [v1["name"], wide["name"], bigram["name"]] == ["v1", "v4_wide", "bigram"]
    for mine in (wide, bigram):
        assert mine["follows"] == "v1"
        assert mine["beats_previous"]["against"] == "v1"
        assert mine["status"] == "finished"
    page = (folder / "climb" / "report" / "index.html").read_text(encoding="utf-8")
    assert "v4_wide" in page
    assert "bigram" in page


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_a_climb_goes_on_with_its_own_runs_of_the_users_code_unasked(folder, corpus_path, jobs):
    out = folder / f"interrupted-{jobs}"
    small = ("--set", "train.batch_sequences=4", "--set", "train.window_tokens=24")
    climb = ["climb", "bigram.toml", "--preset", "laptop", "--budget", "600 steps", *small]
    climb += ["--data", corpus_path, "--out", out, "--jobs", jobs]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    first = Escada(climb, cwd=folder, env=environment, start_new_session=True)
    while not list(out.glob("*/metrics.jsonl")):
        time.sleep(0.05)
        assert first.poll() is None
    first.send_signal(signal.SIGINT)
    _, said = first.communicate()
    assert first.returncode == 130, said
    (record,) = out.glob("*/record.json")
    table = read_json(record)
    assert table["status"] != "finished"
    # Whatever the record says of the place of the code, it is the one of the spec named here.
    write_sealed_json(record, table | {"module_folders": ["/nowhere"]})
    command = [sys.executable, "-m", "escada", *map(str, climb)]  # which may have children
    again = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert "going on with" in again.stderr
    assert json.loads(record.read_text())["module_folders"] == [str(folder)]


@pytest.fixture
def key_of(tmp_path, monkeypatch):
    """The key of a training with that text as its model file."""
    from escada.runs.run import run_key

    for name in ("outside", "outside.changing"):  # of the test before, in another folder
        monkeypatch.delitem(sys.modules, name, raising=False)
    module = tmp_path / "outside" / "changing.py"
    module.parent.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    table = tomllib.loads(block("toml"))
    table |= {"presets": {}, "model": {"kind": "outside.changing", "d_embedding": 8}}
    table = overlay(table, OF_ANOTHER_KIND)
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(table), encoding="utf-8")

    def key(source: str) -> str:
        module.write_text(source, encoding="utf-8")
        spec = load_spec(str(tmp_path / "mine.toml"))
        return run_key(spec, seed=0, corpus_hash="c")

    return key


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "return self.output(self.embedding(ids_BT))",
            "return self.output(-self.embedding(ids_BT))",
        ),
        (
            "nn.Linear(config.d_embedding, vocab_size)",
            "nn.Linear(config.d_embedding, vocab_size, bias=False)",
        ),
        ("d_embedding: int = Field(ge=1)", "d_embedding: int = Field(ge=1, multiple_of=2)"),
        ("return 2.0 *", "return 3.0 *"),
        ("from torch import nn", "from torch import nn\n\ntorch.set_flush_denormal(True)"),
    ],
)
def test_a_model_file_that_trains_otherwise_is_another_run(key_of, before, after):
    page = block("python")
    assert before in page
    assert key_of(page) == key_of(page)
    assert key_of(page.replace(before, after)) != key_of(page)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("        return self(ids_BT)", "        return self(ids_BT).detach()"),
        ("return State(len(rows))", "return State(int(rows.shape[0]))"),
        ("return State(batch_size)", "return State(batch_size=batch_size)"),
        ('"""ids -> embedding -> logits."""', '"""Ids, embeddings, logits."""'),
        ("# it reads documents of any length", "# whatever the length"),
    ],
)
def test_what_only_decodes_trains_nothing_again(key_of, before, after):
    page = block("python")
    assert before in page
    assert key_of(page.replace(before, after)) == key_of(page)


def test_what_decodes_and_trains_too_is_another_run(key_of):
    """A forward pass that begins with a fresh state: then the state decides the weights."""
    used = block("python").replace(
        "return self.output(self.embedding(ids_BT))",
        "self.fresh_state(len(ids_BT)); return self.output(self.embedding(ids_BT))",
    )
    assert key_of(used) != key_of(used.replace("State(len(rows))", "State(int(rows.shape[0]))"))


def test_a_model_beside_the_spec_file_is_found_and_so_it_is_when_its_run_is_opened(
    corpus_path, tmp_path
):
    """Without a path set by hand, from another folder, and when only its decoding was corrected."""
    mine = tmp_path / "mine"
    (mine / "beside_the_spec").mkdir(parents=True)
    model = mine / "beside_the_spec" / "bigram.py"
    broken = block("python").replace("        return self(ids_BT)", "        return self.nothing")
    model.write_text(broken, encoding="utf-8")
    spec = overlay(overlay(tomllib.loads(block("toml")), TINY), OF_ANOTHER_KIND)
    spec |= {"name": "bigram", "model": {"kind": "beside_the_spec.bigram", "d_embedding": 8}}
    del spec["presets"]["laptop"]["model"]
    (mine / "bigram.toml").write_text(tomli_w.dumps(spec), encoding="utf-8")

    train = ("train", "mine/bigram.toml", "--preset", "laptop", "--budget", "2 steps")
    train += ("--data", corpus_path, "--device", "cpu")
    for rehearsal in ((), ("--dry-run",)):
        told = escada([*train, *rehearsal], cwd=tmp_path)
        assert told.returncode == 2
        assert "advance fails with AttributeError" in told.stderr
        assert "Traceback" not in told.stderr
    assert not (tmp_path / "runs").exists()  # nothing was begun
    model.write_text(block("python"), encoding="utf-8")
    trained = escada(train, cwd=tmp_path)
    assert trained.returncode == 0, trained.stderr
    run = trained.stdout.splitlines()[-1]
    sample = ["sample", run, "--prompt", "A", "--max-tokens", 2]
    refused = escada(sample, cwd=tmp_path)
    assert refused.returncode == 2
    assert "'beside_the_spec.bigram' is code from outside escada" in refused.stderr
    assert f"escada sample {run} --trust-code" in trained.stderr
    sampled = escada([*sample, "--trust-code"], cwd=tmp_path)
    assert sampled.returncode == 0, sampled.stderr
