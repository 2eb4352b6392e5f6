"""Confidence intervals of bits per byte: percentile bootstrap over groups (Efron 1979).

Sentences of one thesis or one author are alike, so documents are not independent, but groups are: a
group (within its source) is drawn whole. Bits per byte is a ratio of sums, and so is each resample
of it. The interval says how much the figure would move with other documents of the same kind; it
says nothing of what another training seed would give.

    G  groups     R  resamples
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.evaluation.ruler import DocumentScores, bits_per_byte

Floats = NDArray[np.float64]
Interval = tuple[float, float]

DRAWS_AT_ONCE = 2**22
"""Drawn group indices held at a time: 32 MiB."""


def bootstrap_interval(
    scores: DocumentScores, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval | None:
    """The interval of `bits_per_byte(scores)`.

    Args:
        scores: of the documents.
        resamples: how often the groups are drawn, with replacement, as many as there are.
        seed: of the drawing.
        level: share of the resampled figures within the interval.

    Returns:
        Its low and high end; None when there are fewer than two groups, which say nothing of
        others.
    """
    return _interval(scores, scores.nats, resamples, seed, level)


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Bits per byte of one model less those of another, on the same documents.

    Attributes:
        difference: negative where the first model is better.
        ci95: its interval; None when there are fewer than two groups.
    """

    difference: float
    ci95: Interval | None


def paired_interval(
    scores: DocumentScores, other: DocumentScores, *, resamples: int = 2000, seed: int = 0
) -> PairedDifference:
    """`scores` less `other`, both resampled with the same groups.

    What makes a document hard for every model cancels, so the interval is narrower than the two
    apart.

    Raises:
        EscadaError: they are not of the same documents and bytes.
    """
    if scores.ids != other.ids or not np.array_equal(scores.bytes, other.bytes):
        raise EscadaError(
            "the two models were not measured on the same documents",
            fix="evaluate both on one corpus and profile",
        )
    return PairedDifference(
        bits_per_byte(scores) - bits_per_byte(other),
        _interval(scores, scores.nats - other.nats, resamples, seed, level=0.95),
    )


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
    ratios_R = resampled_ratios(keys, numerators, denominators, resamples=resamples, seed=seed)
    if ratios_R is None:
        return None
    tail = (1 - level) / 2
    low, high = np.quantile(ratios_R, [tail, 1 - tail])
    return float(low), float(high)


def resampled_ratios(
    keys: Iterable[Hashable],
    numerators: Floats,
    denominators: NDArray[np.number[Any]],
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Floats | None:
    """The ratio of sums in each resample, (R,); see `ratio_interval`."""
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
    return ratios_R


def _interval(
    scores: DocumentScores, nats: Floats, resamples: int, seed: int, level: float
) -> Interval | None:
    """The interval of `nats` over the bytes of the documents, in bits."""
    return ratio_interval(
        zip(scores.sources, scores.groups, strict=True),
        nats / math.log(2),
        scores.bytes,
        resamples=resamples,
        seed=seed,
        level=level,
    )
