"""The sample of the training documents: fixed, of the size wanted, and never the whole split."""

from collections import namedtuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.evaluation.sampling import document_sample
from escada.evaluation.task import Subject, complete
from escada.evaluation.tasks.documents import TRAIN_SAMPLE, TRAINING, Documents
from escada.files import content_hash, read_json
from escada.text.documents import Document

Held = namedtuple("Held", "documents")
"""As much of a corpus as the sample reads."""


def in_order_of_hash(documents, wanted_bytes):
    """The plain way: sort all, take until there is enough."""
    sample, held = [], 0
    for document in sorted(documents, key=lambda d: content_hash(d.id)):
        if held >= wanted_bytes:
            break
        sample.append(document)
        held += len(document.text.encode("utf-8"))
    return sample


@given(st.lists(st.sampled_from(["", "a", "ção", "um texto mais longo"])), st.integers(1, 60))
def test_streaming_gives_what_sorting_all_would_give(texts, wanted_bytes):
    documents = [Document(f"d{i}", "s", f"g{i}", text) for i, text in enumerate(texts)]
    corpus = Held(lambda split: iter(documents))
    expected = in_order_of_hash(documents, wanted_bytes)
    assert document_sample(corpus, "train", wanted_bytes) == expected
    backwards = Held(lambda split: reversed(documents))
    assert document_sample(backwards, "train", wanted_bytes) == expected


@pytest.fixture(scope="module")
def run(corpus_path, tmp_path_factory):
    from escada.budget import Budget
    from escada.spec import load_spec
    from escada.text.corpus import Corpus
    from escada.training.run import start

    sizes = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*sizes, "train.window_tokens=24"])
    out = tmp_path_factory.mktemp("runs")
    return start(
        spec.with_budget(Budget.parse("10 steps")), Corpus.open(corpus_path), out, device="cpu"
    )


def test_the_sample_is_measured_once_and_kept_apart_from_the_whole_split(run, corpus):
    assert complete(Subject(run, corpus, device="cpu"), TRAINING)
    assert not complete(Subject(run, corpus, device="cpu"), TRAINING)
    sample = read_json(run.layout.evaluation(TRAIN_SAMPLE))
    assert sample["split"] == "train"
    longest = max(len(d.text.encode("utf-8")) for d in corpus.documents("train"))
    held_out = corpus.text_bytes("validation")
    assert held_out <= sample["bytes"] < held_out + longest < corpus.text_bytes("train")
    assert not run.layout.evaluation("train").exists()
    assert complete(Subject(run, corpus, device="cpu"), Documents("train"))
    whole = read_json(run.layout.evaluation("train"))
    assert whole["bytes"] == corpus.text_bytes("train")
    assert whole["key"] != sample["key"]
    assert read_json(run.layout.evaluation(TRAIN_SAMPLE)) == sample
