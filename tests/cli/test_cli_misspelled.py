"""A command line that cannot be taken is answered with what was meant."""

import json
import sys
from pathlib import Path

import pytest

from escada.budget import Budget
from escada.cli import main
from escada.errors import EscadaError
from escada.files import write_json
from escada.runs.naming import find_run
from escada.spec import load_spec


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A climb of two rungs, one rung twice beside it, and a damaged record."""
    rows = {"demo/a-v4-1": "v4", "demo/a-v5-2": "v5", "b-v1-3": "v1", "b-v1-4": "v1"}
    for path, name in rows.items():
        folder = tmp_path / "runs" / path
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({"name": name}))
    (tmp_path / "runs" / "demo" / "ladder.json").write_text("{}")
    damaged = tmp_path / "runs" / "c-damaged"
    damaged.mkdir()
    (damaged / "record.json").write_text("{")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs"


def refused(call, *arguments, **options):
    with pytest.raises(EscadaError) as error:
        call(*arguments, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def said(monkeypatch, capsys, *arguments):
    """What the program says on standard error before it exits with code 2."""
    monkeypatch.setattr(sys, "argv", ["escada", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("v4", "demo/a-v4-1"),
        ("a-v4-1", "demo/a-v4-1"),
        ("runs/demo/v5", "demo/a-v5-2"),
        ("runs/demo/a-v5-2", "demo/a-v5-2"),
        ("c-damaged", "c-damaged"),
    ],
)
def test_a_rung_s_name_stands_for_its_only_run(runs, given, meant):

    assert find_run(Path(given)) == Path("runs") / meant


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("evaluate {run} --protocol window", "did you mean 'windows'?"),
        ("evaluate {run} --protocol windows --score al", "did you mean 'all'?"),
        ("evaluate {run} --split tset", "did you mean 'test'?"),
        ("evaluate {run} --device xla", "'xla' is not one of 'auto', 'cpu', 'cuda', 'mps'"),
        ("compare {run} --metric perplexty", "did you mean 'perplexity'?"),
        ("compare {run} --split validatoin", "did you mean 'validation'?"),
        ("tokenizer stats --tokenizer {run} --split tset", "did you mean 'test'?"),
        ("tokenizer train --out x --profile rodmap", "did you mean 'roadmap'?"),
        ("sample {run} --weights int4", "did you mean 'int8'?"),
        ("export {run} out --to gguf --numbers f61", "did you mean 'f16'?"),
        ("report {run} --lang fr", "'fr' is not one of 'en', 'pt'"),
        ("rungs --lang fr", "'fr' is not one of 'en', 'pt'"),
    ],
)
def test_a_word_that_is_no_choice_is_answered_with_the_nearest(
    runs, monkeypatch, capsys, arguments, words
):
    line = said(monkeypatch, capsys, *arguments.format(run=runs / "b-v1-3").split())
    assert line.startswith("escada: invalid value for '--")
    assert "Value error" not in line
    assert words in line


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("v1", ["v1 is the name of 2 runs", "runs/b-v1-3, runs/b-v1-4"]),
        ("runs/demo", ["one that holds runs", "runs/demo/a-v4-1, runs/demo/a-v5-2"]),
        ("runs/demo/ladder.json", ["a file", "escada runs runs/demo"]),
        ("runs/demo/*-v9-*", ["no run matches this pattern", "runs/demo/a-v4-1"]),
        ("v44", ["nor the name of a run", "did you mean 'v4'?"]),
        ("none", ["nor the name of a run", "escada runs"]),
    ],
)
def test_what_is_no_run_is_answered_with_what_is(runs, given, words):

    message = refused(find_run, Path(given))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(("status", "meant"), [("finished", "longer"), ("training", None)])
def test_a_finished_run_that_continues_another_stands_in_its_place(
    status, meant, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    first, longer = Path("runs/demo/first"), Path("runs/longer")
    write_json(first / "record.json", {"name": "v4", "status": "finished"})
    origin = {"run": str(first.resolve())}
    record = {"name": "v4", "status": status, "continued_from": origin}
    write_json(longer / "record.json", record)
    if meant:
        assert find_run(Path("v4")) == Path("runs") / meant
    else:
        assert "is the name of 2 runs" in refused(find_run, Path("v4"))
    assert find_run(first) == first


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("learning_rate=3", "did you mean 'train.learning_rate'?"),
        ("learning_rte=3", "did you mean 'train.learning_rate'?"),
        ("d_hidden=3", "did you mean 'model.d_hidden'?"),
        ("train.d_hidden=3", "did you mean 'model.d_hidden'?"),
        ("train.learnin_rate=3", "did you mean 'train.learning_rate'?"),
        ("train.zzz=3", "train.betas"),
        ("zzz=3", "evaluation, model, name, preset, schema_version, text, tokenizer, train"),
    ],
)
def test_a_setting_by_its_short_name_is_answered_with_the_full_one(setting, words):
    assert words in refused(load_spec, "v4", overrides=[setting])


def test_a_name_in_two_tables_is_answered_with_both():
    message = refused(load_spec, "v4", overrides=["kind=x"])
    assert "did you mean 'tokenizer.kind' or 'model.kind'?" in message


@pytest.mark.parametrize("amount", ["60", " 2.5", "50k"])
def test_a_budget_without_a_unit_is_answered_with_units(amount):
    message = refused(Budget.parse, amount)
    assert f"do you mean '{amount.strip()} s', '{amount.strip()} steps'" in message


def test_a_spec_file_without_the_preset_says_how_to_get_one(tmp_path, monkeypatch):
    from importlib import resources

    text = resources.files("escada.rungs").joinpath("v1.toml").read_text(encoding="utf-8")
    file = tmp_path / "mine.toml"
    file.write_text(text.split("[presets")[0], encoding="utf-8")
    message = refused(load_spec, str(file), preset="laptop")
    assert "there are: full" in message
    assert "--preset full, or add a table [presets.laptop]" in message
    assert "did you mean 'laptop'?" in refused(load_spec, "v1", preset="laptp")
    assert "this is a folder" in refused(load_spec, f"{tmp_path}/")
    monkeypatch.chdir(tmp_path)
    assert "do you mean the file mine.toml?" in refused(load_spec, "mine")


def test_the_command_line_names_the_option_that_was_meant(monkeypatch, capsys, runs):
    assert "did you mean --budget" in said(monkeypatch, capsys, "train", "v4", "--budgt", "3")
    assert "did you mean 'train'?" in said(monkeypatch, capsys, "trian", "v4")
    one, two = runs / "demo" / "a-v4-1", runs / "demo" / "a-v5-2"
    assert "a pattern may have matched several" in said(monkeypatch, capsys, "sample", one, two)
    assert "is the name of 2 runs" in said(monkeypatch, capsys, "sample", "v1")
    assert "is the name of 2 runs" in said(monkeypatch, capsys, "compare", "v4", "v1")
    assert "no such folder, but a file" in said(
        monkeypatch, capsys, "runs", "runs/demo/ladder.json"
    )


@pytest.mark.parametrize(
    ("verb", "option"),
    [("cloze", "--file"), ("pairs", "--file"), ("evaluate", "--text"), ("guard", "--samples")],
)
@pytest.mark.parametrize("between", [[], ["--device", "cpu"]])
def test_a_file_without_its_option_is_told_the_option(
    runs, monkeypatch, capsys, verb, option, between
):
    message = said(monkeypatch, capsys, verb, "v4", *between, "mine.jsonl")
    assert f"a file is given with its option: {option} mine.jsonl" in message


def test_a_folder_of_runs_that_is_not_there_is_a_wrong_path(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert "check the path" in said(monkeypatch, capsys, "runs", "nosuch")
    assert "train something first" in said(monkeypatch, capsys, "runs")
