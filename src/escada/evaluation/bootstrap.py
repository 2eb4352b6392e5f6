"""Intervals of means over a judge's openings: percentile bootstrap (Efron 1979).

Openings are many, much alike in size and drawn apart, which is what this needs; documents are not
(`statistics`).

    G  openings     R  resamples
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Interval = tuple[float, float]

DRAWS_AT_ONCE = 2**22
"""Drawn group indices held at a time: 32 MiB."""


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

    Groups whose denominators sum to 0 have no figure of their own and are left out of the drawing.

    Args:
        keys: the group of each item, (N,).
        numerators: of each item, (N,).
        denominators: of each item, (N,).
        resamples: how often the groups are drawn.
        seed: of the drawing.
        level: share of the resampled ratios within the interval.

    Returns:
        None when there are fewer than two groups.
    """
    numbers: dict[Hashable, int] = {}
    group_of = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    above_G = np.bincount(group_of, weights=numerators, minlength=len(numbers))
    below_G = np.bincount(group_of, weights=denominators, minlength=len(numbers))
    above_G, below_G = above_G[below_G > 0], below_G[below_G > 0]
    n_groups = len(below_G)
    if n_groups < 2:
        return None
    rng = np.random.default_rng(seed)
    ratios_R = np.empty(resamples)
    at_once = max(1, DRAWS_AT_ONCE // n_groups)
    for first in range(0, resamples, at_once):
        part = slice(first, min(first + at_once, resamples))
        drawn_RG = rng.integers(n_groups, size=(part.stop - part.start, n_groups))
        ratios_R[part] = above_G[drawn_RG].sum(axis=1) / below_G[drawn_RG].sum(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(ratios_R, [tail, 1 - tail])
    return float(low), float(high)
