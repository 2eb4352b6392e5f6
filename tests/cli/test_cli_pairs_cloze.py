"""`escada pairs` and `escada cloze` on a run of a few steps."""

import json
import sys

import pytest
import typer
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli.measure.cloze import cloze
from escada.cli.measure.evaluate import evaluate
from escada.cli.measure.pairs import pairs
from escada.errors import EscadaError
from escada.evaluation.baselines.cloze import most_frequent_word
from escada.evaluation.portuguese import agreement
from escada.evaluation.portuguese.agreement import Pair
from escada.evaluation.tasks import cloze as cloze_module
from escada.evaluation.tasks import minimal_pairs as pairs_module
from escada.files import read_json, read_json_lines
from escada.spec import load_spec
from escada.text.corpus import Corpus

app = typer.Typer()
for verb in (pairs, cloze, evaluate):
    app.command()(verb)


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def run(corpus_path, tmp_path_factory):
    from escada.training.run import start

    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=32"])
    out = tmp_path_factory.mktemp("runs")
    spec = spec.with_budget(Budget.parse("20 steps"))
    return start(spec, Corpus.open(corpus_path), out, device="cpu")


ROWS = [
    {"good": "A menina perdeu o livro.", "bad": "A meninas perdeu o livro.", "phenomenon": "noun"},
    {"good": "O vizinho vendeu a bicicleta.", "bad": "O vizinho venderam a bicicleta."},
]


