"""A budget is a number with a unit, and becomes a number of steps before the schedule starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.budget import Budget, Warmup
from escada.errors import EscadaError


@pytest.mark.parametrize(
    ("text", "amount", "unit"),
    [
        ("60 s", 60, "seconds"),
        ("5 min", 300, "seconds"),
        ("1h", 3600, "seconds"),
        ("3 epochs", 3, "epochs"),
        ("0.5 epochs", 0.5, "epochs"),
        ("50k steps", 50_000, "steps"),
        ("800M tokens", 8e8, "tokens"),
        ("1e17 flop", 1e17, "flop"),
    ],
)
def test_a_budget_is_read_with_its_unit(text, amount, unit):
    assert Budget.parse(text) == Budget(amount, unit)


@pytest.mark.parametrize("text", ["", "60", "s", "60 parsecs", "-3 s", "0 steps", "1e999x flop"])
def test_a_budget_without_sense_is_one_clear_line(text):
    with pytest.raises(EscadaError) as caught:
        Budget.parse(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["3e12 flop", "1.5e+13 flop", "50k steps", "60 s"])
def test_a_shown_budget_is_short_and_reads_back(text):
    budget = Budget.parse(text)
    assert len(budget.shown) < 14
    assert Budget.parse(budget.shown) == budget


@given(st.floats(1e-3, 1e18), st.sampled_from(["s", "steps", "epochs", "tokens", "flop"]))
def test_a_printed_budget_reads_back_to_six_digits(amount, unit):
    budget = Budget.parse(f"{amount} {unit}")
    again = Budget.parse(str(budget))
    assert again.unit == budget.unit
    assert again.amount == pytest.approx(budget.amount, rel=1e-5)


def test_warm_up_is_steps_or_a_share_and_never_longer_than_the_training():
    assert Warmup.parse("5 %").steps(1000) == 50
    assert Warmup.parse("2k steps").steps(50_000) == 2000
    assert Warmup.parse("2k steps").steps(300) == 300
    with pytest.raises(EscadaError):
        Warmup.parse("100 %")
    with pytest.raises(EscadaError):
        Warmup.parse("3 epochs")


def steps(text, seconds=0.5):
    return Budget.parse(text).steps(
        steps_per_epoch=250.5,
        targets_per_step=1_000,
        flops_per_step=1e9,
        seconds_per_step=seconds,
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


def test_only_a_budget_in_seconds_needs_the_time_of_a_step():
    assert steps("7 steps", seconds=None) == 7
    with pytest.raises(AssertionError):
        steps("7 s", seconds=None)
