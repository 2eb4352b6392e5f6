"""Which of many items are looked at, when not all can be: evenly spread, or so within strata.

Nothing is drawn by chance: items lie in an order that means something (a text), and neighbours are
alike, so an even spread says more than as many random ones, and says the same each time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def evenly(available: int, wanted: int) -> Integers:
    """`wanted` of the numbers below `available`, or all: ascending, gaps differ by one at most."""
    n = min(available, wanted)
    return np.arange(n, dtype=np.int64) * available // max(n, 1)


def proportionally(strata_M: NDArray[np.int64], wanted: int) -> tuple[Integers, Floats]:
    """A stratified sample: from each stratum its share of `wanted`, at least one, drawn evenly.

    Args:
        strata_M: the stratum of each item.
        wanted: size of the sample; it may be exceeded where a share is below one.

    Returns:
        Which items, ascending; and their weights: items of the stratum for each one drawn.
    """
    drawn: list[Integers] = []
    weights: list[Floats] = []
    for stratum in np.unique(strata_M):
        members = np.flatnonzero(strata_M == stratum)
        n = min(len(members), max(1, wanted * len(members) // len(strata_M)))
        drawn.append(members[evenly(len(members), n)])
        weights.append(np.full(n, len(members) / n))
    items = np.concatenate(drawn)
    order = np.argsort(items)
    return items[order], np.concatenate(weights)[order]
