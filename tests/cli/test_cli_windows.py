"""`escada evaluate --protocol windows` on a run of a few steps."""

import json

import pytest
import typer
from typer.testing import CliRunner

from escada.cli.measure.evaluate import evaluate
from escada.errors import EscadaError
from escada.evaluation import windows
from escada.evaluation.task import Subject, complete, read
from escada.evaluation.tasks.windows import Windows
from escada.evaluation.windows import WindowSettings
from escada.files import read_json

app = typer.Typer()
app.command()(evaluate)

SMALL = ("--protocol", "windows", "--max-windows", 300)


def call(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


PROMISED = (
    "schema_version protocol window_tokens window_stride max_windows windows windows_available "
    "windows_left_out targets unknown sample loss loss_ci95 perplexity perplexity_ci95 accuracy "
    "accuracy_ci95 documents groups split profile corpus_hash tokenizer seconds "
    "windows_per_second key weights weights_sha256"
).split()


def test_the_figures_are_those_promised_and_are_kept_in_the_run(run, corpus):
    found = json.loads(call(run.path, *SMALL, "--json").stdout)
    assert list(found) == PROMISED  # and no bits per byte
    assert found["protocol"] == "windows/last"
    assert (found["window_tokens"], found["window_stride"]) == (32, 4)
    assert (found["windows"], found["max_windows"]) == (300, 300)
    assert found["windows"] < found["windows_available"]
    assert found["corpus_hash"] == corpus.hash
    assert found["sample"] is None
    for name in ("loss", "perplexity", "accuracy"):
        low, high = found[f"{name}_ci95"]
        assert low < found[name] < high
    path = run.path / "evaluation" / "windows-test.json"
    assert read_json(path) == found
    before = path.stat().st_mtime_ns
    assert json.loads(call(run.path, *SMALL, "--json").stdout) == found
    assert path.stat().st_mtime_ns == before


def test_the_ruler_is_not_touched_by_it(run):
    ruler = json.loads(call(run.path, "--json").stdout)
    call(run.path, *SMALL, "--json")
    assert json.loads(call(run.path, "--json").stdout) == ruler
    assert not set(ruler["protocol"].split("/")) & {"windows"}
    assert "loss" not in ruler


def test_options_reach_the_protocol(run):
    found = json.loads(
        call(
            *(run.path, "--protocol", "windows", "--split", "validation", "--score", "all"),
            *("--window-tokens", 16, "--window-stride", 7, "--max-windows", 50, "--json"),
        ).stdout
    )
    assert found["protocol"] == "windows/all"
    assert (found["window_tokens"], found["window_stride"], found["windows"]) == (16, 7, 50)
    assert found["split"] == "validation"
    assert found["targets"] <= 16 * 50


def test_the_estimate_comes_first_and_the_figures_name_what_they_are(run):
    shown = call(run.path, "--protocol", "windows", "--max-windows", 250)
    assert "250 windows at about" in shown.stderr
    for part in ("nats per token of characters", "95 % interval", "250 of", "windows/last"):
        assert part in shown.stdout
    assert "not comparable with bits per byte" in shown.stdout


@pytest.fixture
def slow(monkeypatch):
    monkeypatch.setattr(windows._Reader, "calibrate", lambda self, ends_M: (100.0, 0.5))


def test_a_budget_is_recorded_with_its_sample(run, slow):
    arguments = (run.path, "--protocol", "windows", "--split", "validation", "--budget", "2.5 s")
    found = json.loads(call(*arguments, "--json").stdout)
    sample = found["sample"]
    assert sample["budget_seconds"] == 2.5
    assert sample["stratified_by"] == "source"
    assert sum(sample["windows"].values()) == found["windows"] <= 202
    assert sample["of_windows"] > found["windows"]
    assert "stratified by source" in call(*arguments).stdout


def test_figures_of_all_windows_serve_a_budget_too(run, corpus, slow):
    settings = WindowSettings(8, 4, 400)
    assert complete(Subject(run, corpus, device="cpu"), Windows("test", settings))
    whole = read(run, Windows("test"))
    limited = WindowSettings(8, 4, 400, budget_seconds=2.0)
    assert not complete(Subject(run, corpus, device="cpu"), Windows("test", limited))
    assert read(run, Windows("test")) == whole
    assert complete(Subject(run, corpus, device="cpu"), Windows("test", WindowSettings(8, 5, 400)))


def test_a_budget_that_held_all_windows_serves_when_none_is_given(run, corpus):
    limited = WindowSettings(8, 4, 350, budget_seconds=600.0)
    assert complete(Subject(run, corpus, device="cpu"), Windows("test", limited))
    assert read(run, Windows("test")).sample is None
    assert not complete(
        Subject(run, corpus, device="cpu"), Windows("test", WindowSettings(8, 4, 350))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-windows", "5"], "--max-windows: without meaning for the ruler"),
        (["--budget", "5 s", "--score", "last"], "--score, --budget: without meaning"),
        (["--window-stride", "2"], "add --protocol windows"),
        (["--protocol", "windows", "--text", "x.jsonl"], "--text has a meaning for the ruler"),
        (["--protocol", "windows", "--budget", "3 epochs"], "is not a time"),
        (["--protocol", "windows", "--budget", "3"], "not a number with a unit"),
        (["--protocol", "windows", "--window-stride", "0"], "window_stride is 0"),
        (["--protocol", "windows", "--max-windows", "-1"], "max_windows is -1"),
    ],
)
def test_options_without_a_meaning_are_refused(run, arguments, message):
    with pytest.raises(EscadaError, match=message):
        call(run.path, *arguments)
