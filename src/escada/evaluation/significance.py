"""Paired comparison of runs and recipes, with intervals and p-values.

    row = compare(Recipe("v5", [scores of each seed]), Recipe("v4", [...]))
    row.difference, row.ci95, row.p_value, row.verdict, row.scope

The same rule applies to rungs and baselines, to all documents and to those of one source: `a` is
better or worse where p < 0.05, that is, where the 95 % interval of the difference excludes zero.

**Runs** (one seed on either side): the difference in bits is taken per document, and its ratio to
the bytes is estimated over groups within sources (`statistics`).

**Recipes** (two seeds or more on both sides): the seeds are a sample too. Each side adds the
variance between its seeds over their number, with degrees of freedom by Welch (1947) and
Satterthwaite (1946). A deterministic baseline adds nothing.

Where a source has one group and none to borrow from, there is no verdict over all documents.

    S  seeds     N  documents
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from escada.choices import METRICS, Metric
from escada.errors import EscadaError, nearest
from escada.evaluation.ruler import DocumentScores
from escada.evaluation.statistics import (
    LEVEL,
    Estimate,
    Items,
    added,
    by_source,
    estimate,
    macro,
    overall,
)
from escada.typed_json import Interval, JsonObject

Floats = NDArray[np.float64]
Scope = Literal["run", "recipe"]
Verdict = Literal["better", "worse", "undecided"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A rung trained with one or more seeds and evaluated on the same documents.

    Attributes:
        scores: of each seed's run.
        tokenizer: its hash; perplexities are compared only where it is equal.
        beside: scores of the runs on another held-out split, for sources with few groups to borrow
            from; empty where not measured.
        deterministic: retraining gives the same figures, as for an n-gram model.
    """

    name: str
    scores: Sequence[DocumentScores]
    tokenizer: str
    beside: Sequence[DocumentScores] = ()
    deterministic: bool = False


class StandardError(JsonObject):
    """Standard error of a difference, by component; `seeds` is None for a single seed."""

    documents: float | None = None
    seeds: float | None = None


class Difference(JsonObject):
    """A difference, its interval and the verdict.

    Attributes:
        difference: negative where `a` is better.
        ci95: None where no source has two groups, or one has a single group ("n = 1").
        p_value: two-sided; None like ci95.
        verdict: on `a`.
        effective_groups: equal groups that would be as informative (Kish).
    """

    difference: float
    ci95: Interval | None = None
    p_value: float | None = None
    verdict: Verdict = "undecided"
    groups: int | None = None
    effective_groups: float | None = None

    @classmethod
    def of(cls, found: Estimate) -> Difference:
        """The difference described by an estimate."""
        p_value = None if found.alone else found.p_value
        return Difference(
            difference=found.value,
            ci95=None if found.alone else found.ci95,
            p_value=p_value,
            verdict=verdict_of(found.value, p_value),
            groups=found.groups,
            effective_groups=found.effective_groups,
        )


def verdict_of(difference: float, p_value: float | None) -> Verdict:
    """The rule behind every verdict; fewer bits are better."""
    if p_value is None or p_value >= LEVEL:
        return "undecided"
    return "better" if difference < 0 else "worse"


class Comparison(Difference):
    """`a` against `b`: their figures, and the difference a - b.

    Attributes:
        scope: whether this compares runs or recipes.
        relative: the difference over the figure of `b`.
        by_source: the differences on each source's documents, as runs (seeds averaged).
        macro: the mean of the sources' differences, as runs.
        sources_disagree: `a` is better on one source and worse on another.
        alone: sources with one group and none to borrow from.
        borrowed: sources whose variance also uses the other split's groups.
    """

    a: str
    b: str
    metric: Metric = "bits_per_byte"
    scope: Scope = "run"
    figure_a: float | None = None
    figure_b: float | None = None
    relative: float | None = None
    significant: bool = False
    standard_error: StandardError = StandardError()
    by_source: dict[str, Difference] = Field(default_factory=dict[str, Difference])
    macro: Difference | None = None
    sources_disagree: bool = False
    alone: tuple[str, ...] = ()
    borrowed: tuple[str, ...] = ()


def compare(a: Recipe, b: Recipe, metric: Metric = "bits_per_byte") -> Comparison:
    """`a` against `b`, paired by document; perplexity needs the same tokenizer.

    Raises:
        EscadaError: different documents, an unknown metric, or perplexities of two tokenizers.
    """
    check_comparable(a, b, metric)
    losses = _Losses.of(a.scores, b.scores, metric)
    beside = _Losses.of(a.beside, b.beside, metric) if a.beside and b.beside else None
    documents, sources = losses.differences(beside)
    figures_a, figures_b = (
        np.array([losses.figure_of(scores.nats) for scores in recipe.scores]) for recipe in (a, b)
    )
    chances = [
        figures for figures, recipe in ((figures_a, a), (figures_b, b)) if not recipe.deterministic
    ]
    scope: Scope = "recipe" if all(len(figures) > 1 for figures in chances) else "run"
    found, seeds = documents, None
    if scope == "recipe":
        found, seeds = _with_seeds(documents, chances)
    all_documents = Difference.of(found)
    each = {name: Difference.of(part) for name, part in sources.items()}
    return Comparison(
        a=a.name,
        b=b.name,
        metric=metric,
        scope=scope,
        figure_a=float(figures_a.mean()),
        figure_b=float(figures_b.mean()),
        relative=all_documents.difference / float(figures_b.mean()),
        significant=all_documents.verdict != "undecided",
        standard_error=StandardError(documents=documents.error, seeds=seeds),
        by_source=each,
        macro=Difference.of(macro(sources)),
        sources_disagree={"better", "worse"} <= {part.verdict for part in each.values()},
        alone=found.alone,
        borrowed=found.borrowed,
        **dict(all_documents),
    )


