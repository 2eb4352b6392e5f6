"""Fit bits per byte against training FLOP, and find where the curves of two rungs cross.

    curve = fit(flops_N, bits_N)                  # one point per run of the best size
    curve.at(1e14), curve.interval(1e14), curve.predict(1e14, seeds=3)
    crossing(curve_of_v4, curve_of_v_final, low=1e12, largest=1e14, limit=1e15)

The curve is L(C) = E + A C^-α (Hoffmann et al. 2022, "Training Compute-Optimal Large Language
Models", section 3 and appendix D), fitted by least squares of ln L over all runs, with bounds,
starting from the best of a grid of exponents.

- Fewer than four budgets cannot tell E from α. With two or three, E is assumed to be 0.5 bits per
  byte, and each replicate draws it between 0 and 1, alike for all rungs, since they read one text.
- Intervals are those of a parametric bootstrap: each replicate adds to the fitted curve the noise
  of its runs and is fitted again. The variance of the noise is that of the residuals over N - p
  degrees of freedom, and each replicate draws it anew from its own uncertainty (a scaled inverse
  χ²), so that with few runs the intervals are as wide as Student's t. Residuals hold the noise of
  the seed and what the curve misses. Without a degree of freedom left there is no interval.
- All runs are scored on the same documents: the choice of documents is not in the intervals.

    N  runs     R  replicates     G  grid of FLOP
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from escada.errors import EscadaError
from escada.typed_json import Interval

Floats = NDArray[np.float64]

FEWEST_BUDGETS, BUDGETS_FOR_FLOOR = 2, 4
ASSUMED_FLOOR, LEAST_FLOOR, MOST_FLOOR = 0.5, 0.0, 1.0
_MOST_OF_LEAST = 0.8
"""An assumed floor is at most this share of the lowest bits per byte."""
REPLICATES = 400
_TAILS = (0.025, 0.975)
_GRID = 241
_EXPONENTS = np.geomspace(0.005, 2.0, 300)
_LEAST = 1e-9
_WIDEST = 30.0
"""Noise of ln L is cut here, so that no replicate overflows."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A fitted curve and its bootstrap replicates.

    Attributes:
        floor, log_coefficient, exponent: E, ln A, α.
        has_floor: whether E was fitted, not assumed.
        replicates: (R, 3): E, ln A, α of each; None without a degree of freedom.
        noise: (R,): standard deviation of ln L between runs, of each replicate.
    """

    floor: float
    log_coefficient: float
    exponent: float
    has_floor: bool
    replicates: Floats | None = None
    noise: Floats | None = None

    def at(self, flops: float) -> float:
        """Bits per byte after that many FLOP."""
        row = np.array([[self.floor, self.log_coefficient, self.exponent]])
        return float(_values(row, np.array([math.log(flops)]))[0, 0])

    def interval(self, flops: float) -> Interval | None:
        """95 % interval of the curve there."""
        if self.replicates is None:
            return None
        return _interval(_values(self.replicates, np.array([math.log(flops)]))[:, 0])

    def predict(self, flops: float, seeds: int) -> Interval | None:
        """95 % interval of the mean of that many runs, which have noise of their own."""
        if self.replicates is None or self.noise is None:
            return None
        drawn = np.random.default_rng(1).standard_normal(len(self.noise))
        curve_R = _values(self.replicates, np.array([math.log(flops)]))[:, 0]
        return _interval(curve_R * np.exp(_cut(self.noise * drawn) / math.sqrt(seeds)))

    def of_replicates(self, column: int) -> Interval | None:
        """95 % interval of E (0) or α (2)."""
        return None if self.replicates is None else _interval(self.replicates[:, column])


@dataclass(frozen=True, slots=True)
class Meeting:
    """Where `second` passes `first`: fewer bits per byte from there on.

    Attributes:
        swapped: the arguments of `crossing` in the other order.
        flops: None: nowhere in the range; then `first` is the one that is ahead at its end.
        ci95: None in place of an end outside the range; None if a curve has no replicates.
    """

    swapped: bool
    flops: float | None
    ci95: tuple[float | None, float | None] | None


def fit(flops_N: Sequence[float], bits_N: Sequence[float], *, seed: int = 0) -> Curve:
    """Fit the curve; `seed` is that of the bootstrap.

    Raises:
        EscadaError: fewer than two budgets.
    """
    x_N, y_N = np.log(np.asarray(flops_N, float)), np.log(np.asarray(bits_N, float))
    budgets = len(_levels(x_N))
    if budgets < FEWEST_BUDGETS:
        raise EscadaError(
            "a curve through one budget is not determined",
            fix="give at least two budgets below the largest",
        )
    has_floor = budgets >= BUDGETS_FOR_FLOOR
    centre = float(x_N.mean())
    x_N = x_N - centre
    if has_floor:
        found = _polished(x_N, y_N, _profiled(x_N, y_N[None])[0])
    else:
        found = _straight(x_N, y_N[None], np.array([ASSUMED_FLOOR]))[0]
    floor, log_a, alpha = (float(value) for value in found)
    base = Curve(floor, log_a + alpha * centre, alpha, has_floor)
    freedom = len(x_N) - (3 if has_floor else 2)
    if freedom < 1:
        return base
    rng = np.random.default_rng(seed)
    fitted_N = _log_curve(found, x_N)
    squares = float(((y_N - fitted_N) ** 2).sum())
    noise_R = np.sqrt(squares / rng.chisquare(freedom, REPLICATES))
    drawn_RN = fitted_N + _cut(noise_R[:, None] * rng.standard_normal((REPLICATES, len(x_N))))
    if has_floor:
        again_R3 = _profiled(x_N, drawn_RN)
    else:
        floors = np.random.default_rng(2).uniform(LEAST_FLOOR, MOST_FLOOR, REPLICATES)
        again_R3 = _straight(x_N, drawn_RN, floors)
    again_R3[:, 1] += again_R3[:, 2] * centre
    return replace(base, replicates=again_R3, noise=noise_R)


def crossing(a: Curve, b: Curve, *, low: float, largest: float, limit: float) -> Meeting:
    """Where one curve passes the other between `low` and `limit` FLOP.

    Of several crossings, the one nearest to `largest`, the largest budget that was trained.
    """
    grid_G = np.linspace(math.log(low), math.log(limit), _GRID)
    rows = [np.array([[c.floor, c.log_coefficient, c.exponent]]) for c in (a, b)]
    ahead_1G = _values(rows[1], grid_G) - _values(rows[0], grid_G)  # below 0: b is ahead
    target = math.log(largest)
    places = [float(_passes(sign * ahead_1G, grid_G, target)[0]) for sign in (1.0, -1.0)]
    if any(map(math.isfinite, places)):
        swapped = abs(places[1] - target) < abs(places[0] - target)
    else:
        swapped = bool(ahead_1G[0, -1] <= 0)  # b stays ahead, so a is the one that would pass
    place = places[int(swapped)]
    flops = math.exp(place) if math.isfinite(place) else None
    if a.replicates is None or b.replicates is None:
        return Meeting(swapped, flops, None)
    ahead_RG = _values(b.replicates, grid_G) - _values(a.replicates, grid_G)
    places_R = _passes((-1.0 if swapped else 1.0) * ahead_RG, grid_G, target)
    ends = np.quantile(places_R, _TAILS, method="nearest")
    bounds = [math.exp(end) if math.isfinite(end) else None for end in ends]
    return Meeting(swapped, flops, (bounds[0], bounds[1]))


def _passes(behind_RG: Floats, grid_G: Floats, target: float) -> Floats:
    """ln FLOP where each row falls through 0, (R,); -inf: below 0 throughout; inf: never."""
    found: list[float] = []
    for row in behind_RG:
        (starts,) = np.nonzero((row[:-1] > 0) & (row[1:] <= 0))
        share = row[starts] / (row[starts] - row[starts + 1])
        places = grid_G[starts] + share * (grid_G[starts + 1] - grid_G[starts])
        if len(places):
            found.append(float(places[np.argmin(abs(places - target))]))
        else:
            found.append(-math.inf if (row <= 0).all() else math.inf)
    return np.array(found)


def _levels(x_N: Floats) -> list[float]:
    """Distinct budgets; sizes round a budget up to different steps, by less than 5 %."""
    levels: list[float] = []
    for x in sorted(x_N):
        if not levels or x - levels[-1] > math.log(1.05):
            levels.append(float(x))
    return levels


def _values(curves_R3: Floats, log_flops_G: Floats) -> Floats:
    """E + A C^-α, (R, G)."""
    floor, log_a, alpha = (column[:, None] for column in curves_R3.T)
    return floor + np.exp(log_a - alpha * log_flops_G[None])


def _log_curve(found: Floats, x_N: Floats) -> Floats:
    """ln L of (E, ln A, α), with A at x = 0."""
    return np.log(found[0] + np.exp(found[1] - found[2] * x_N))


def _straight(x_N: Floats, y_RN: Floats, floor_R: Floats) -> Floats:
    """The curve of each row with a given floor, (R, 3): ln(L - E) is a straight line."""
    bits_RN = np.exp(y_RN)
    floor_R = np.minimum(floor_R, _MOST_OF_LEAST * bits_RN.min(1))
    slope_R, level_R = np.polyfit(x_N, np.log(bits_RN - floor_R[:, None]).T, 1)
    return np.stack([floor_R, level_R, -slope_R], axis=1)


def _profiled(x_N: Floats, y_RN: Floats) -> Floats:
    """The curve with a floor of each row, (R, 3), for the best exponent of a grid.

    For a given exponent E and A follow from linear least squares of relative residuals, with E, A
    at least 0. It is as good a fit as that of ln L, and needs no start.
    """
    bits_RN = np.exp(y_RN)
    best_R = np.full(len(y_RN), math.inf)
    found_R3 = np.zeros((len(y_RN), 3))
    one_RN = 1 / bits_RN
    for exponent in _EXPONENTS:
        power_RN = np.exp(-exponent * x_N) / bits_RN
        pp, p1, oo = (power_RN**2).sum(1), (power_RN * one_RN).sum(1), (one_RN**2).sum(1)
        p, o = power_RN.sum(1), one_RN.sum(1)
        determinant = pp * oo - p1**2
        floor: Floats = (pp * o - p1 * p) / determinant
        both: Floats = np.maximum((p * oo - o * p1) / determinant, _LEAST)
        a: Floats = np.where(floor < 0, p / pp, both)
        floor = np.maximum(floor, 0.0)
        residual_RN = a[:, None] * power_RN + floor[:, None] * one_RN - 1
        cost_R: Floats = (residual_RN**2).sum(1)
        better = cost_R < best_R
        best_R[better] = cost_R[better]
        row_R3 = np.stack([floor, np.log(a), np.full(len(a), exponent)], axis=1)
        found_R3[better] = row_R3[better]
    return found_R3


def _polished(x_N: Floats, y_N: Floats, start: Floats) -> Floats:
    """Least squares of ln L from there."""
    most = math.exp(float(y_N.min()))
    bounds = ([0.0, -math.inf, 0.0], [most, math.inf, 2 * float(_EXPONENTS[-1])])
    inside = np.clip(start, [1e-9 * most, -math.inf, 1e-6], [0.999 * most, math.inf, math.inf])

    def residuals(found: Floats) -> Floats:
        return _log_curve(found, x_N) - y_N

    return cast(Any, optimize).least_squares(residuals, inside, bounds=bounds).x


def _interval(values_R: Floats) -> Interval:
    low, high = np.quantile(values_R, _TAILS)
    return float(low), float(high)


def _cut(noise: Floats) -> Floats:
    return np.clip(noise, -_WIDEST, _WIDEST)
