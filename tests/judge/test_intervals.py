"""The bootstrap over a judge's openings: a worked example and all draws of a small one."""

from itertools import product

import numpy as np
import pytest

from escada.judge.intervals import ratio_interval


def interval(numerators, denominators, keys=None, seed=0, **settings):
    keys = range(len(numerators)) if keys is None else keys
    above, below = np.array(numerators, float), np.array(denominators)
    return ratio_interval(keys, above, below, seed=seed, **settings)


def test_a_worked_example_of_two_groups():
    """Groups of 1 over 1 and 9 over 3: 2.5 in all.

    Two draws of two groups give 1 (1/4 of the time), 3 (1/4) or 10/4 (1/2): so the 2.5 % and 97.5 %
    points are 1 and 3, the 30 % and 70 % points 2.5.
    """
    assert interval([1, 4, 5], [1, 2, 1], "xyy") == pytest.approx((1, 3))
    assert interval([1, 4, 5], [1, 2, 1], "xyy", level=0.4) == pytest.approx((2.5, 2.5))


def test_three_groups_agree_with_all_27_draws():
    above, below = [3.0, 5.0, 20.0], [2, 4, 5]
    every = [
        sum(above[i] for i in draw) / sum(below[i] for i in draw)
        for draw in product(range(3), repeat=3)
    ]
    found = interval(above, below, resamples=40_000, level=0.8)
    assert found == pytest.approx(np.quantile(every, [0.1, 0.9]), abs=1e-6)


def test_the_interval_is_seeded():
    rng = np.random.default_rng(0)
    above, below = rng.gamma(3, 50, 40), rng.integers(20, 90, 40)
    one = interval(above, below)
    assert interval(above, below) == one
    assert interval(above, below, seed=1) != one


def test_fewer_than_two_groups_give_no_interval():
    assert interval([3.0], [2]) is None
    assert interval([3.0, 4.0], [2, 2], "aa") is None
    assert interval([3.0, 1.0], [2, 0]) is None
