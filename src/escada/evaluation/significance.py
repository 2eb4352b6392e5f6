"""Whether one run, or one recipe, is better than another, and how sure that is.

    row = compare(Recipe("v5", [scores of each seed]), Recipe("v4", [...]))
    row.difference, row.ci95, row.p_value, row.verdict, row.scope

**This run against that run** (one seed on either side). The figure of both is taken on the same
documents. The interval is the paired bootstrap over groups; the p-value is that of a sign-flip
permutation test over groups: if the two were equally good, each group's difference would be as
likely to have the other sign (Pitman 1937; Dror et al. 2018, "The Hitchhiker's Guide to Testing
Statistical Significance in NLP"). A difference is called significant when p < 0.05 and the interval
excludes zero: with few or unequal groups the bootstrap alone finds too much (docs/significance.md).

**This recipe against that recipe** (two seeds or more on both sides). Another seed would give other
weights, so the seeds are a sample too. The variance of the difference is the sum of three: that of
the documents (bootstrap over groups of the mean over seeds), and for either side the variance
between its seeds over their number. Interval and p-value are those of a t distribution with the
degrees of freedom of Welch (1947) and Satterthwaite (1946), where the documents count as many as
their effective number of groups (Kish 1965).

    S  seeds     N  documents     G  groups     R  resamples
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from escada.errors import EscadaError, nearest
from escada.evaluation.bootstrap import DRAWS_AT_ONCE, Interval, resampled_ratios
from escada.evaluation.ruler import DocumentScores

Floats = NDArray[np.float64]
Metric = Literal["bits_per_byte", "perplexity"]
Scope = Literal["run", "recipe"]
Verdict = Literal["better", "worse", "undecided"]

METRICS: tuple[Metric, ...] = ("bits_per_byte", "perplexity")
LEVEL = 0.05
"""Of the test: the share of differences found where there is none."""
FLIPS = 9_999
"""Random sign patterns, where not all of them are tried."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rung as it was trained with one or more seeds; all on the same documents.

    Attributes:
        name: what rows call it.
        scores: of each seed's run.
        tokenizer: hash; perplexities are compared only where it is the same.
    """

    name: str
    scores: Sequence[DocumentScores]
    tokenizer: str


@dataclass(frozen=True, slots=True)
class StandardError:
    """Of a difference, in parts; the seeds' is None where there is one only."""

    documents: float | None
    seeds: float | None


