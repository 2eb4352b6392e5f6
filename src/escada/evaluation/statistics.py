"""Confidence intervals for ratios of sums, over groups of documents within sources.

    parts = by_source(Items.of(scores), Items.of(validation_scores))
    overall(parts).value, overall(parts).ci95, overall(parts).effective_groups
    macro(parts).value                    # every source has the same weight

Sentences of one thesis are correlated, so a group (thesis, author, site) counts as one observation.
The mix of sources is chosen, not random, so sources are strata. This is stratified cluster sampling
with ratio estimation (Cochran 1977, chapters 5, 6 and 9), adapted to few and unequal groups:

- In a source with ratio r, group g has share w of the denominators, ratio y and residual u = y - r.
  Cochran's linearised estimator, sum w² u², is divided by its expectation for few groups of equal
  variance, sum w² (1 - 2 w + q), and multiplied by q = sum w².
- A source with few groups borrows: residuals of the groups of another held-out split are added,
  around the pooled ratio.
- The interval is Student's t; degrees of freedom are the effective number of groups (Kish 1965),
  1 / q, minus one.
- This is too narrow for a source with few groups and none to borrow from. Its variance is the
  jackknife's, (G - 1) / G times the sum of ((w / (1 - w)) u)², with Satterthwaite degrees of
  freedom for normal y of equal variance (Bell and McCaffrey 2002). Questions keep the first
  estimator: their answers also vary within a group, and it covers them.
- Over sources, variances are added, each times the square of the source's share, with
  Satterthwaite's (1946) degrees of freedom.

A source with one group and none to borrow from has no variance estimate: it is listed in `alone`,
and the interval leaves its variance out. docs/significance.md has the measured coverage.

    N  items     G  groups of a source
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from escada.evaluation.ruler import DocumentScores

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.05
"""Significance level; the intervals are 1 - LEVEL."""
FEW_GROUPS = 30
"""A source with fewer groups borrows from another split."""


class Question(Protocol):
    """Anything with one answer."""

    @property
    def source(self) -> str:
        """Its stratum."""
        ...

    @property
    def group(self) -> str:
        """Its group within the source."""
        ...


@dataclass(frozen=True, slots=True)
class Items:
    """Numerators and denominators of a ratio, one per item, (N,) each: documents, pairs, passages.

    Attributes:
        sources: strata.
        groups: sampled within a source; names are local to it.
        questions: whether the items are questions, whose answers also vary within a group.
    """

    sources: Sequence[Hashable]
    groups: Sequence[Hashable]
    numerators: Floats
    denominators: NDArray[np.number[Any]]
    questions: bool = False

    @classmethod
    def of(cls, scores: DocumentScores) -> Items:
        """Bits over bytes of documents."""
        return cls(scores.sources, scores.groups, scores.nats / math.log(2), scores.bytes)

    @classmethod
    def of_questions(cls, questions: Sequence[Question], values: Floats) -> Items:
        """One value for each question, such as 1 for a right answer."""
        sources, groups = [one.source for one in questions], [one.group for one in questions]
        return cls(sources, groups, values, np.ones(len(values)), questions=True)

    def by_group(self) -> dict[Hashable, tuple[Floats, Floats]]:
        """Source → sums of numerators and of denominators, (G,) each."""
        numbers: dict[tuple[Hashable, Hashable], int] = {}
        keys = zip(self.sources, self.groups, strict=True)
        group_N = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
        above: Floats = np.zeros(len(numbers))
        below: Floats = np.zeros(len(numbers))
        np.add.at(above, group_N, self.numerators)
        np.add.at(below, group_N, self.denominators)
        of_source: dict[Hashable, list[int]] = {}
        for (source, _), number in numbers.items():
            of_source.setdefault(source, []).append(number)
        return {source: (above[which], below[which]) for source, which in of_source.items()}


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of sums, or a mean of several, with its sampling error.

    Attributes:
        variance: of the value over groups; None where no source has two groups.
        freedom: degrees of freedom of the variance.
        total: sum of the denominators.
        squares: sum of the squared denominators of the groups.
        groups: with a denominator above 0.
        alone: sources with one group and none to borrow from; not in the variance.
        borrowed: sources whose variance also uses groups of the other split.
    """

    value: float
    variance: float | None
    freedom: float | None
    total: float
    squares: float
    groups: int
    alone: tuple[str, ...] = ()
    borrowed: tuple[str, ...] = ()

    @property
    def effective_groups(self) -> float:
        """Kish's effective number (1965): how many equal groups would be as informative."""
        return self.total**2 / self.squares if self.squares else 0.0

    @property
    def error(self) -> float | None:
        """Standard error."""
        return None if self.variance is None else math.sqrt(self.variance)

    @property
    def ci95(self) -> Interval | None:
        """Student's t interval of the value."""
        if self.variance is None or self.freedom is None:
            return None
        reach = _t(self.freedom) * math.sqrt(self.variance)
        return self.value - reach, self.value + reach

    @property
    def share_ci95(self) -> Interval | None:
        """Wilson interval, where the value is a share of right answers.

        The sample size is that of independent answers with the same variance, or the effective
        number of groups where all or none are right.
        """
        if self.variance is None or self.freedom is None:
            return None
        spread = self.value * (1 - self.value)
        if spread <= 0:
            count = self.effective_groups
        else:
            count = spread / self.variance if self.variance else self.total
        return wilson_interval(self.value, count, _t(self.freedom))

    @property
    def p_value(self) -> float | None:
        """Two-sided, for a true value of 0; below `LEVEL` where the interval excludes 0."""
        if self.variance is None or self.freedom is None:
            return None
        if self.variance == 0:
            return 1.0 if self.value == 0 else 0.0
        t = abs(self.value) / math.sqrt(self.variance)
        return 2 * float(special.stdtr(self.freedom, -t))