@pytest.fixture
def pairs_file(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def test_pairs_of_a_file_give_the_promised_json(run, pairs_file):
    found = json.loads(invoke("pairs", run.path, "--file", pairs_file, "--json"))
    assert found["schema_version"] == 2
    assert found["pairs"] == 2
    assert 0 <= found["accuracy"] <= 1
    assert len(found["ci95"]) == 2
    assert {name: share["pairs"] for name, share in found["by_phenomenon"].items()} == {
        "all": 1,
        "noun": 1,
    }
    assert not run.layout.evaluation("pairs").exists()


def test_pairs_are_shown_with_chance_beside_them(run, pairs_file):
    shown = invoke("pairs", run.path, "--file", pairs_file)
    assert "2 pairs" in shown
    assert "0.5 is guessing" in shown


def test_pairs_without_a_file_need_the_default_corpus(run):
    with pytest.raises(EscadaError, match="--file"):
        invoke("pairs", run.path)


def test_built_pairs_are_scored_once_and_kept(run, monkeypatch):
    built = [Pair(**row, group=f"g{i}", source="s") for i, row in enumerate(ROWS)]
    monkeypatch.setattr(pairs_module, "agreement_pairs", lambda _corpus, **_: built)
    found = json.loads(invoke("pairs", run.path, "--json"))
    assert found == read_json(run.layout.evaluation("pairs"))
    assert found["corpus_hash"] == run.corpus_hash
    rows = read_json_lines(pairs_module.PAIRS.rows(run))
    assert [row["good"] for row in rows] == [row["good"] for row in ROWS]

    def never(*_arguments, **_options):
        raise AssertionError("scored again")

    with monkeypatch.context() as patch:
        patch.setattr(pairs_module, "score_pairs", never)
        assert json.loads(invoke("pairs", run.path, "--json")) == found
    built.append(Pair("Eles leem.", "Eles lê.", group="g3"))  # other pairs, another key
    assert json.loads(invoke("pairs", run.path, "--json"))["pairs"] == 3


def test_the_pairs_are_built_once_for_a_corpus_and_this_code(corpus, monkeypatch, tmp_path):
    monkeypatch.setenv("ESCADA_CACHE", str(tmp_path))
    monkeypatch.setattr(agreement, "check_corpus", lambda _corpus: None)
    monkeypatch.setattr(agreement.dante, "wheel_path", lambda path: path)
    built = [Pair("A falha é.", "A falha são.", "verb", True, "s", "g", "1", "test", "Sing")]
    monkeypatch.setattr(agreement, "build_pairs", lambda _corpus, _wheel: built)
    assert agreement.agreement_pairs(corpus) == built
    path = agreement.pairs_path(corpus)
    assert path.parent == tmp_path / "pairs"
    (row,) = read_json_lines(path)
    assert row == {
        "good": "A falha é.",
        "bad": "A falha são.",
        "phenomenon": "verb",
        "attractor": True,
        "source": "s",
        "group": "g",
        "id": "1",
        "split": "test",
        "value": "Sing",
    }
    monkeypatch.setattr(agreement, "build_pairs", lambda _corpus, _wheel: [])
    assert agreement.agreement_pairs(corpus) == built


def test_cloze_of_the_test_split_is_scored_once_and_kept(run, corpus, monkeypatch):
    monkeypatch.setattr(cloze_module, "LEAST_CHARACTERS", 60)
    items = cloze_module.cloze_items(corpus.documents("test"))
    assert len(items) >= 5
    found = json.loads(invoke("cloze", run.path, "--json"))
    assert found["items"] == len(items)
    assert found["split"] == "test"
    assert found["bits_per_word_ci95"][0] < found["bits_per_word"] < found["bits_per_word_ci95"][1]
    kept = read_json(run.layout.evaluation("cloze"))
    assert {key: value for key, value in found.items() if key != "baselines"} == kept

    def never(*_arguments, **_options):
        raise AssertionError("scored again")

    monkeypatch.setattr(cloze_module, "score_cloze", never)
    assert json.loads(invoke("cloze", run.path, "--json")) == found


def test_what_one_gets_at_the_cloze_without_reading_stands_below(run, corpus, monkeypatch):
    monkeypatch.setattr(cloze_module, "LEAST_CHARACTERS", 60)
    items = cloze_module.cloze_items(corpus.documents("test"))
    word = most_frequent_word(corpus)
    expected = f"{sum(item.word == word for item in items) / len(items):.2%}"
    said = invoke("cloze", run.path)
    assert f'words written by a baseline, always "{word}": {expected}' in said
    assert "words written by a baseline, the last repeated word: " in said
    assert "Kneser-Ney" not in said


@pytest.mark.parametrize(("hash_of", "shown"), [(lambda run: run.corpus_hash, True), (str, False)])
def test_the_n_gram_model_of_the_runs_climb_stands_there_too(
    run, corpus, monkeypatch, hash_of, shown
):
    monkeypatch.setattr(cloze_module, "LEAST_CHARACTERS", 60)
    items = cloze_module.cloze_items(corpus.documents("test"))
    row = {"key": "kneser_ney", "name": "character Kneser-Ney n-grams", "accuracy": 0.25}
    row |= {"ci95": [0.125, 0.5], "items": len(items)}
    ladder = {"corpus": {"hash": hash_of(run)}, "cloze_baselines": [row]}
    path = run.path.parent / "ladder.json"
    path.write_text(json.dumps(ladder))
    said = invoke("cloze", run.path)
    path.unlink()
    assert ("Kneser-Ney n-grams: 25.00%  [12.50%, 50.00%]" in said) == shown


def test_cloze_of_a_file_stores_nothing(run, tmp_path):
    file = tmp_path / "calame.jsonl"
    file.write_text('{"id": 1, "sentence": "A menina perdeu o livro", "last_word": "azul"}\n')
    before = sorted(run.path.rglob("*"))
    found = json.loads(invoke("cloze", run.path, "--file", file, "--json"))
    assert (found["items"], found["ci95"]) == (1, None)
    assert "bits per word" in invoke("cloze", run.path, "--file", file)
    assert sorted(run.path.rglob("*")) == before


def test_another_corpus_than_the_runs_is_refused(run, tmp_path):
    from escada.text.preparation.prepare import prepare

    source = tmp_path / "other.jsonl"
    rows = [{"text": f"Este é o texto de número {i}, e há outros {i * i}."} for i in range(40)]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = prepare(str(source), tmp_path / "other")
    for name in ("pairs", "cloze"):
        with pytest.raises(EscadaError, match="not the corpus that the run was trained on"):
            invoke(name, run.path, "--data", other.path)


def test_evaluate_without_lm_eval_says_how_to_install_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    monkeypatch.setitem(sys.modules, "lm_eval.api", None)
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    monkeypatch.delitem(sys.modules, "escada.evaluation.tasks.lm_eval", raising=False)
    with pytest.raises(EscadaError, match=r"escada\[lm-eval\]"):
        invoke("evaluate", run.path, "--lm-eval", "lambada_openai_mt_stablelm_pt")
    sys.modules.pop("escada.evaluation.tasks.lm_eval", None)
