"""`escada runs` shows whole paths, however narrow the terminal."""

import json

import typer
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli.runs import runs
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.run import start

app = typer.Typer()
app.command()(runs)


def test_a_run_is_listed_with_a_path_that_can_be_copied(corpus_path, tmp_path):
    folder = tmp_path / ("a-long-name-" * 8) / "runs"
    sizes = ["model.d_hidden=8", "model.d_embedding=4", "train.batch_sequences=2"]
    spec = load_spec("v1", preset="laptop", overrides=[*sizes, "train.window_tokens=16"])
    run = start(
        spec.with_budget(Budget.parse("3 steps")), Corpus.open(corpus_path), folder, device="cpu"
    )
    shown = CliRunner().invoke(app, [str(folder)])
    assert shown.exit_code == 0
    assert str(run.path) in shown.stdout
    assert "finished" in shown.stdout
    (row,) = json.loads(CliRunner().invoke(app, [str(folder), "--json"]).stdout)
    assert row["status"] == "finished"
