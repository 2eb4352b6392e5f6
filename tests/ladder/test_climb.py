"""When a climb compares its runs: once for each run that is new, else once."""

from types import SimpleNamespace

import pytest

from escada.errors import EscadaError
from escada.evaluation.baselines.corpus_controls import CorpusControls
from escada.files import read_json
from escada.ladder import climb as module
from escada.ladder.climb import Plan, climb
from escada.ladder.training import Training
from escada.report.schema import Ladder

ROW = {"status": "finished", "run": "r", "tokenizer": {"kind": "bpe", "vocab_size": 4}}


@pytest.mark.parametrize(
    ("measured", "compared"),
    [((), [3]), (("v1",), [1, 3]), (("v2", "v3"), [2, 3]), (("v3",), [3])],
)
def test_runs_are_compared_where_one_is_new_and_at_the_end(
    tmp_path, monkeypatch, measured, compared
):
    counts = []

    def ladder(plan, controls, runs, rows):
        counts.append(len(runs))
        return Ladder(schema_version=1, rungs=[ROW | {"name": name} for name in rows])

    of_rung = {
        "measure_run": lambda run, *_, **__: run in measured,
        "rung_row": lambda run, *_: run,
    }
    for name, stub in of_rung.items():
        monkeypatch.setattr(module, name, stub)
    monkeypatch.setattr(Training, "run", lambda self, *_: self.rung)
    monkeypatch.setattr(module, "_ladder", ladder)
    monkeypatch.setattr(module, "read_controls", lambda *_: CorpusControls())
    monkeypatch.setattr(module, "check_trainings", lambda _: None)
    corpus = SimpleNamespace(hash="c")
    plan = Plan(["v1", "v2", "v3"], "laptop", None, corpus, tmp_path, device="cpu")
    climb(plan, lambda _: None)
    assert counts == compared
    written = read_json(tmp_path / "ladder.json")["rungs"]
    assert [row["name"] for row in written] == ["v1", "v2", "v3"]


def test_a_training_under_another_key_than_expected_says_that_the_code_changed(tmp_path):
    corpus = SimpleNamespace(hash="0" * 64, path=tmp_path)
    training = Training("v1", "laptop", None, 0, corpus, tmp_path)
    with pytest.raises(EscadaError, match=r"another key than expected.*code changed"):
        training.run(lambda line: None, SimpleNamespace(run=lambda command: 0))
