"""Who evaluates a run while it is trained gets figures of one checkpoint, and disturbs nothing."""

from pathlib import Path

import pytest
from tests.faults.conftest import COMMON, only_run, state
from tests.faults.table import FULL, outcomes
from tests.processes import Escada, escada

from escada.evaluation.task import Subject, complete
from escada.evaluation.tasks.documents import Documents
from escada.files import read_json
from escada.runs.checkpoint import weights_sha256
from escada.runs.run import open_run
from escada.text.corpus import Corpus

pytestmark = pytest.mark.slow
TRAININGS = 5 if FULL else 1


def train(corpus: Path, out: Path) -> list[object]:
    common = ["--budget", "300 steps", "--data", corpus, *COMMON, "--out", out]
    return ["train", "v2", *common, "--set", "train.validations=100"]


class Meanwhile(Documents):
    """The test documents, under a name of its own: the training itself writes no such file."""

    def __init__(self, number: int) -> None:
        super().__init__("test", f"meanwhile-{number}")


def test_figures_are_of_one_checkpoint_and_the_training_is_as_if_alone(corpus_path, tmp_path):
    assert escada(train(corpus_path, tmp_path / "alone")).returncode == 0
    alone, corpus = state(only_run(tmp_path / "alone")), Corpus.open(corpus_path)
    found = outcomes("`evaluate` of a run that is being trained")
    for training in range(TRAININGS):
        out = tmp_path / str(training)
        process = Escada(train(corpus_path, out))
        while not list(out.glob("*/checkpoints/index.json")):
            assert process.poll() is None, process.communicate()
        figures: dict[str, set[float]] = {}
        number = 0
        while process.poll() is None:
            number += 1
            run = open_run(only_run(out).path)
            task = Meanwhile(number)
            complete(Subject(run, corpus, which="last", device="cpu"), task)
            stored = read_json(task.path(run))
            figures.setdefault(stored["weights_sha256"], set()).add(stored["bits_per_byte"])
        assert process.wait() == 0
        run = only_run(out)
        last = Meanwhile(0)
        complete(Subject(open_run(run.path), corpus, which="last", device="cpu"), last)
        final = read_json(last.path(run))
        assert final["weights_sha256"] == weights_sha256(run.layout.checkpoints, "last")
        figures.setdefault(final["weights_sha256"], set()).add(final["bits_per_byte"])
        right = all(len(of_one) == 1 for of_one in figures.values()) and state(run) == alone
        found["survived" if right else "wrong"] += number
        assert right, figures
        assert number > 1
