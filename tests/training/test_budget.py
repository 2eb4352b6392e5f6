"""A budget becomes a number of steps before the schedule starts."""

import pytest

from escada.spec import Budget
from escada.training.budget import dry_run_steps, total_steps


def steps(text, seconds=0.5):
    return total_steps(
        Budget.parse(text),
        steps_per_epoch=250.5,
        targets_per_step=1_000,
        flops_per_step=1e9,
        seconds_per_step=lambda: seconds,
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("7 steps", 7),
        ("2 epochs", 501),
        ("0.001 epochs", 1),
        ("10k tokens", 10),
        ("10001 tokens", 11),
        ("1e12 flop", 1000),
        ("60 s", 120),
    ],
)
def test_each_unit_pays_for_its_steps(text, expected):
    assert steps(text) == expected


def test_only_a_budget_in_seconds_is_calibrated():
    def forbidden():
        raise AssertionError

    assert (
        total_steps(
            Budget.parse("7 steps"),
            steps_per_epoch=1,
            targets_per_step=1,
            flops_per_step=1,
            seconds_per_step=forbidden,
        )
        == 7
    )


def test_a_rehearsal_is_at_most_a_thousand_steps_and_a_minute():
    assert dry_run_steps(50_000, 0.01) == 1000
    assert dry_run_steps(50_000, 6.0) == 10
    assert dry_run_steps(50_000, 600.0) == 1
    assert dry_run_steps(5, 0.01) == 5
