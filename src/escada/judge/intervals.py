"""Intervals of means over a judge's openings: percentile bootstrap (Efron 1979), SciPy's.

Openings are many, similar in size and independent, as the bootstrap needs; documents are not (see
`escada.evaluation.statistics`).

    N  items     G  openings
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.evaluation.statistics import Interval

Floats = NDArray[np.float64]


def ratio_interval(
    openings: Iterable[Hashable],
    numerators_N: Floats,
    denominators_N: NDArray[np.number[Any]],
    *,
    seed: int,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval | None:
    """Bootstrap interval of a ratio of sums, such as nats over bytes or right answers over pairs.

    Openings are resampled, leaving out those whose denominators sum to 0. None if fewer than two.
    """
    from scipy import stats  # takes half a second, and the schema of a verdict needs none of it

    numbers: dict[Hashable, int] = {}
    opening_N = np.array([numbers.setdefault(one, len(numbers)) for one in openings], dtype=int)
    above_G = np.bincount(opening_N, weights=numerators_N, minlength=len(numbers))
    below_G = np.bincount(opening_N, weights=denominators_N, minlength=len(numbers))
    above_G, below_G = above_G[below_G > 0], below_G[below_G > 0]
    if len(below_G) < 2:
        return None
    found: Any = stats.bootstrap(
        (above_G, below_G),
        _ratio,
        paired=True,
        method="percentile",
        n_resamples=resamples,
        confidence_level=level,
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(above_G: Floats, below_G: Floats, axis: int) -> Floats:
    return above_G.sum(axis=axis) / below_G.sum(axis=axis)
