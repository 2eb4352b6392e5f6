"""Ratings from pairwise comparisons: Bradley & Terry (1952), a tie as half a win for each.

The probability that i is preferred to j is s_i / (s_i + s_j). Ratings are on Elo's scale,
400 log10 s: 200 points more mean preferred 3 times in 4, 400 points 10 times in 11.

Every entrant also has `VIRTUAL_GAMES` draws with a virtual opponent of strength 1. This prior keeps
undefeated entrants finite and fixes the zero of the scale; it weighs less with more comparisons.

The log-likelihood is concave in log s and is maximised by Newton's method with steps of at most 0.5
in any log-strength, in which the curvature changes by less than a factor e, so each step goes up.

    N  entrants     P  openings     R  resamples
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

ELO = 400 / math.log(10)
"""Points per unit of log-strength."""
VIRTUAL_GAMES = 1.0
LONGEST_STEP = 0.5
TOLERANCE = 1e-7
"""On log-strengths; equals 0.00002 points."""
MOST_STEPS = 1000
RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Game:
    """One comparison of two texts of one opening, between entrants by index.

    `score` is the first one's: 1 won, 0 lost, 0.5 a tie, or an average of several judgements.
    """

    opening: str
    stratum: str
    first: int
    second: int
    score: float


def log_strengths(wins_NN: Floats) -> Floats:
    """The maximum-likelihood log-strengths; leading dimensions are independent fits.

    `wins_NN` are wins of the row's entrant over the column's, (…, N, N), ties counting half; the
    diagonal is ignored.

    Raises:
        ArithmeticError: no convergence, which is a bug.
    """
    n = wins_NN.shape[-1]
    eye_NN = np.eye(n)
    wins_NN = wins_NN * (1 - eye_NN)
    games_NN = wins_NN + np.swapaxes(wins_NN, -1, -2)
    won_N = wins_NN.sum(axis=-1) + VIRTUAL_GAMES / 2
    logs_N: Floats = np.zeros(wins_NN.shape[:-1])
    for _ in range(MOST_STEPS):
        chance_NN = expit(logs_N[..., :, None] - logs_N[..., None, :])
        virtual_N = expit(logs_N)
        gradient_N = won_N - (games_NN * chance_NN).sum(axis=-1) - VIRTUAL_GAMES * virtual_N
        weight_NN = games_NN * chance_NN * (1 - chance_NN)
        own_N = weight_NN.sum(axis=-1) + VIRTUAL_GAMES * virtual_N * (1 - virtual_N)
        curvature_NN = own_N[..., None] * eye_NN - weight_NN
        step_N = cast(Floats, np.linalg.solve(curvature_NN, gradient_N[..., None])[..., 0])
        longest_1 = np.abs(step_N).max(axis=-1, keepdims=True)
        logs_N = logs_N + step_N * np.minimum(1.0, LONGEST_STEP / np.maximum(longest_1, 1e-300))
        if longest_1.max() < TOLERANCE:
            return logs_N
    raise ArithmeticError("Bradley-Terry: no convergence")


@dataclass(frozen=True)
class Ratings:
    """Elo points and number of games of N entrants, (N,) each.

    `resampled_RN` are bootstrap resamples; None with fewer than two openings.
    """

    points: Floats
    resampled_RN: Floats | None
    games: NDArray[np.int64]

    def interval(self, entrant: int) -> tuple[float, float] | None:
        """95 % interval of an entrant's rating; None if undefined."""
        if self.resampled_RN is None or not self.games[entrant]:
            return None
        return _percentiles(self.resampled_RN[:, entrant])

    def difference(self, one: int, other: int) -> tuple[float, tuple[float, float] | None]:
        """Points by which `one` is above `other`, with the 95 % interval."""
        points = float(self.points[one] - self.points[other])
        if self.resampled_RN is None:
            return points, None
        return points, _percentiles(self.resampled_RN[:, one] - self.resampled_RN[:, other])


def rate(games: Sequence[Game], entrants: int, *, seed: int = 0) -> Ratings:
    """Fit the games, with a bootstrap over openings within strata.

    Games of one opening are correlated, so openings are resampled, not games. Human text has only
    held-out openings; strata keep it in every resample.
    """
    wins_PNN, strata = _wins_by_opening(games, entrants)
    counts = np.zeros(entrants, dtype=np.int64)
    for game in games:
        counts[[game.first, game.second]] += 1
    points = ELO * log_strengths(wins_PNN.sum(axis=0))
    resampled_RN = None
    if len(strata) >= 2:
        drawn_RP = _draw_within(strata, np.random.default_rng(seed))
        drawn_wins = drawn_RP @ wins_PNN.reshape(len(strata), -1)
        resampled_RN = ELO * log_strengths(drawn_wins.reshape(-1, entrants, entrants))
    return Ratings(points, resampled_RN, counts)


def _wins_by_opening(games: Iterable[Game], entrants: int) -> tuple[Floats, list[str]]:
    """Wins by opening, (P, N, N), and the openings' strata."""
    games = list(games)
    stratum_of = {game.opening: game.stratum for game in games}
    place = {opening: p for p, opening in enumerate(stratum_of)}
    wins_PNN = np.zeros((len(place), entrants, entrants))
    for game in games:
        p = place[game.opening]
        wins_PNN[p, game.first, game.second] += game.score
        wins_PNN[p, game.second, game.first] += 1 - game.score
    return wins_PNN, list(stratum_of.values())


def _draw_within(strata: Sequence[str], rng: np.random.Generator) -> Floats:
    """Counts of each opening in stratified bootstrap resamples, (R, P)."""
    drawn_RP = np.zeros((RESAMPLES, len(strata)))
    for stratum in sorted(set(strata)):
        members = np.flatnonzero(np.array(strata) == stratum)
        shares = np.full(len(members), 1 / len(members))
        drawn_RP[:, members] = rng.multinomial(len(members), shares, size=RESAMPLES)
    return drawn_RP


def _percentiles(values_R: Floats) -> tuple[float, float]:
    low, high = np.quantile(values_R, [0.025, 0.975])
    return float(low), float(high)
