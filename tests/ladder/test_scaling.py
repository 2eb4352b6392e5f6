"""Fits on runs of known curves: parameters, intervals and crossings come back."""

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.ladder.scaling import crossing, fit

POWER = (0.5, 15.0, 0.09)
"""With the floor that is assumed of few budgets."""
FLOOR = (0.8, 60.0, 0.14)
FEW = (1e12, 3e12, 1e13)
MANY = (1e12, 3e12, 1e13, 3e13, 1e14)


def law(curve, flops):
    floor, coefficient, exponent = curve
    return floor + coefficient * np.asarray(flops) ** -exponent


def runs(curve, budgets, seeds, noise, seed=0):
    flops = np.repeat(budgets, seeds)
    drawn = np.random.default_rng(seed).standard_normal(len(flops))
    return flops, law(curve, flops) * np.exp(noise * drawn)


def test_three_budgets_give_back_a_power_law():
    found = fit(*runs(POWER, FEW, 2, 1e-4))
    assert (found.has_floor, found.floor) == (False, 0.5)
    assert found.exponent == pytest.approx(0.09, abs=1e-3)
    assert found.at(1e14) == pytest.approx(law(POWER, 1e14), rel=1e-3)


def test_five_budgets_give_back_a_floor_too():
    found = fit(*runs(FLOOR, MANY, 3, 1e-5))
    assert found.has_floor
    assert found.floor == pytest.approx(0.8, abs=0.02)
    assert found.exponent == pytest.approx(0.14, abs=0.005)
    assert found.at(1e15) == pytest.approx(law(FLOOR, 1e15), rel=2e-3)


def test_one_budget_is_refused_and_runs_of_almost_one_count_as_one():
    with pytest.raises(EscadaError, match="one budget"):
        fit([1e12, 1.01e12, 1.02e12], [2.0, 1.9, 2.1])


def test_without_a_degree_of_freedom_there_is_no_interval():
    found = fit(*runs(POWER, FEW[:2], 1, 0.01))
    assert found.predict(1e13, seeds=1) is None
    assert found.interval(1e13) is None
    wide, narrow = (fit(*runs(POWER, FEW[:2], n, 0.004)).predict(1e13, n) for n in (2, 6))
    assert wide[1] - wide[0] > narrow[1] - narrow[0] > 0


def coverage(curve, budgets, seeds, flops, tries):
    """How often the interval of a prediction holds the mean of new runs; its median width."""
    rng, hits, widths = np.random.default_rng(5), 0, []
    for number in range(tries):
        low, high = fit(*runs(curve, budgets, seeds, 0.004, number)).predict(flops, seeds)
        new = law(curve, flops) * np.exp(0.004 * rng.standard_normal(seeds))
        hits += low <= new.mean() <= high
        widths.append(high - low)
    return hits / tries, float(np.median(widths))


@pytest.mark.parametrize("curve", [POWER, (0.0, 12.0, 0.07), FLOOR], ids=["0.5", "0", "0.8"])
def test_predictions_hold_what_is_measured_about_as_often_as_they_say(curve):
    """Whether the floor is the one that is assumed or not."""
    share, width = coverage(curve, FEW, 2, 3e13, 150)
    assert share >= 0.89
    assert width < 0.06


@pytest.mark.slow
def test_predictions_with_a_floor_hold_too():
    share, width = coverage(FLOOR, MANY, 3, 3e14, 80)
    assert 0.87 <= share <= 1
    assert width < 0.06


def meeting(a, b, budgets=FEW, seeds=3, noise=0.001, seed=0):
    """Where the fits of runs of these two curves meet."""
    one = fit(*runs(a, budgets, seeds, noise, 2 * seed + 1), seed=0)
    other = fit(*runs(b, budgets, seeds, noise, 2 * seed + 2), seed=1)
    return crossing(one, other, low=budgets[0], largest=budgets[-1], limit=10 * budgets[-1])


def of_meeting_at(flops):
    """A curve that falls faster than POWER, and passes it there."""
    return (0.5, 15.0 * flops**0.03, 0.12)


@pytest.mark.parametrize("budgets", [FEW, MANY])
def test_a_crossing_is_found_with_an_interval_around_it(budgets):
    met = meeting(POWER, of_meeting_at(5e12), budgets, seed=3)
    assert met.swapped is False
    low, high = met.ci95
    assert low < 5e12 < high
    assert met.flops == pytest.approx(5e12, rel=0.2)
    assert high / low < 2


def test_intervals_of_crossings_hold_the_true_one_about_as_often_as_they_say():
    met = [meeting(POWER, of_meeting_at(5e12), noise=0.003, seed=n) for n in range(100)]
    assert sum(low < 5e12 < high for low, high in (one.ci95 for one in met)) >= 89
    assert np.median([one.ci95[1] / one.ci95[0] for one in met]) < 1.5


def test_the_order_of_the_two_rungs_changes_nothing_but_is_said():
    met = meeting(POWER, of_meeting_at(5e12))
    other = meeting(of_meeting_at(5e12), POWER)
    assert (met.swapped, other.swapped) == (False, True)
    assert other.flops == pytest.approx(met.flops, rel=0.2)


def test_a_crossing_beyond_the_budgets_is_found_up_to_the_limit_alone():
    assert meeting(POWER, of_meeting_at(3e13)).flops == pytest.approx(3e13, rel=0.25)
    beyond = meeting(POWER, of_meeting_at(1e16))
    assert (beyond.flops, beyond.swapped) == (None, False)
    assert beyond.ci95 == (None, None)


def test_of_curves_that_do_not_cross_the_one_behind_would_have_to_pass():
    met = meeting((0.5, 14.0, 0.09), POWER)
    assert (met.flops, met.swapped) == (None, False)
    assert (meeting(POWER, (0.5, 14.0, 0.09))).swapped is True


def test_noise_opens_the_interval_of_a_crossing():
    _, high = meeting(POWER, of_meeting_at(4e13), seeds=2, noise=0.02).ci95
    assert high is None
