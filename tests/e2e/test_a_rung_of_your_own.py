"""docs/adding-a-rung.md, done as it says: a rung from outside the package, and one with a model."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A user's folder: two spec files and a package with a model."""
    folder = tmp_path_factory.mktemp("mine")
    wide = overlay(tomllib.loads(block("toml")), TINY)
    bigram = overlay(wide, {"name": "bigram", "model": None})
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


@pytest.mark.parametrize("name", ["v4_wide", "bigram"])
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
    ladder = json.loads((folder / "climb" / "ladder.json").read_text(encoding="utf-8"))
    v1, wide, bigram = ladder["rungs"]
    assert [v1["name"], wide["name"], bigram["name"]] == ["v1", "v4_wide", "bigram"]
    for mine in (wide, bigram):
        assert mine["follows"] == "v1"
        assert mine["beats_previous"]["against"] == "v1"
        assert mine["status"] == "finished"
    page = (folder / "climb" / "report" / "index.html").read_text(encoding="utf-8")
    assert "v4_wide" in page
    assert "bigram" in page


def test_a_changed_model_file_is_another_run(tmp_path, monkeypatch):
    from escada.runs.run import run_key

    module = tmp_path / "outside" / "changing.py"
    module.parent.mkdir()
    module.write_text(block("python"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    table = tomllib.loads(block("toml"))
    table |= {"presets": {}, "model": {"kind": "outside.changing", "d_embedding": 8}}
    (tmp_path / "mine.toml").write_text(tomli_w.dumps(table), encoding="utf-8")
    spec = load_spec(str(tmp_path / "mine.toml"))
    before = run_key(spec, seed=0, corpus_hash="c")
    assert run_key(spec, seed=0, corpus_hash="c") == before
    module.write_text(block("python") + "# a thought\n", encoding="utf-8")
    assert run_key(spec, seed=0, corpus_hash="c") != before
