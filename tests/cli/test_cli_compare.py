"""`escada compare`: on run folders and on a climb's, and what it refuses."""

import json

import pytest
import typer
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli.measure.compare import compare
from escada.errors import EscadaError
from escada.files import read_json, write_json
from escada.spec import load_spec

app = typer.Typer()
app.command()(compare)

KEYS = "a b difference ci95 p_value verdict scope seeds by_source cost".split()
TINY = {
    "v1": ["model.d_hidden=24", "model.d_embedding=12"],
    "v2": ["model.d_hidden=32", "model.d_embedding=16"],
    "v4": ["model.d_hidden=24", "model.d_embedding=12", "tokenizer.vocab_size=400"],
}


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments) -> EscadaError:
    with pytest.raises(EscadaError) as refused:
        invoke(*arguments, "--device", "cpu")
    assert refused.value.exit_code == 2
    assert "\n" not in str(refused.value)
    return refused.value


def train(rung, corpus_path, out, seed=0):
    from escada.text.corpus import Corpus
    from escada.training.run import start

    common = ["train.batch_sequences=4", "train.window_tokens=32"]
    spec = load_spec(rung, preset="laptop", overrides=TINY[rung] + common)
    budget = Budget.parse("10 steps")
    corpus = Corpus.open(corpus_path)
    return start(spec.with_budget(budget), corpus, out, seed=seed, device="cpu")


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return tmp_path_factory.mktemp("climb")


@pytest.fixture(scope="module")
def runs(corpus_path, out):
    """Two rungs with two seeds each, in a folder that a climb's ladder lists."""
    found = [train(rung, corpus_path, out, seed) for seed in (0, 1) for rung in ("v1", "v2")]
    rows = [{"run": run.path.name} for run in found]
    write_json(out / "ladder.json", {"schema_version": 1, "rungs": rows})
    return found


def rows_of(*arguments):
    table = json.loads(invoke(*arguments, "--json", "--device", "cpu"))
    assert table["schema_version"] == 2
    return table["rows"]


def test_two_runs_are_compared_as_these_runs(runs):
    v1, v2 = runs[:2]
    (row,) = rows_of(v1.path, v2.path)
    assert set(KEYS) <= set(row)
    assert (row["a"], row["b"], row["scope"]) == ("v1", "v2", "run")
    assert row["seeds"] == {"a": [0], "b": [0]}
    assert row["ci95"][0] < row["difference"] < row["ci95"][1]
    assert 0 < row["p_value"] <= 1
    assert set(row["by_source"]) == {"contos", "cartas"}
    figures = [read_json(run.layout.evaluation("test"))["bits_per_byte"] for run in (v1, v2)]
    assert row["difference"] == pytest.approx(figures[0] - figures[1])
    cost = row["cost"]["parameters"]
    assert (cost["a"], cost["b"]) == (v1.record.parameters, v2.record.parameters)
    (swapped,) = rows_of(v2.path, v1.path)
    assert swapped["difference"] == pytest.approx(-row["difference"])


def test_runs_that_differ_in_their_seed_are_one_recipe(runs):
    (row,) = rows_of(*(run.path for run in runs))
    assert row["scope"] == "recipe"
    assert row["seeds"] == {"a": [0, 1], "b": [0, 1]}


def test_a_climb_is_compared_as_its_ladder_asks(runs, out):
    (row,) = rows_of(out)
    assert (row["a"], row["b"], row["scope"]) == ("v2", "v1", "recipe")
    shown = invoke(out, "--device", "cpu")
    assert f"{row['difference']:+.4f}" in shown
    assert row["verdict"] in shown


def test_another_split_gives_other_figures(runs):
    paths = [run.path for run in runs[:2]]
    (test,), (validation,) = rows_of(*paths), rows_of(*paths, "--split", "validation")
    assert validation["split"] == "validation"
    assert validation["difference"] != test["difference"]


def test_perplexity_is_compared_between_runs_of_one_tokenizer_only(
    runs, corpus_path, tmp_path_factory
):
    paths = [run.path for run in runs[:2]]
    (row,) = rows_of(*paths, "--metric", "perplexity")
    assert row["metric"] == "perplexity"
    v4 = train("v4", corpus_path, tmp_path_factory.mktemp("v4"))
    error = refusal(runs[0].path, v4.path, "--metric", "perplexity")
    assert "different tokenizers" in str(error)
    assert "bits per byte" in str(error)
    assert len(rows_of(runs[0].path, v4.path)) == 1


def test_runs_of_different_corpora_are_refused(runs, tmp_path):
    from escada.text.preparation.prepare import prepare

    texts = [f"No dia {i}, a menina {i * 37} contou {i * 11} peixes no rio." for i in range(60)]
    source = tmp_path / "source.jsonl"
    lines = [json.dumps({"id": str(i), "text": text * 3}) for i, text in enumerate(texts)]
    source.write_text("\n".join(lines), encoding="utf-8")
    other = train("v2", prepare(str(source), tmp_path / "prepared").path, tmp_path / "runs")
    assert "different corpora" in str(refusal(runs[0].path, other.path))


def test_one_run_alone_is_refused(runs):
    assert f"only one run is named, {runs[0].name}" in str(refusal(runs[0].path))
    assert "the 2 runs named differ in their seeds only" in str(refusal(runs[0].path, runs[2].path))


def test_a_run_named_twice_is_refused(runs):
    assert "two runs of v1" in str(refusal(runs[0].path, runs[0].path))
