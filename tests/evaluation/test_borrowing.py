"""A run's test figures borrow the variance between groups from its validation documents."""

import pytest

from escada.evaluation.ruler import read_scores
from escada.evaluation.statistics import FEW_GROUPS
from escada.evaluation.task import Subject, complete, read
from escada.evaluation.tasks import documents
from escada.evaluation.tasks.documents import TEST, VALIDATION, has_few_groups, summarise


def held_out(source, groups, documents_each=1):
    """Source and group of each document."""
    return [(source, f"g{g}") for g in range(groups) for _ in range(documents_each)]


def test_one_source_of_few_groups_is_enough_to_borrow():
    assert not has_few_groups(held_out("a", FEW_GROUPS) + held_out("b", FEW_GROUPS))
    assert has_few_groups(held_out("a", FEW_GROUPS) + held_out("b", FEW_GROUPS - 1))


def test_documents_of_one_group_count_once():
    assert has_few_groups(held_out("a", 3, documents_each=FEW_GROUPS))


@pytest.fixture
def run(corpus, tmp_path):
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.training.run import start

    sizes = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*sizes, "train.window_tokens=24"])
    return start(spec.with_budget(Budget.parse("5 steps")), corpus, tmp_path, device="cpu")


def summed_up(run, corpus, beside):
    found = summarise(
        read_scores(run.layout.document_scores("test")),
        run.tokenizer,
        profile=corpus.profile,
        corpus_hash=corpus.hash,
        split="test",
        beside=beside,
    )
    return found.to_json()


def test_test_documents_of_few_groups_borrow_from_validation(run, corpus):
    assert complete(Subject(run, corpus, device="cpu"), TEST)
    found = read(run, TEST).to_json()
    assert found["ci95_borrowed"] == ["cartas", "contos"]
    validation = read_scores(run.layout.document_scores("validation"))
    borrowed, alone = summed_up(run, corpus, validation), summed_up(run, corpus, None)
    assert found["ci95"] == pytest.approx(borrowed["ci95"])
    assert found["ci95"] != pytest.approx(alone["ci95"])
    assert found["bits_per_byte"] == pytest.approx(alone["bits_per_byte"])
    assert read(run, VALIDATION).to_json()["ci95_borrowed"] == [], "never the other way round"


def test_test_documents_of_many_groups_do_not(run, corpus, monkeypatch):
    monkeypatch.setattr(documents, "FEW_GROUPS", 1)
    complete(Subject(run, corpus, device="cpu"), TEST)
    assert read(run, TEST).to_json()["ci95_borrowed"] == []
    assert not run.layout.evaluation("validation").exists()
