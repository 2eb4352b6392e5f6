"""Intervals of means over a judge's openings: percentile bootstrap (Efron 1979), SciPy's.

Openings are many, much alike in size and drawn apart, which is what this needs; documents are not
(`escada.evaluation.statistics`).

    G  openings
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Interval = tuple[float, float]

DRAWS_AT_ONCE = 2**22
"""Drawn openings held at a time: 32 MiB each of numerators and denominators."""


def ratio_interval(
    keys: Iterable[Hashable],
    numerators: Floats,
    denominators: NDArray[np.number[Any]],
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval | None:
    """Percentiles of resampled ratios of sums, such as nats over bytes or right answers over pairs.

    Openings whose denominators sum to 0 have no figure of their own and are not drawn.

    Args:
        keys: the opening of each item, (N,).
        numerators: of each item, (N,).
        denominators: of each item, (N,).
        resamples: how often the openings are drawn.
        seed: of the drawing.
        level: share of the resampled ratios within the interval.

    Returns:
        None when there are fewer than two openings.
    """
    numbers: dict[Hashable, int] = {}
    opening_N = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    above_G = np.bincount(opening_N, weights=numerators, minlength=len(numbers))
    below_G = np.bincount(opening_N, weights=denominators, minlength=len(numbers))
    above_G, below_G = above_G[below_G > 0], below_G[below_G > 0]
    if len(below_G) < 2:
        return None
    found: Any = stats.bootstrap(
        (above_G, below_G),
        _ratio,
        paired=True,
        method="percentile",
        n_resamples=resamples,
        batch=max(1, DRAWS_AT_ONCE // len(below_G)),
        confidence_level=level,
        rng=np.random.default_rng(seed),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _ratio(above_G: Floats, below_G: Floats, axis: int = -1) -> Floats:
    return above_G.sum(axis=axis) / below_G.sum(axis=axis)