def check_comparable(a: Recipe, b: Recipe, metric: str) -> None:
    """Raise if two recipes cannot be compared; see `compare`."""
    if metric not in METRICS:
        raise EscadaError(f"unknown metric {metric!r}", fix=nearest(metric, METRICS))
    if metric == "perplexity" and a.tokenizer != b.tokenizer:
        raise EscadaError(
            f"{a.name} and {b.name} have different tokenizers, and perplexity is per token: a "
            "token is another piece of text in each, so their perplexities cannot be compared",
            fix="compare bits per byte, which has the same denominator for both",
        )
    first = a.scores[0]
    for scores in (*a.scores, *b.scores):
        if scores.ids != first.ids or not np.array_equal(scores.bytes, first.bytes):
            raise EscadaError(
                f"{a.name} and {b.name} were not measured on the same documents",
                fix="evaluate both on one corpus, profile and split",
            )


def compare_answers(
    sources: Sequence[str], groups: Sequence[str], a_N: Floats, b_N: Floats
) -> Difference:
    """The accuracy of `a` minus that of `b` on the same questions; 1 is right, 0 is wrong."""
    right = Items(sources, groups, a_N - b_N, np.ones(len(a_N)), questions=True)
    told = Difference.of(estimate(right))
    verdict = verdict_of(-told.difference, told.p_value)
    return told.model_copy(update={"verdict": verdict})


def _with_seeds(documents: Estimate, chances: Sequence[Floats]) -> tuple[Estimate, float]:
    """The difference of recipes, and the seeds' part of its standard error."""
    seeds = [(float(each.var(ddof=1)) / len(each), float(len(each) - 1)) for each in chances]
    error = math.sqrt(sum(part for part, _ in seeds))
    if documents.variance is None or documents.freedom is None:
        return documents, error
    variance, freedom = added([(documents.variance, documents.freedom), *seeds])
    return replace(documents, variance=variance, freedom=freedom), error


@dataclass(frozen=True, slots=True)
class _Losses:
    """Nats of each document under `a` and `b`, averaged over seeds, and the denominators."""

    sources: Sequence[str]
    groups: Sequence[str]
    a_N: Floats
    b_N: Floats
    denominators_N: Floats
    metric: Metric

    @classmethod
    def of(
        cls, a: Sequence[DocumentScores], b: Sequence[DocumentScores], metric: Metric
    ) -> _Losses:
        first = a[0]
        per_byte = metric == "bits_per_byte"
        return cls(
            sources=first.sources,
            groups=first.groups,
            a_N=np.mean([scores.nats for scores in a], axis=0),
            b_N=np.mean([scores.nats for scores in b], axis=0),
            denominators_N=(first.bytes if per_byte else first.tokens).astype(np.float64),
            metric=metric,
        )

    def figure_of(self, nats_N: Floats) -> float:
        """Bits per byte, or perplexity, over all documents."""
        nats = float(nats_N.sum() / self.denominators_N.sum())
        return nats / math.log(2) if self.metric == "bits_per_byte" else math.exp(nats)

    def differences(self, beside: _Losses | None) -> tuple[Estimate, dict[str, Estimate]]:
        """The difference over all documents, and by source."""
        if self.metric == "bits_per_byte":
            parts = by_source(self._items(), None if beside is None else beside._items())
            return overall(parts), parts
        sources = np.array(self.sources)
        parts = {
            name: self._of(sources == name)._perplexity()
            for name in sorted(set(self.sources))
            if self.denominators_N[sources == name].sum() > 0
        }
        return self._perplexity(), parts

    def _items(self) -> Items:
        bits_N = (self.a_N - self.b_N) / math.log(2)
        return Items(self.sources, self.groups, bits_N, self.denominators_N)

    def _perplexity(self) -> Estimate:
        """Difference of exponentials, linearised by the delta method."""
        a, b = self.figure_of(self.a_N), self.figure_of(self.b_N)
        linear_N = a * self.a_N - b * self.b_N
        found = overall(by_source(Items(self.sources, self.groups, linear_N, self.denominators_N)))
        return replace(found, value=a - b)

    def _of(self, kept_N: NDArray[np.bool_]) -> _Losses:
        def some(values: Sequence[str]) -> list[str]:
            return [value for value, keep in zip(values, kept_N, strict=True) if keep]

        sums = (self.a_N[kept_N], self.b_N[kept_N], self.denominators_N[kept_N])
        return _Losses(some(self.sources), some(self.groups), *sums, self.metric)