def by_source(items: Items, beside: Items | None = None) -> dict[str, Estimate]:
    """The ratio of each source that has a denominator, by name.

    `beside` are items of another held-out split, for sources with few groups to borrow from.
    """
    other = {} if beside is None else beside.by_group()
    parts = {
        str(source): _of_source(str(source), *sums, other.get(source), items.questions)
        for source, sums in items.by_group().items()
        if sums[1].sum() > 0
    }
    return dict(sorted(parts.items()))


def overall(parts: Mapping[str, Estimate]) -> Estimate:
    """All items together: sources are weighted by their denominators."""
    total = sum(part.total for part in parts.values())
    return _mean(parts, {name: part.total / total for name, part in parts.items()})


def macro(parts: Mapping[str, Estimate]) -> Estimate:
    """The mean over sources, each with the same weight."""
    return _mean(parts, dict.fromkeys(parts, 1 / max(1, len(parts))))


def estimate(items: Items, beside: Items | None = None) -> Estimate:
    """The ratio of all items; see `by_source`."""
    return overall(by_source(items, beside))


def _of_source(
    name: str,
    above_G: Floats,
    below_G: Floats,
    other: tuple[Floats, Floats] | None,
    questions: bool,
) -> Estimate:
    value = float(above_G.sum() / below_G.sum())
    above_G, below_G = above_G[below_G > 0], below_G[below_G > 0]
    groups, total = len(below_G), float(below_G.sum())
    squares = float(np.square(below_G).sum())
    borrowed: tuple[str, ...] = ()
    if other is not None and groups < FEW_GROUPS and other[1].sum() > 0:
        there = other[1] > 0
        above_G = np.concatenate([above_G, other[0][there]])
        below_G = np.concatenate([below_G, other[1][there]])
        borrowed = (name,)
    if len(below_G) < 2:
        return Estimate(value, None, None, total, squares, groups, alone=(name,))
    if questions or borrowed or groups >= FEW_GROUPS:
        mean_square, freedom = _between_groups(above_G, below_G)
        variance = squares / total**2 * mean_square
    else:
        variance, freedom = _jackknife(above_G, below_G)
    return Estimate(value, variance, freedom, total, squares, groups, borrowed=borrowed)


def _between_groups(above_G: Floats, below_G: Floats) -> tuple[float, float]:
    """The variance between groups of their ratio, and its degrees of freedom (see above)."""
    w = below_G / below_G.sum()
    u = above_G / below_G - above_G.sum() / below_G.sum()
    q = float(w @ w)
    left = float(np.square(w) @ (1 - 2 * w + q))
    return float(np.square(w) @ np.square(u)) / left, max(1.0, 1 / q - 1)


def _jackknife(above_G: Floats, below_G: Floats) -> tuple[float, float]:
    """Jackknife variance of the ratio, and its degrees of freedom (see the module)."""
    w = below_G / below_G.sum()
    u = above_G / below_G - above_G.sum() / below_G.sum()
    d = np.square(w / (1 - w))
    # As a quadratic form in y: sum of d u² is y' B y, with u = (I - 1 w') y.
    B = np.diag(d) - np.outer(d, w) - np.outer(w, d) + d.sum() * np.outer(w, w)
    freedom = float(np.trace(B)) ** 2 / float(np.square(B).sum())
    return (1 - 1 / len(w)) * float(d @ np.square(u)), max(1.0, freedom)


def _mean(parts: Mapping[str, Estimate], shares: Mapping[str, float]) -> Estimate:
    value = sum(shares[name] * part.value for name, part in parts.items())
    known = [
        (shares[name] ** 2 * part.variance, part.freedom)
        for name, part in parts.items()
        if part.variance is not None and part.freedom is not None
    ]
    variance, freedom = added(known) if known else (None, None)
    return Estimate(
        value,
        variance,
        freedom,
        total=sum(part.total for part in parts.values()),
        squares=sum(part.squares for part in parts.values()),
        groups=sum(part.groups for part in parts.values()),
        alone=tuple(name for part in parts.values() for name in part.alone),
        borrowed=tuple(name for part in parts.values() for name in part.borrowed),
    )


def added(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Sum of independent variances, with their degrees of freedom (Satterthwaite 1946)."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0, min(freedom for _, freedom in parts)
    return variance, variance**2 / sum(part**2 / freedom for part, freedom in parts)


def wilson_interval(share: float, count: float, quantile: float) -> Interval:
    """Wilson (1927) interval of a share of `count` independent cases; it stays within 0 and 1."""
    square, spread = quantile**2, share * (1 - share)
    middle = (share + square / (2 * count)) / (1 + square / count)
    within = square * (spread / count + square / (4 * count**2))
    reach = math.sqrt(within) / (1 + square / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _t(freedom: float) -> float:
    return float(special.stdtrit(freedom, 1 - LEVEL / 2))
