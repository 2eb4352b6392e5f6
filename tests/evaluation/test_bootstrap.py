"""The interval: a worked example, its coverage, and pairing."""

import math
from itertools import product

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.evaluation import bootstrap
from escada.evaluation.bootstrap import bootstrap_interval, paired_interval
from escada.evaluation.ruler import bits_per_byte

LN2 = math.log(2)


def test_a_worked_example_of_two_groups(scores_of):
    """Groups of 1 bit over 1 byte and 9 bits over 3 bytes: 2.5 bits per byte.

    Two draws of two groups give 1 (1/4 of the time), 3 (1/4) or 10/4 (1/2): so the 2.5 % and 97.5 %
    points are 1 and 3, the 30 % and 70 % points 2.5.
    """
    scores = scores_of([1 * LN2, 4 * LN2, 5 * LN2], [1, 2, 1], groups=["x", "y", "y"])
    assert bits_per_byte(scores) == pytest.approx(2.5)
    assert bootstrap_interval(scores) == pytest.approx((1, 3))
    assert bootstrap_interval(scores, level=0.4) == pytest.approx((2.5, 2.5))


def test_three_groups_agree_with_all_27_draws(scores_of):
    bits, n_bytes = [3.0, 5.0, 20.0], [2, 4, 5]
    every = [
        sum(bits[i] for i in draw) / sum(n_bytes[i] for i in draw)
        for draw in product(range(3), repeat=3)
    ]
    scores = scores_of([b * LN2 for b in bits], n_bytes)
    found = bootstrap_interval(scores, resamples=40_000, level=0.8)
    assert found == pytest.approx(np.quantile(every, [0.1, 0.9]), abs=1e-6)


def test_groups_are_drawn_whole(scores_of):
    """100 documents in two unlike groups are two observations, not 100."""
    nats, n_bytes = [1.0] * 50 + [2.0] * 50, [1] * 100
    apart = bootstrap_interval(scores_of(nats, n_bytes))
    together = bootstrap_interval(scores_of(nats, n_bytes, groups=["a"] * 50 + ["b"] * 50))
    assert together == pytest.approx((1 / LN2, 2 / LN2))
    assert together[1] - together[0] > 3 * (apart[1] - apart[0])


def test_groups_of_one_name_in_two_sources_are_two(scores_of):
    nats, n_bytes, groups = [1.0, 2.0], [1, 1], ["1", "1"]
    assert bootstrap_interval(scores_of(nats, n_bytes, groups=groups)) is None
    assert bootstrap_interval(scores_of(nats, n_bytes, groups=groups, sources=["a", "b"]))


def test_the_interval_is_seeded_and_does_not_depend_on_how_it_is_cut(scores_of, monkeypatch):
    rng = np.random.default_rng(0)
    scores = scores_of(rng.gamma(3, 50, 40), rng.integers(20, 90, 40))
    one = bootstrap_interval(scores)
    assert bootstrap_interval(scores) == one
    assert bootstrap_interval(scores, seed=1) != one
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 1000)
    assert bootstrap_interval(scores) == one


def test_the_interval_covers_the_true_figure_about_95_times_in_100(scores_of):
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(200):
        n_bytes = rng.integers(50, 500, 80)
        nats = n_bytes * LN2 * rng.normal(2.0, 0.4, 80)
        low, high = bootstrap_interval(scores_of(nats, n_bytes), resamples=400)
        covered += low <= 2.0 <= high
    assert 178 <= covered <= 199


def test_fewer_than_two_groups_give_no_interval(scores_of):
    assert bootstrap_interval(scores_of([3.0], [2])) is None
    assert bootstrap_interval(scores_of([3.0, 4.0], [2, 2], groups=["a", "a"])) is None
    assert bootstrap_interval(scores_of([3.0, 1.0], [2, 0])) is None  # an empty document beside


def test_pairing_sees_a_difference_that_the_two_intervals_hide(scores_of):
    rng = np.random.default_rng(4)
    n_bytes = rng.integers(50, 500, 200)
    hardness = rng.normal(2.0, 0.6, 200)
    worse = scores_of(n_bytes * LN2 * (hardness + 0.05), n_bytes)
    better = scores_of(n_bytes * LN2 * (hardness + rng.normal(0, 0.02, 200)), n_bytes)
    assert bootstrap_interval(better)[1] > bootstrap_interval(worse)[0]
    found = paired_interval(better, worse)
    assert found.difference == pytest.approx(bits_per_byte(better) - bits_per_byte(worse))
    assert found.ci95[0] < found.difference < found.ci95[1] < 0
    assert paired_interval(worse, better).ci95[0] > 0


def test_a_model_is_no_better_than_itself(scores_of):
    scores = scores_of([1.0, 5.0, 3.0], [2, 2, 2])
    assert paired_interval(scores, scores) == bootstrap.PairedDifference(0.0, (0.0, 0.0))


def test_pairing_different_documents_is_an_error(scores_of):
    with pytest.raises(EscadaError, match="same documents"):
        paired_interval(scores_of([1.0, 2.0], [1, 1]), scores_of([1.0, 2.0], [1, 2]))
    with pytest.raises(EscadaError, match="same documents"):
        paired_interval(scores_of([1.0, 2.0], [1, 1]), scores_of([1.0], [1]))
