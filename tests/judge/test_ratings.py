"""Bradley-Terry: planted strengths come back, and only the games count."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from escada.judge.ratings import ELO, VIRTUAL_GAMES, Game, log_strengths, rate

strengths = st.lists(st.floats(-3, 3), min_size=2, max_size=6).map(np.array)
tallies = st.integers(2, 5).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 8).map(lambda k: k / 2), min_size=n, max_size=n),
        min_size=n,
        max_size=n,
    ).map(np.array)
)


@given(strengths)
def test_planted_strengths_are_recovered_from_many_games(planted):
    games = 1e6
    wins = games / (1 + np.exp(planted[None, :] - planted[:, None]))
    found = log_strengths(wins)
    assert found - found.mean() == pytest.approx(planted - planted.mean(), abs=1e-3)


@given(tallies, st.randoms(use_true_random=False))
def test_the_order_of_the_entrants_is_of_no_account(wins, rng):
    order = list(range(len(wins)))
    rng.shuffle(order)
    shuffled = wins[np.ix_(order, order)]
    assert log_strengths(shuffled) == pytest.approx(log_strengths(wins)[order], abs=1e-8)


@given(tallies)
def test_won_for_lost_turns_the_ratings_round(wins):
    assert log_strengths(wins.T) == pytest.approx(-log_strengths(wins), abs=1e-8)


@given(tallies)
def test_it_is_the_maximum_of_the_likelihood(wins):
    def loss(logs):
        apart = logs[:, None] - logs[None, :]
        np.fill_diagonal(apart, 0)
        games = wins * ~np.eye(len(wins), dtype=bool)
        virtual = np.logaddexp(0, -logs) + np.logaddexp(0, logs)
        return (games * np.logaddexp(0, -apart)).sum() + VIRTUAL_GAMES / 2 * virtual.sum()

    found = log_strengths(wins)
    best = minimize(loss, np.zeros(len(wins)), method="BFGS", options={"gtol": 1e-9})
    assert loss(found) <= best.fun + 1e-9
    assert found == pytest.approx(best.x, abs=1e-3)


def test_by_hand_two_entrants_three_wins_to_one():
    # by symmetry s and -s; the equation 3.5 = 4 p(2s) + p(s), where p is the logistic function, of
    # which s = 0.5 log 3 would be the answer without the virtual game
    (s, t) = log_strengths(np.array([[0.0, 3.0], [1.0, 0.0]]))
    assert t == pytest.approx(-s)
    assert 4 / (1 + math.exp(-2 * s)) + 1 / (1 + math.exp(-s)) == pytest.approx(3.5)
    assert 0.35 < s < 0.5 * math.log(3)


@pytest.mark.parametrize("games", [1, 20, 1000])
def test_the_undefeated_and_the_winless_stay_finite(games):
    wins = np.array([[0.0, games, games], [0.0, 0.0, games], [0.0, 0.0, 0.0]])
    first, second, third = log_strengths(wins)
    assert first > second > third
    assert second == pytest.approx(0, abs=1e-8)
    assert np.isfinite(first)


def test_ties_alone_make_all_equal_and_the_mean_is_zero():
    found = log_strengths(np.full((4, 4), 5.0))
    assert found == pytest.approx(np.zeros(4), abs=1e-9)


def test_many_fits_at_once_are_those_of_one_at_a_time():
    rng = np.random.default_rng(1)
    wins = rng.integers(0, 5, size=(7, 4, 4)).astype(float)
    assert log_strengths(wins) == pytest.approx(np.array([log_strengths(one) for one in wins]))


def games_of(planted, openings, rng):
    for opening in range(openings):
        for i in range(len(planted)):
            for j in range(i):
                won = rng.random() < 1 / (1 + math.exp(planted[j] - planted[i]))
                yield Game(f"o{opening}", "s", i, j, float(won))


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    planted, rng = np.array([-0.8, 0.0, 0.8]), np.random.default_rng(0)
    held = 0
    for _ in range(60):
        ratings = rate(list(games_of(planted, 30, rng)), 3)
        points, interval = ratings.difference(2, 0)
        assert interval[0] <= points <= interval[1]
        held += interval[0] <= ELO * 1.6 <= interval[1]
    assert 50 <= held <= 60


def test_games_of_one_opening_are_drawn_together():
    one = [Game("a", "s", 0, 1, 1.0)] * 10 + [Game("b", "s", 0, 1, 0.0)] * 10
    many = [Game(f"o{i}", "s", 0, 1, float(i % 2)) for i in range(20)]
    wide, narrow = rate(one, 2), rate(many, 2)
    assert wide.points == pytest.approx(narrow.points)
    assert wide.interval(0)[1] > 1.5 * narrow.interval(0)[1]


def test_openings_are_drawn_within_their_stratum_so_that_none_is_left_out():
    # the second entrant plays in one opening only, of a stratum of its own
    games = [Game(f"o{i}", "prompt", 0, 2, i % 2) for i in range(9)]
    ratings = rate([*games, Game("h", "held-out", 1, 2, 1.0)], 3)
    assert ratings.resampled_RN[:, 1].min() > 0


def test_without_games_there_is_no_interval_and_with_one_opening_neither():
    assert rate([], 2).interval(0) is None
    assert rate([Game("a", "s", 0, 1, 1.0)], 3).interval(0) is None
    two = rate([Game("a", "s", 0, 1, 1.0), Game("b", "s", 0, 1, 1.0)], 3)
    assert two.interval(0) is not None
    assert two.interval(2) is None
