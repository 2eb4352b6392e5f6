"""The grid of `escada scale`: what is predicted when, and what a rerun leaves alone.

Trainings and figures are made up; `tests/e2e/test_scale.py` has real ones.
"""

from types import SimpleNamespace

import pytest

from escada.errors import EscadaError
from escada.evaluation.tasks.documents import TokenizerOf
from escada.files import read_json
from escada.ladder import grid as module
from escada.ladder.grid import Plan, scale
from escada.ladder.training import Training, TrainingInterrupted
from escada.report.data import read_scale


class World:
    """Stands for trainings and the ruler: which runs there are, and what each comes to."""

    def __init__(self, out):
        self.out, self.done, self.trained, self.stop_at = out, set(), [], None
        self.bits = lambda training: 30 * training.budget.amount**-0.1 + training.seed / 1000
        self.seen_before_largest = None

    def run(self, training, say):
        if training.key not in self.done:
            if training.budget.amount == self.stop_at:
                raise TrainingInterrupted
            if training.budget.amount == 9e12 and self.seen_before_largest is None:
                self.seen_before_largest = read_scale(self.out)
            self.done.add(training.key)
            self.trained.append((training.rung, training.budget.amount, training.seed))
        flops = training.budget.amount
        record = SimpleNamespace(
            training_flops=flops, parameters=7, key=training.key, spec_hash=training.spec.hash
        )
        return SimpleNamespace(record=record, seed=training.seed, name="r", training=training)


@pytest.fixture
def world(tmp_path, monkeypatch):
    world = World(tmp_path)
    monkeypatch.setattr(Training, "run", lambda self, say: world.run(self, say))
    monkeypatch.setattr(Training, "find", lambda self: self.key in world.done or None)
    monkeypatch.setattr(module, "check_trainings", lambda _: None)
    monkeypatch.setattr(module, "evaluate", lambda *_: None)
    monkeypatch.setattr(module, "Subject", lambda *_, **__: None)
    monkeypatch.setattr(
        module,
        "read",
        lambda run, _: SimpleNamespace(
            bits_per_byte=world.bits(run.training),
            ci95=None,
            tokenizer=TokenizerOf(kind="bpe", vocab_size=4),
            protocol="document/half-window",
        ),
    )
    return world


def plan(out, *rungs, flops=(1e12, 3e12, 9e12), seeds=(0, 1), sizes=("",), corpus="c"):
    manifest = SimpleNamespace(source="s")
    return Plan(
        rungs=rungs or ("v1",),
        preset="laptop",
        flops=flops,
        corpus=SimpleNamespace(hash=corpus, manifest=manifest, path=out),
        out=out,
        seeds=seeds,
        sizes=dict.fromkeys(rungs or ("v1",), sizes),
    )


def quietly(_):
    pass


def test_the_largest_budget_is_predicted_before_it_is_trained(world, tmp_path):
    found = scale(plan(tmp_path), quietly)
    (written,) = world.seen_before_largest.predictions
    assert (written.flops, written.measured, written.before) == (9e12, None, True)
    assert len(world.seen_before_largest.runs) == 4
    (one,) = found.predictions
    assert one.model_copy(update={"measured": None}) == written
    assert one.measured == pytest.approx(30 * 9e12**-0.1 + 0.0005)
    assert abs(one.error) < 0.01
    assert one.ci95[0] < one.measured < one.ci95[1]
    assert found == read_scale(tmp_path)


def test_a_rerun_trains_nothing_and_writes_the_same(world, tmp_path):
    scale(plan(tmp_path), quietly)
    written, trained = (tmp_path / "scale.json").read_bytes(), list(world.trained)
    scale(plan(tmp_path), quietly)
    assert world.trained == trained
    assert (tmp_path / "scale.json").read_bytes() == written


def test_a_prediction_is_not_made_again_with_hindsight(world, tmp_path):
    (before,) = scale(plan(tmp_path), quietly).predictions
    (after,) = scale(plan(tmp_path, flops=(1e12, 2e12, 3e12, 9e12)), quietly).predictions
    assert after == before
    old = world.bits
    world.bits = lambda training: old(training) * (1 if training.budget.amount > 8e12 else 1.1)
    (after,) = scale(plan(tmp_path), quietly).predictions
    assert after == before


def test_before_the_largest_run_begins_more_budgets_may_improve_its_prediction(world, tmp_path):
    world.stop_at = 9e12
    with pytest.raises(TrainingInterrupted):
        scale(plan(tmp_path), quietly)
    (first,) = read_scale(tmp_path).predictions
    with pytest.raises(TrainingInterrupted):
        scale(plan(tmp_path, flops=(1e12, 2e12, 3e12, 9e12)), quietly)
    (second,) = read_scale(tmp_path).predictions
    assert (len(first.fitted), len(second.fitted)) == (4, 6)
    assert second.before


def test_what_is_fitted_after_the_run_is_not_called_a_prediction(world, tmp_path):
    scale(plan(tmp_path), quietly)
    (tmp_path / "scale.json").unlink()
    (one,) = scale(plan(tmp_path), quietly).predictions
    assert one.before is False


def test_predictions_of_earlier_grids_in_the_folder_are_kept(world, tmp_path):
    scale(plan(tmp_path), quietly)
    found = scale(plan(tmp_path, flops=(1e12, 3e12, 9e12, 3e13)), quietly)
    assert [one.flops for one in found.predictions] == [9e12, 3e13]
    assert all(one.before and one.measured for one in found.predictions)


def test_the_best_size_of_a_budget_is_that_of_the_lowest_mean(world, tmp_path):
    sizes = ("model.d_hidden=32", "model.d_hidden=64")

    def bits(training):
        wide, large = "64" in training.overrides[-1], training.budget.amount > 2e12
        return 30 * training.budget.amount**-0.1 - 0.1 * (wide == large)

    world.bits = bits
    found = scale(plan(tmp_path, sizes=sizes), quietly)
    assert [best.size for best in found.best] == [sizes[0], sizes[1], sizes[1]]
    assert {best.sizes for best in found.best} == {2}
    assert len(found.runs) == 3 * 2 * 2
    assert len(found.predictions[0].specs) == 2


def test_two_rungs_that_cross_are_said_to(world, tmp_path):
    def bits(training):
        steep = training.rung == "v2"
        at = (training.budget.amount / 4e12) ** (-0.2 if steep else -0.1)
        return 2 * at + training.seed / 1000

    world.bits = bits
    (one,) = scale(plan(tmp_path, "v1", "v2"), quietly).crossings
    assert (one.passes, one.passed) == ("v2", "v1")
    assert one.flops == pytest.approx(4e12, rel=0.06)
    assert one.ci95[0] < 4e12 < one.ci95[1]


def test_two_budgets_are_refused_before_anything_is_trained(world, tmp_path):
    with pytest.raises(EscadaError, match="too few"):
        scale(plan(tmp_path, flops=(1e12, 9e12)), quietly)
    assert world.trained == []


def test_the_folder_of_another_corpus_is_left_alone(world, tmp_path):
    scale(plan(tmp_path), quietly)
    written = read_json(tmp_path / "scale.json")
    with pytest.raises(EscadaError, match="another corpus"):
        scale(plan(tmp_path, corpus="d"), quietly)
    assert read_json(tmp_path / "scale.json") == written
