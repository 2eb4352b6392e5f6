"""Every task at every kept step: the same figures as of a finished run, and nothing twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import escada
from escada.budget import Budget
from escada.cli import app
from escada.errors import EscadaError
from escada.evaluation.portuguese.agreement import Pair
from escada.evaluation.task import Subject, climb_tasks, complete, evaluate, read
from escada.evaluation.tasks import minimal_pairs
from escada.evaluation.tasks.acquisition import (
    ACQUISITION,
    DOCUMENTS,
    curves,
    lexicon_estimate,
)
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.evaluation.tasks.samples import SAMPLES, SampleRow
from escada.files import read_json
from escada.models.contract import LanguageModel
from escada.runs.kept import at_step, kept_in
from escada.runs.run import Run, open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.run import start

STEPS = 9
SMALL = ["model.d_hidden=12", "model.d_embedding=8", "train.batch_sequences=4", "train.keep=log"]
PAIR_TEXTS = [("a menina viu", "o menina viu"), ("o rio corre", "a rio corre")]


def pairs() -> list[Pair]:
    made = [
        {
            "phenomenon": "determiner_noun_gender",
            "good": good,
            "bad": bad,
            "source": "contos",
            "group": f"g{i}",
        }
        for i, (good, bad) in enumerate(PAIR_TEXTS)
    ]
    names = Pair.__dataclass_fields__
    blank = dict.fromkeys(names, "") | {"attractor": False}
    return [Pair(**{k: v for k, v in (blank | one).items() if k in names}) for one in made]


@pytest.fixture(autouse=True)
def with_pairs(monkeypatch):
    """The corpus of the tests has no treebank, so it is given pairs."""
    monkeypatch.setattr(minimal_pairs, "has_pairs", lambda corpus: True)
    monkeypatch.setattr(minimal_pairs, "agreement_pairs", lambda *_, **__: pairs())


@pytest.fixture(scope="module")
def trained(corpus_path, tmp_path_factory) -> Path:
    spec = load_spec("v1", preset="laptop", overrides=[*SMALL, "train.window_tokens=24"])
    spec = spec.with_budget(Budget.parse(f"{STEPS} steps"))
    out = tmp_path_factory.mktemp("runs")
    return start(spec, Corpus.open(corpus_path), out, device="cpu").path


@pytest.fixture
def run(trained, tmp_path) -> Run:
    return open_run(Path(shutil.copytree(trained, tmp_path / trained.name)))


@pytest.fixture
def subject(run, corpus) -> Subject:
    return Subject(run, corpus, device="cpu")


def test_the_last_kept_step_has_the_figures_of_the_finished_run(run, corpus, subject):
    found = subject.need(ACQUISITION)
    assert [one.step for one in found.steps] == kept_in(run)
    last, whole = found.steps[-1], Subject(run, corpus, "last", "cpu")
    complete(whole, DOCUMENTS)
    complete(whole, PAIRS)
    complete(whole, SAMPLES)
    assert last.bits_per_byte == read(run, DOCUMENTS).bits_per_byte
    assert last.ci95 == read(run, DOCUMENTS).ci95
    assert last.agreement == read(run, PAIRS).by_phenomenon
    assert last.lexicon_share == pytest.approx(read(run, SAMPLES).lexicon_share)
    assert found.steps[0].bits_per_byte != last.bits_per_byte
    assert (last.tokens, last.flops) == (run.record.training_tokens, run.record.training_flops)


def test_results_of_a_step_lie_apart_and_leave_the_run_s_own_alone(run, subject):
    evaluate(subject, [PAIRS])
    before = read_json(PAIRS.path(run))
    subject.need(ACQUISITION)
    assert read_json(PAIRS.path(run)) == before
    at = at_step(run, 3)
    stored = read_json(PAIRS.path(at))
    assert PAIRS.path(at).parent == run.path / "evaluation" / "kept" / "step-00000003"
    assert stored["weights_sha256"] == at.weights_sha256("last") != before["weights_sha256"]
    assert at.layout.samples.parent == PAIRS.path(at).parent


def test_only_what_is_missing_is_measured(run, corpus, subject, monkeypatch):
    subject.need(ACQUISITION)
    assert evaluate(Subject(run, corpus, device="cpu"), [ACQUISITION]) == []
    PAIRS.path(at_step(run, 3)).unlink()
    ACQUISITION.path(run).unlink()
    loaded: list[int] = []
    load = type(at_step(run, 3)).load_model

    def noted(self, *options) -> LanguageModel:
        loaded.append(self.step)
        return load(self, *options)

    monkeypatch.setattr(type(at_step(run, 3)), "load_model", noted)
    Subject(run, corpus, device="cpu").need(ACQUISITION)
    assert loaded == [3]


def test_other_kept_weights_are_measured_again(run, corpus, subject):
    subject.need(ACQUISITION)
    about = run.layout.checkpoints / "kept" / "step-00000003" / "kept.json"
    table = {k: v for k, v in read_json(about).items() if k != "content_sha256"}
    about.write_text(json.dumps(table | {"sha256": "0" * 64}))
    assert not ACQUISITION.is_done(Subject(run, corpus, device="cpu"))


def test_a_run_that_kept_nothing_and_a_kept_step_have_no_curves(run, corpus):
    at = Subject(at_step(run, 3), corpus, device="cpu")
    assert not ACQUISITION.applies(at)
    shutil.rmtree(run.layout.checkpoints / "kept")
    assert not ACQUISITION.applies(Subject(run, corpus, device="cpu"))
    assert ACQUISITION in climb_tasks()


def test_the_lexicon_s_interval_is_over_prompts():
    texts = ["o rio corre", "a casa azul", "xqzk o wvb", "o dia e a noite"]
    samples = [
        SampleRow(prompt_id=str(i), prompt="Era ", text=text, finished=True)
        for i, text in enumerate(texts)
    ]
    found = lexicon_estimate(samples)
    assert found.value == pytest.approx(12 / 14)
    assert found.groups == 4
    low, high = found.ci95
    assert low < 12 / 14 < high
    assert lexicon_estimate([SampleRow(prompt_id="0", prompt="", text="1 2")]).value == 0


def test_python_gets_a_row_per_step_and_measure(run, corpus_path):
    rows = escada.load(run.path).acquisition(data=corpus_path)
    assert {row["step"] for row in rows} == set(kept_in(run))
    measures = {(row["measure"], row["of"]) for row in rows}
    assert ("agreement", "determiner_noun_gender") in measures
    assert ("bits_per_byte", "all") in measures
    assert ("lexicon_share", "samples") in measures
    assert list(rows) == list(curves(read(run, ACQUISITION)))
    shutil.rmtree(run.layout.checkpoints / "kept")
    with pytest.raises(EscadaError, match=r"train\.keep=log"):
        escada.load(run.path).acquisition(data=corpus_path)


def evaluate_verb(*arguments):
    return CliRunner().invoke(app, ["evaluate", *map(str, arguments)])


def test_the_verb_prints_a_row_per_step_and_json(run, corpus_path):
    common = (run.path, "--kept", "--data", corpus_path, "--device", "cpu")
    done = evaluate_verb(*common)
    assert done.exit_code == 0, done.output
    assert done.output.count("%") >= 2 * len(kept_in(run))
    table = json.loads(evaluate_verb(*common, "--json").stdout)
    assert len(table["steps"]) == len(kept_in(run))
    named = evaluate_verb(*common, "--task", "samples", "--task", "validation")
    assert named.exit_code == 0, named.output
    shown = [line for line in named.stdout.splitlines() if "bits_per_byte" in line]
    assert len(shown) == len(kept_in(run))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--kept", "--split", "train"), "--kept measures a run's own steps"),
        (("--kept", "--task", "acquisition"), "no such task at a kept step"),
    ],
)
def test_what_cannot_be_measured_at_kept_steps_is_one_line(run, corpus_path, arguments, words):
    done = evaluate_verb(run.path, "--data", corpus_path, *arguments)
    assert isinstance(done.exception, EscadaError) or done.exit_code == 2
    assert words in f"{done.exception} {done.output}"


def test_a_run_without_kept_weights_says_how_to_get_them(run, corpus_path):
    shutil.rmtree(run.layout.checkpoints / "kept")
    done = evaluate_verb(run.path, "--data", corpus_path, "--kept")
    assert "train it with --set train.keep=log" in f"{done.exception} {done.output}"
