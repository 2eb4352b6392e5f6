"""A run of a few steps, for the verbs that read one."""

import pytest

from escada.budget import Budget
from escada.spec import load_spec


@pytest.fixture(scope="module")
def run(corpus_path, tmp_path_factory):
    from escada.text.corpus import Corpus
    from escada.training.run import start

    overrides = ["model.d_hidden=24", "model.d_embedding=12", "train.batch_sequences=4"]
    spec = load_spec("v1", preset="laptop", overrides=[*overrides, "train.window_tokens=32"])
    out = tmp_path_factory.mktemp("runs")
    return start(
        spec.with_budget(Budget.parse("20 steps")), Corpus.open(corpus_path), out, device="cpu"
    )
