"""A task from outside the package: found, evaluated once, kept with its key, shown."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from escada.budget import Budget
from escada.cli import app
from escada.errors import EscadaError
from escada.evaluation import task as tasks
from escada.evaluation.task import (
    Subject,
    climb_tasks,
    complete,
    evaluate,
    find_tasks,
    read,
)
from escada.evaluation.tasks.documents import TEST, VALIDATION
from escada.evaluation.tasks.samples import SAMPLES
from escada.files import read_json
from escada.report.writers.card import card_text
from escada.runs.checkpoint import weights_sha256
from escada.runs.run import Run, open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training.run import start

VOWELS = '''
"""How many of a run's sample characters are vowels."""

from escada.evaluation.task import Figure, Result, Task
from escada.evaluation.tasks.samples import SAMPLES


class Vowels(Result):
    share: float

    def figures(self):
        return [Figure(name="vowels", value=self.share, unit="share")]


class CountVowels(Task):
    name = "vowels"
    result = Vowels

    def evaluate(self, subject):
        text = "".join(sample.text for sample in subject.need(SAMPLES).samples)
        return Vowels(share=sum(text.count(vowel) for vowel in "aeiou") / max(1, len(text)))


TASKS = (CountVowels(),)
'''


@pytest.fixture(scope="module")
def run(corpus_path, tmp_path_factory) -> Run:
    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.window_tokens=32"]
    spec = load_spec("v1", preset="laptop", overrides=overrides)
    out = tmp_path_factory.mktemp("runs")
    budget, corpus = Budget.parse("5 steps"), Corpus.open(corpus_path)
    return start(spec.with_budget(budget), corpus, out, device="cpu")


@pytest.fixture
def vowels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_vowels.py").write_text(VOWELS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_vowels", raising=False)
    return "my_vowels"


def test_a_task_of_ones_own_is_evaluated_kept_and_shown(run, corpus, vowels):
    answer = CliRunner().invoke(
        app, ["evaluate", str(run.path), "--task", vowels], catch_exceptions=False
    )
    assert answer.exit_code == 0, answer.output
    (mine,) = find_tasks(vowels)
    share = read(run, mine).share
    assert 0 < share < 1
    assert f"vowels {share:.4f} share" in answer.stdout
    assert f"| vowels | vowels | {share:.4f} share | none |" in card_text(run)
    subject = Subject(run, corpus, device="cpu")
    assert evaluate(subject, (mine,)) == [], "it is done"


def test_another_code_of_the_task_is_evaluated_again(run, corpus, vowels, tmp_path, monkeypatch):
    from escada import code_hash

    subject = Subject(run, corpus, device="cpu")
    (mine,) = find_tasks(vowels)
    complete(subject, mine)
    file = tmp_path / "my_vowels.py"
    for text, again in (
        (VOWELS.replace("How many", "How very many"), False),
        (VOWELS.replace("aeiou", "aeio"), True),
    ):
        file.write_text(text)
        code_hash.bare_code.cache_clear()
        assert mine.is_done(subject) is not again


def test_the_model_is_loaded_once_for_all_that_is_due(run, corpus, monkeypatch):
    loaded = []
    load = Run.load_model
    monkeypatch.setattr(
        Run, "load_model", lambda self, *args: loaded.append(args) or load(self, *args)
    )
    for task in (TEST, VALIDATION, SAMPLES):
        task.path(run).unlink(missing_ok=True)
    subject = Subject(run, corpus, device="cpu")
    done = evaluate(subject, (VALIDATION, TEST, SAMPLES))
    assert done == ["validation", "test", "samples"]
    assert len(loaded) == 1
    assert evaluate(Subject(run, corpus, device="cpu"), (VALIDATION, TEST, SAMPLES)) == []
    assert len(loaded) == 1, "nothing is loaded where nothing is due"


def test_a_result_is_of_the_weights_that_were_loaded_whatever_a_training_saves_meanwhile(
    run, corpus, monkeypatch, tmp_path
):
    own = open_run(Path(shutil.copytree(run.path, tmp_path / "run")))
    shutil.rmtree(own.path / "evaluation", ignore_errors=True)
    loaded = weights_sha256(own.layout.checkpoints, "best")
    load = Run.load_model

    def and_a_training_saves(run: Run, *options: object):
        model = load(run, *options)
        facts = next(run.layout.checkpoints.glob("step-*/checkpoint.json"))
        hashes = {f"{name}.safetensors": "0" * 64 for name in ("model", "training")}
        facts.write_text(json.dumps(read_json(facts) | {"sha256": hashes}), encoding="utf-8")
        return model

    monkeypatch.setattr(Run, "load_model", and_a_training_saves)
    subject = Subject(own, corpus, device="cpu")
    key = VALIDATION.key(subject)
    complete(subject, VALIDATION)
    stored = read_json(VALIDATION.path(own))
    assert weights_sha256(own.layout.checkpoints, "best") == "0" * 64
    assert stored["weights_sha256"] == loaded
    assert stored["key"] == key
    assert VALIDATION.is_done(subject)
    assert not VALIDATION.is_done(Subject(open_run(own.path), corpus, device="cpu"))


def test_a_climb_has_its_tasks():
    names = {task.name for task in climb_tasks()}
    wanted = {"validation", "test", "train-sample", "samples", "guardrails", "pairs", "cloze"}
    assert names == {*wanted, "parts", "acquisition"}


def test_a_result_keeps_what_it_was_made_of(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    stored = read_json(TEST.path(run))
    assert stored["weights"] == "best"
    assert stored["weights_sha256"] == weights_sha256(run.layout.checkpoints, "best")
    assert stored["bits_per_byte"] == read(run, TEST).bits_per_byte


def test_an_unknown_task_and_a_module_without_tasks_are_named(tmp_path, monkeypatch):
    with pytest.raises(EscadaError, match=r"unknown task 'clozze'.*cloze"):
        find_tasks("clozze")
    with pytest.raises(EscadaError, match="offers no TASKS"):
        find_tasks("json.tool")


def test_a_figure_of_other_weights_is_not_shown(run, corpus, vowels):
    (mine,) = find_tasks(vowels)
    complete(Subject(run, corpus, device="cpu"), mine)
    table = read_json(mine.path(run))
    assert "vowels" in tasks.shown_figures(run)
    mine.path(run).write_text(json.dumps(table | {"weights_sha256": "0" * 64}))
    assert tasks.shown_figures(run) == {}


def test_a_task_with_the_name_of_ours_is_refused(vowels, tmp_path):
    file = tmp_path / "my_vowels.py"
    file.write_text(VOWELS.replace('name = "vowels"', 'name = "test"'))
    with pytest.raises(EscadaError, match="name of one of escada's own"):
        find_tasks(vowels)


def test_asking_whether_guardrails_are_done_makes_no_samples(run, corpus):
    run.layout.samples.unlink(missing_ok=True)
    (guardrails,) = find_tasks("guardrails")
    assert not guardrails.is_done(Subject(run, corpus, device="cpu"))
    assert not run.layout.samples.exists()


def test_a_damaged_result_is_named_with_its_key(run, corpus):
    complete(Subject(run, corpus, device="cpu"), TEST)
    path = TEST.path(run)
    table = read_json(path)
    path.write_text(json.dumps(table | {"ci95": [2.0, 1.0]}))
    with pytest.raises(EscadaError, match=r"ci95.*upside down"):
        read(run, TEST)
    path.unlink()
