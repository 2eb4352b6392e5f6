"""What each step multiplies the initial rates with."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.budget import Warmup
from escada.spec import TrainSpec
from escada.training.schedules import rate_factor


def train_spec(**values):
    base = {
        "budget": "100 steps",
        "window_tokens": 8,
        "stride_tokens": 1,
        "batch_sequences": 4,
        "learning_rate": 0.5,
    }
    return TrainSpec.model_validate(base | values)


def test_warm_up_rises_linearly_and_the_cosine_falls_to_its_floor():
    train = train_spec(warmup="10 steps", schedule="cosine", min_learning_rate_ratio=0.1)
    factors = [rate_factor(train, step, 100) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9] == factors[10] == 1
    middle = (10 + 99) / 2
    assert rate_factor(train, int(middle), 100) == pytest.approx(0.55, rel=0.02)
    assert factors[99] == pytest.approx(0.1)
    assert all(a > b for a, b in pairwise(factors[10:]))


def test_past_the_end_the_cosine_stays_at_its_floor():
    train = train_spec(schedule="cosine", min_learning_rate_ratio=0.1)
    assert [rate_factor(train, step, 100) for step in (99, 100, 150, 10_000)] == pytest.approx(
        [0.1] * 4
    )


def test_a_trapezoid_is_flat_and_then_falls_linearly_to_zero():
    train = train_spec(warmup="10 steps", schedule="trapezoid", decay="40 %")
    factors = [rate_factor(train, step, 100) for step in range(101)]
    assert factors[9:61] == [1.0] * 52
    assert factors[80] == pytest.approx(0.5)
    assert factors[99] == pytest.approx(1 / 40)
    assert factors[100] == rate_factor(train, 500, 100) == 0


@given(
    st.integers(1, 10_000),
    st.integers(0, 20_000),
    st.floats(0, 99),
    st.sampled_from([0.0, 0.1, 1]),
    st.sampled_from(["constant", "cosine", "trapezoid"]),
)
def test_a_factor_is_never_above_one_nor_negative(total, step, share, floor, schedule):
    train = train_spec(schedule=schedule, min_learning_rate_ratio=floor).model_copy(
        update={"warmup": Warmup(share, "%")}
    )
    assert 0 <= rate_factor(train, step, total) <= 1
