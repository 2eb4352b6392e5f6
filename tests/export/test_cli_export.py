"""The verb: one line for every mistake, and what it prints."""

from __future__ import annotations

import json
import sys

import pytest
from tests.export.conftest import needs

from escada.cli import main


def escada(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["escada", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = capsys.readouterr()
    return stop.value.code or 0, shown.out, shown.err


def test_it_writes_a_folder_and_says_where(runs, tmp_path, monkeypatch, capsys):
    out = tmp_path / "hub"
    words = ("export", runs("v_final").path, out, "--to", "transformers")
    code, shown, next_step = escada(monkeypatch, capsys, *words)
    assert (code, shown) == (0, f"{out}\n")
    assert f"from_pretrained('{out}')" in next_step
    code, _, error = escada(monkeypatch, capsys, *words)
    assert code == 2
    assert error.count("\n") == 1
    assert "--overwrite" in error
    code, shown, _ = escada(monkeypatch, capsys, *words, "--overwrite", "--json")
    found = json.loads(shown)
    assert (code, found["schema_version"], found["form"]) == (0, 1, "transformers")
    assert found["bytes"] == sum(file.stat().st_size for file in out.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--to", "onxx"], "unknown form 'onxx' (--to); did you mean 'onnx'?"),
        (["--to", "gguf", "--numbers", "f8"], "'--numbers': 'f8' is not one of 'f32', 'f16'"),
        (["--to", "onnx", "--numbers", "f16"], "--numbers f16 is for gguf"),
        (["--to", "onnx", "--which", "first"], "'--which': 'first' is not one of 'best', 'last'"),
        (
            ["--to", "gguf"],
            "v1 cannot be exported to gguf: a recurrent model has no such form",
        ),
    ],
)
def test_a_mistake_is_one_line(runs, tmp_path, monkeypatch, capsys, options, said):
    words = ("export", runs("v1").path, tmp_path / "out", *options)
    code, shown, error = escada(monkeypatch, capsys, *words)
    assert (code, shown, error.count("\n")) == (2, "", 1)
    assert said in error
    assert not list(tmp_path.iterdir())


def test_a_check_without_the_library_names_the_extra(runs, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "transformers", None)
    words = ("export", runs("v1").path, tmp_path / "out", "--to", "transformers", "--check")
    code, _, error = escada(monkeypatch, capsys, *words)
    assert code == 2
    assert "transformers is not installed; pip install 'escada[export]'" in error


@pytest.mark.slow
@needs("transformers")
def test_a_check_reports_what_was_compared(runs, tmp_path, monkeypatch, capsys):
    words = ("export", runs("v_final").path, tmp_path / "out", "--to", "transformers", "--check")
    code, shown, _ = escada(monkeypatch, capsys, *words, "--json")
    check = json.loads(shown)["check"]
    assert (code, check["ok"]) == (0, True)
    assert check["largest_difference"] <= check["tolerance"] == 1e-4
    assert check["same_ids"] == check["same_texts"] == check["sentences"] > 100
    assert check["same_greedy"] == check["greedy_prompts"] == 4
