"""The number of steps is fixed before the schedule starts; where time decides, one is measured."""

from types import SimpleNamespace

import pytest

from escada.budget import Budget
from escada.spec import load_spec
from escada.training import calibration
from escada.training.calibration import dry_run_steps, fixed_steps


def planned(monkeypatch, budget, *, dry_run=False, seconds=0.1):
    """Steps of v5's laptop preset where a step takes so long, and how often one was measured."""
    measured = []
    monkeypatch.setattr(calibration, "_seconds_per_step", lambda p: measured.append(p) or seconds)
    spec = load_spec("v5", preset="laptop").with_budget(Budget.parse(budget))
    monkeypatch.setattr(calibration, "predicted_cost", lambda *_, **__: None)
    batches = SimpleNamespace(steps_per_epoch=100.0, stream=SimpleNamespace(n_tokens=1))
    model = SimpleNamespace(
        forward_flops_per_token=lambda window_tokens: 1e6, parameter_count=lambda: 1
    )
    probe = SimpleNamespace(
        model=model, batches=batches, setup=SimpleNamespace(device=None, precision=None, shards=1)
    )
    record = SimpleNamespace(dry_run=dry_run, continued_from=None)
    return fixed_steps(SimpleNamespace(spec=spec, record=record), probe), len(measured)


@pytest.mark.parametrize(
    ("budget", "steps", "measured"), [("60 s", 600, 1), ("7 steps", 7, 0), ("3k steps", 3_000, 1)]
)
def test_a_step_is_measured_where_time_decides_or_the_training_is_long(
    monkeypatch, budget, steps, measured
):
    found, times = planned(monkeypatch, budget)
    assert (found["total_steps"], times) == (steps, measured)
    assert ("calibrated_seconds_per_step" in found) == (measured > 0)


def test_a_dry_run_is_measured_once_and_says_what_the_budget_pays_for(monkeypatch):
    found, times = planned(monkeypatch, "50k steps", dry_run=True)
    assert (found["total_steps"], found["planned_steps"], times) == (600, 50_000, 1)


def test_a_rehearsal_is_at_most_a_thousand_steps_and_a_minute():
    assert dry_run_steps(50_000, 0.01) == 1000
    assert dry_run_steps(50_000, 6.0) == 10
    assert dry_run_steps(50_000, 600.0) == 1
    assert dry_run_steps(5, 0.01) == 5
