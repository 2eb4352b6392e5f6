"""How sure a figure is: ratios of sums over groups of documents, within their sources.

    parts = by_source(Items.of(scores), Items.of(validation_scores))
    overall(parts).value, overall(parts).ci95, overall(parts).effective_groups
    macro(parts).value                    # every source counts the same

Sentences of one thesis are alike, so a group (thesis, author, site) counts as one observation; and
a corpus is put together from its sources on purpose, so a source's share of the text is no matter
of chance. This is stratified cluster sampling with ratio estimation (Cochran 1977, chapters 5, 6
and 9), made for few and unequal groups:

- Within a source with ratio r, group g has the share w of the denominators and the ratio y. The
  residuals u = y - r hold the variance between groups. The sum of w² u² is Cochran's linearised
  estimator; it is divided by what few groups would leave of it, sum w² (1 - 2 w + q), were the
  variance of y the same for all of them, and multiplied by q = sum w².
- A source with few groups borrows: its residuals are those of the groups of another held-out
  split too, around the ratio of all of them.
- Degrees of freedom are the effective number of groups (Kish 1965), 1 / q, less one; the interval
  is Student's t.
- A source with few groups and none to borrow from is too sure of itself by this. Its variance is
  the jackknife's, (G - 1) / G times the sum of ((w / (1 - w)) u)², each group left out in turn, and
  its degrees of freedom those of that sum for normal y that vary alike (Satterthwaite's, as Bell
  and McCaffrey 2002 take them). With equal groups both ways are the textbook's. Right answers to
  questions vary within a group too, so they are left with the first way, which covers them.
- Over sources, variances add, each times the square of the source's share, and degrees
  of freedom are Satterthwaite's (1946).

A source with one group, and none to borrow from, says nothing of other groups: it is named in
`alone`, and the interval leaves that variance out. docs/significance.md has the measured coverage.

    N  items     G  groups of a source
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from escada.evaluation.ruler import DocumentScores

Floats = NDArray[np.float64]
Interval = tuple[float, float]

LEVEL = 0.05
"""Of a test, and what an interval may miss: the share of differences found where there is none."""
FEW_GROUPS = 30
"""A source with fewer borrows from another split."""


@dataclass(frozen=True, slots=True)
class Items:
    """What a ratio is made of, (N,) each: documents, pairs, passages.

    Attributes:
        sources: of the items; within one, groups vary by chance.
        groups: of the items, named within their source.
        numerators: such as bits, or right answers.
        denominators: such as bytes, or 1 for each question.
        questions: whether the items are such, whose answers vary within a group as well.
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
    """A ratio of sums, or a mean of several, and what is known of its error.

    Attributes:
        value: of the items themselves.
        variance: of the value, were the groups others; None where no source has two groups.
        freedom: degrees of freedom of the variance.
        total: of the denominators.
        squares: sum of the squared denominators of the groups.
        groups: with a denominator above 0.
        alone: sources with one group and none to borrow from; the variance leaves theirs out.
        borrowed: sources whose variance is also that of groups of the other split.
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
        """Kish's number (1965): that of equal groups which would inform as much."""
        return self.total**2 / self.squares if self.squares else 0.0

    @property
    def error(self) -> float | None:
        """Standard error."""
        return None if self.variance is None else math.sqrt(self.variance)

    @property
    def ci95(self) -> Interval | None:
        """Student's t around the value."""
        if self.variance is None or self.freedom is None:
            return None
        reach = _t(self.freedom) * math.sqrt(self.variance)
        return self.value - reach, self.value + reach

    @property
    def share_ci95(self) -> Interval | None:
        """Of a share of right answers (`wilson_interval`).

        The answers count as many as would give this variance if they were independent. Where all
        are right, or none, they count as the effective number of groups.
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
        """Two-sided, that the true value is 0: below `LEVEL` where the interval excludes it."""
        if self.variance is None or self.freedom is None:
            return None
        if self.variance == 0:
            return 1.0 if self.value == 0 else 0.0
        return 2 * float(stats.t.sf(abs(self.value) / math.sqrt(self.variance), self.freedom))


def by_source(items: Items, beside: Items | None = None) -> dict[str, Estimate]:
    """The ratio of each source that has a denominator, by name.

    Args:
        items: to estimate from.
        beside: items of another held-out split, from whose groups a source with few borrows.
    """
    other = {} if beside is None else beside.by_group()
    parts = {
        str(source): _of_source(str(source), *sums, other.get(source), items.questions)
        for source, sums in items.by_group().items()
        if sums[1].sum() > 0
    }
    return dict(sorted(parts.items()))


def overall(parts: Mapping[str, Estimate]) -> Estimate:
    """All items together: sources count as their denominators do."""
    total = sum(part.total for part in parts.values())
    return _mean(parts, {name: part.total / total for name, part in parts.items()})


def macro(parts: Mapping[str, Estimate]) -> Estimate:
    """The mean over sources: every one counts the same, however little text it has."""
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
    """The variance of a group's ratio between groups, and its degrees of freedom (see above)."""
    w = below_G / below_G.sum()
    u = above_G / below_G - above_G.sum() / below_G.sum()
    q = float(w @ w)
    left = float(np.square(w) @ (1 - 2 * w + q))
    return float(np.square(w) @ np.square(u)) / left, max(1.0, 1 / q - 1)


def _jackknife(above_G: Floats, below_G: Floats) -> tuple[float, float]:
    """The variance of the ratio of few groups, and its degrees of freedom (see above)."""
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
    """The sum of independent variances, each with its degrees of freedom (Satterthwaite 1946)."""
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0, min(freedom for _, freedom in parts)
    return variance, variance**2 / sum(part**2 / freedom for part, freedom in parts)


def wilson_interval(share: float, count: float, quantile: float) -> Interval:
    """Of a share of `count` independent cases (Wilson 1927); it stays within 0 and 1."""
    square, spread = quantile**2, share * (1 - share)
    middle = (share + square / (2 * count)) / (1 + square / count)
    within = square * (spread / count + square / (4 * count**2))
    reach = math.sqrt(within) / (1 + square / count)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _t(freedom: float) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, freedom))
