"""A run of a mixture from its training to the figures of its parts."""

from __future__ import annotations

import pytest
import torch

from escada.budget import Budget
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.evaluation.task import Subject, shown_figures
from escada.evaluation.tasks.mixture_parts import PARTS
from escada.runs.checkpoint import weights_of
from escada.runs.run import Run
from escada.spec import Spec, load_spec
from escada.text.corpus import Corpus
from escada.training.run import resume, start

SMALL = [
    "tokenizer.vocab_size=400",
    *("model.d_model=16", "model.d_ff=16", "model.n_layers=1", "model.table_rows=64"),
    *("train.window_tokens=32", "train.validations=2", "train.validation_bytes=500"),
]


def spec() -> Spec:
    loaded = load_spec("v_next_counts", preset="laptop", overrides=SMALL)
    return loaded.with_budget(Budget.parse("20 steps"))


@pytest.fixture(scope="module")
def corpus(corpus_path) -> Corpus:
    return Corpus.open(corpus_path)


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory) -> Run:
    return start(spec(), corpus, tmp_path_factory.mktemp("runs"), device="cpu")


def test_each_part_is_what_the_ruler_says_of_it_alone(run, corpus):
    subject = Subject(run, corpus, device="cpu")
    found = subject.need(PARTS).parts
    assert set(found) == {"network", "counts"}
    documents = list(corpus.documents("test"))
    for name, part in subject.model.parts().items():
        expected = bits_per_byte(score_documents(part, run.tokenizer, documents))
        assert found[name].bits_per_byte == expected
    assert [figure.name for figure in shown_figures(run)["parts"]] == list(found)


def test_a_resumed_training_counts_the_same_text_and_ends_alike(run, corpus, tmp_path):
    from escada.training.loop import Interrupted, Training

    steps = []

    def step(self, original=Training.step):
        steps.append(self.state.step)
        if len(steps) == 13:
            raise Interrupted(self.run.path)
        original(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "step", step)
        with pytest.raises(Interrupted):
            start(spec(), corpus, tmp_path, device="cpu")
    (path,) = tmp_path.glob("*v_next_counts*")
    resumed = resume(path)
    assert len(steps) == 13  # the checkpoint of step 10 was gone on from
    ends = [weights_of(done.load_model("last")) for done in (run, resumed)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
