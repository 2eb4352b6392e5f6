"""What a run has lost is noticed or made good on resume; nothing begins again in silence."""

import shutil
from dataclasses import replace

import pytest
from tests.training.conftest import SMALL, last_hashes, spec_of, train_until

from escada.cost.sheet import read_sheet
from escada.errors import EscadaError
from escada.files import read_json
from escada.ladder.training import Training
from escada.runs.run import Run, find_runs, open_run
from escada.text.corpus import Corpus
from escada.training import run as training_run
from escada.training.run import resume, start


@pytest.fixture
def whole(corpus_path, tmp_path) -> Run:
    return start(spec_of("v1", 8), Corpus.open(corpus_path), tmp_path / "whole", device="cpu")


@pytest.fixture
def stopped(corpus_path, tmp_path, monkeypatch) -> Run:
    """A run that was stopped at its third step, before any validation, with a checkpoint."""
    run = train_until(corpus_path, tmp_path / "runs", monkeypatch, 3)
    assert run.record.step == 3
    return run


def test_an_index_that_is_gone_is_rebuilt_and_the_weights_are_the_same(whole, stopped):
    (stopped.layout.checkpoints / "index.json").unlink()
    assert last_hashes(resume(stopped.path)) == last_hashes(whole)


def test_checkpoints_that_are_gone_are_noticed_though_the_run_was_killed(stopped):
    stopped.update(status="training", step=None)  # as of a killed run, which noted no step
    shutil.rmtree(stopped.layout.checkpoints)
    with pytest.raises(EscadaError, match="the run's checkpoints are gone"):
        resume(stopped.path)


def test_a_log_that_lost_rows_is_refused(stopped):
    lines = stopped.layout.metrics.read_text().splitlines(keepends=True)
    assert len(lines) == 3
    stopped.layout.metrics.write_text("".join(lines[:1]))
    with pytest.raises(EscadaError, match="has 1 rows, at the last checkpoint it had 2"):
        resume(stopped.path)


def killed_before_the_sheet(run: Run) -> None:
    """As earlier versions left it, which wrote the record first."""
    sheet = read_json(run.layout.cost)
    run.layout.cost.write_text('{"schema_version": 2, "status": "training", "sessions": []}')
    assert sheet["status"] == "finished"


def test_a_finished_run_without_its_cost_sheet_is_completed_by_resume(whole):
    hashes = last_hashes(whole)
    with pytest.raises(EscadaError, match="the run is finished"):
        resume(whole.path)
    killed_before_the_sheet(whole)
    completed = resume(whole.path)
    assert completed.finished
    sheet = read_sheet(completed.layout.cost)
    assert sheet is not None
    assert (sheet.status, sheet.step) == ("finished", 8)
    assert last_hashes(completed) == hashes


def test_a_climb_completes_it_too(whole, corpus_path):
    training = Training(
        *("v1", "laptop", spec_of("v1", 8).train.budget, 0, Corpus.open(corpus_path)),
        *(whole.path.parent, "cpu", SMALL),
    )
    assert training.find() is not None
    said: list[str] = []
    commands: list[list[str]] = []

    class Launcher:
        def run(self, arguments: list[str]) -> int:
            commands.append(list(arguments))
            resume(whole.path)
            return 0

    training.run(said.append, Launcher())
    assert commands == []
    killed_before_the_sheet(whole)
    training.run(said.append, Launcher())
    assert commands[0][0] == "resume"
    assert read_sheet(whole.layout.cost) is not None
    killed_before_the_sheet(whole)
    replace(training, allow_differences=True).run(said.append, Launcher())
    assert commands[1] == [*commands[0], "--allow-differences"]


def test_the_sheet_is_written_before_the_record_says_finished(corpus_path, tmp_path, monkeypatch):
    def killed(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "write_sheet", killed)
    with pytest.raises(KeyboardInterrupt):
        start(spec_of("v1", 8), Corpus.open(corpus_path), tmp_path, device="cpu")
    monkeypatch.undo()
    (run,) = find_runs(tmp_path)
    assert not run.finished
    assert resume(run.path).finished


def test_a_continued_run_killed_before_it_had_its_checkpoint_goes_on(whole, corpus_path, tmp_path):
    spec, corpus = spec_of("v1", 4), Corpus.open(corpus_path)
    ahead = start(spec, corpus, tmp_path / "ahead", continued=whole, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_run, "carry_over", _stop)
        with pytest.raises(KeyboardInterrupt):
            start(spec, corpus, tmp_path / "killed", continued=whole, device="cpu")
    (run,) = find_runs(tmp_path / "killed")
    assert last_hashes(resume(run.path)) == last_hashes(ahead)
    assert open_run(run.path).record.step == 12


def _stop(*_arguments: object) -> None:
    raise KeyboardInterrupt