@dataclass(frozen=True, slots=True)
class SourceDifference:
    """The difference on the documents of one source; no p-value is corrected for their number."""

    difference: float
    ci95: Interval | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a` against `b`: their figures, the difference a - b, and what can be said of it.

    Attributes:
        scope: whether the statement is about these runs or about their recipes.
        difference: negative where `a` is better.
        relative: the difference over the figure of `b`.
        ci95: None with fewer than two groups of documents.
        p_value: two-sided; None likewise.
        verdict: of `a`.
        standard_error: apart for documents and seeds.
        by_source: the same on each source's documents, as runs (seeds averaged).
    """

    a: str
    b: str
    metric: Metric
    scope: Scope
    seeds: tuple[int, int]
    figure_a: float
    figure_b: float
    difference: float
    relative: float
    ci95: Interval | None
    p_value: float | None
    significant: bool
    verdict: Verdict
    standard_error: StandardError
    by_source: dict[str, SourceDifference]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def compare(
    a: Recipe,
    b: Recipe,
    metric: Metric = "bits_per_byte",
    *,
    resamples: int = 2000,
    flips: int = FLIPS,
    seed: int = 0,
) -> Comparison:
    """`a` against `b`, paired by document.

    Args:
        a: the one that a verdict is about.
        b: the one that it is set beside.
        metric: bits per byte, or perplexity between runs of one tokenizer.
        resamples: of the bootstrap.
        flips: of the permutation test.
        seed: of both.

    Raises:
        EscadaError: not the same documents, an unknown metric, or perplexities of two tokenizers.
    """
    check_comparable(a, b, metric)
    chance = _Chance(resamples, flips, seed)
    losses = _Losses.of(a, b, metric)
    figures_a, figures_b = (
        np.array([losses.figure_of(scores.nats) for scores in recipe.scores]) for recipe in (a, b)
    )
    difference = float(figures_a.mean() - figures_b.mean())
    resampled_R = losses.resampled_difference(chance)
    documents = None if resampled_R is None else float(resampled_R.std(ddof=1))
    scope: Scope = "recipe" if min(len(figures_a), len(figures_b)) > 1 else "run"
    ci95, p_value, seeds = None, None, None
    if resampled_R is not None and documents is not None:
        if scope == "run":
            ci95 = _percentiles(resampled_R)
            p_value = losses.p_value(chance)
        else:
            ci95, p_value, seeds = _with_seeds(
                difference, documents, figures_a, figures_b, losses.effective_groups()
            )
    significant = (
        p_value is not None and ci95 is not None and p_value < LEVEL and not ci95[0] <= 0 <= ci95[1]
    )
    return Comparison(
        a=a.name,
        b=b.name,
        metric=metric,
        scope=scope,
        seeds=(len(figures_a), len(figures_b)),
        figure_a=float(figures_a.mean()),
        figure_b=float(figures_b.mean()),
        difference=difference,
        relative=difference / float(figures_b.mean()),
        ci95=ci95,
        p_value=p_value,
        significant=significant,
        verdict="undecided" if not significant else "better" if difference < 0 else "worse",
        standard_error=StandardError(documents, seeds),
        by_source=losses.by_source(a.scores[0].sources, chance),
    )


def check_comparable(a: Recipe, b: Recipe, metric: str) -> None:
    """Refuse what no statistic can mend.

    Raises:
        EscadaError: see `compare`.
    """
    if metric not in METRICS:
        raise EscadaError(f"unknown metric {metric!r}", fix=nearest(metric, METRICS))
    if metric == "perplexity" and a.tokenizer != b.tokenizer:
        raise EscadaError(
            f"{a.name} and {b.name} have different tokenizers, and perplexity is per token: a "
            "token is another piece of text in each, so their perplexities cannot be compared",
            fix="compare bits per byte, which has the same denominator for both",
        )
    reference = a.scores[0]
    for scores in (*a.scores, *b.scores):
        if scores.ids != reference.ids or not np.array_equal(scores.bytes, reference.bytes):
            raise EscadaError(
                f"{a.name} and {b.name} were not measured on the same documents",
                fix="evaluate both on one corpus, profile and split",
            )


def sign_flip_p_value(
    keys: Sequence[Hashable], differences_N: Floats, *, flips: int = FLIPS, seed: int = 0
) -> float | None:
    """Two-sided p-value of the sum of differences, whole groups changing sign together.

    With so few groups that there are no more than `flips` patterns, all of them are tried;
    otherwise random ones, the observed one counted among them, so that p is never 0.

    Returns:
        None with fewer than two groups.
    """
    numbers: dict[Hashable, int] = {}
    group_of = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    sums_G = np.bincount(group_of, weights=differences_N, minlength=len(numbers))
    n_groups = len(sums_G)
    if n_groups < 2:
        return None
    observed = abs(float(sums_G.sum())) * (1 - 1e-12)  # ties are ties whatever the rounding
    if 2**n_groups <= flips:
        signs_PG = np.array(list(itertools.product((1.0, -1.0), repeat=n_groups)))
        return float(np.mean(np.abs(signs_PG @ sums_G) >= observed))
    rng = np.random.default_rng(seed)
    reached, at_once = 1, max(1, DRAWS_AT_ONCE // n_groups)
    for first in range(0, flips, at_once):
        size = (min(at_once, flips - first), n_groups)
        positive_FG = rng.integers(0, 2, size=size, dtype=np.int8).astype(np.float32)
        sums_F = 2 * (positive_FG @ sums_G) - sums_G.sum()
        reached += int(np.sum(np.abs(sums_F) >= observed))
    return reached / (flips + 1)


def _percentiles(figures_R: Floats) -> Interval:
    low, high = np.quantile(figures_R, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _with_seeds(
    difference: float, documents: float, a_S: Floats, b_S: Floats, effective_groups: float
) -> tuple[Interval, float, float]:
    """Interval, p-value and the seeds' standard error, by Welch's t with a part for documents."""
    parts = [
        (documents**2, max(1.0, effective_groups - 1)),
        (float(a_S.var(ddof=1)) / len(a_S), len(a_S) - 1),
        (float(b_S.var(ddof=1)) / len(b_S), len(b_S) - 1),
    ]
    variance = sum(part for part, _ in parts)
    seeds = math.sqrt(parts[1][0] + parts[2][0])
    if variance == 0:
        return (difference, difference), 1.0 if difference == 0 else 0.0, seeds
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    error = math.sqrt(variance)
    reach = float(stats.t.ppf(1 - LEVEL / 2, freedom)) * error
    p_value = 2 * float(stats.t.sf(abs(difference) / error, freedom))
    return (difference - reach, difference + reach), p_value, seeds


@dataclass(frozen=True, slots=True)
class _Chance:
    """How often resampling and flipping draw, and their seed."""

    resamples: int
    flips: int
    seed: int


@dataclass(frozen=True, slots=True)
class _Losses:
    """Nats of each document under both, averaged over seeds, and what they are divided by."""

    keys: list[tuple[str, str]]
    a_N: Floats
    b_N: Floats
    denominators_N: Floats
    figure: Callable[[Floats], Floats]

    @classmethod
    def of(cls, a: Recipe, b: Recipe, metric: Metric) -> _Losses:
        first = a.scores[0]
        per_byte = metric == "bits_per_byte"
        return cls(
            keys=list(zip(first.sources, first.groups, strict=True)),
            a_N=np.mean([scores.nats for scores in a.scores], axis=0),
            b_N=np.mean([scores.nats for scores in b.scores], axis=0),
            denominators_N=(first.bytes if per_byte else first.tokens).astype(np.float64),
            figure=_in_bits if per_byte else np.exp,
        )

    def figure_of(self, nats_N: Floats) -> float:
        return float(self.figure(nats_N.sum() / self.denominators_N.sum()))

    def resampled_difference(self, chance: _Chance) -> Floats | None:
        """Both figures from the same draws of groups, subtracted: (R,)."""
        drawn = {"resamples": chance.resamples, "seed": chance.seed}
        a_R = resampled_ratios(self.keys, self.a_N, self.denominators_N, **drawn)
        b_R = resampled_ratios(self.keys, self.b_N, self.denominators_N, **drawn)
        return None if a_R is None or b_R is None else self.figure(a_R) - self.figure(b_R)

    def p_value(self, chance: _Chance) -> float | None:
        """Of the sign-flip test."""
        return sign_flip_p_value(
            self.keys, self.a_N - self.b_N, flips=chance.flips, seed=chance.seed
        )

    def effective_groups(self) -> float:
        """Kish's number: that of equal groups which would inform as much."""
        numbers: dict[Hashable, int] = {}
        group_of = [numbers.setdefault(key, len(numbers)) for key in self.keys]
        weights_G = np.bincount(group_of, weights=self.denominators_N)
        return float(weights_G.sum() ** 2 / np.square(weights_G).sum())

    def by_source(self, sources: Sequence[str], chance: _Chance) -> dict[str, SourceDifference]:
        found: dict[str, SourceDifference] = {}
        for source in sorted(set(sources)):
            kept = np.array([other == source for other in sources])
            part = _Losses(
                [key for key, keep in zip(self.keys, kept, strict=True) if keep],
                self.a_N[kept],
                self.b_N[kept],
                self.denominators_N[kept],
                self.figure,
            )
            if part.denominators_N.sum() == 0:
                continue
            resampled_R = part.resampled_difference(chance)
            found[source] = SourceDifference(
                part.figure_of(part.a_N) - part.figure_of(part.b_N),
                None if resampled_R is None else _percentiles(resampled_R),
                part.p_value(chance),
            )
        return found


def _in_bits(nats: Floats) -> Floats:
    return nats / math.log(2)
