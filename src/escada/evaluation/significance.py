"""Whether one run, or one recipe, is better than another, and how sure that is.

    row = compare(Recipe("v5", [scores of each seed]), Recipe("v4", [...]))
    row.difference, row.ci95, row.p_value, row.verdict, row.scope

One rule for rungs and baselines, over all documents and over those of a source: `a` is better, or
worse, where p < 0.05, which is where the 95 % interval of the difference excludes zero; otherwise
it is undecided. Interval and p-value are of one Student's t.

**This run against that run** (one seed on either side). The difference of each document's bits is
taken within it, and its ratio to the bytes estimated over groups within sources (`statistics`).

**This recipe against that recipe** (two seeds or more on both sides). Another seed would give other
weights, so the seeds are a sample too: the variance between a side's seeds over their number is
added, with the degrees of freedom of Welch (1947) and Satterthwaite (1946). A baseline that
involves no chance (`Recipe.deterministic`) has no such part.

Where a source has one group and none to borrow from, nothing is decided over all documents.

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
    """A rung as it was trained with one or more seeds; all on the same documents.

    Attributes:
        name: what rows call it.
        scores: of each seed's run.
        tokenizer: hash; perplexities are compared only where it is the same.
        beside: of each seed's run on another held-out split, for sources with few groups; empty
            where that was not measured.
        deterministic: another training would give the same figures, as of an n-gram model.
    """

    name: str
    scores: Sequence[DocumentScores]
    tokenizer: str
    beside: Sequence[DocumentScores] = ()
    deterministic: bool = False


class StandardError(JsonObject):
    """Of a difference, in parts; the seeds' is None where there is one only."""

    documents: float | None = None
    seeds: float | None = None


class Difference(JsonObject):
    """A difference and what can be said of it; over few groups, little.

    Attributes:
        difference: negative where `a` is better.
        ci95: None where no source has two groups, or one has a single group ("n = 1").
        p_value: two-sided; None likewise.
        verdict: of `a`.
        groups: of documents.
        effective_groups: equal groups which would inform as much (Kish).
    """

    difference: float
    ci95: Interval | None = None
    p_value: float | None = None
    verdict: Verdict = "undecided"
    groups: int | None = None
    effective_groups: float | None = None

    @classmethod
    def of(cls, found: Estimate) -> Difference:
        """What an estimate of a difference says."""
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
    """The rule that every verdict comes from; fewer bits are better."""
    if p_value is None or p_value >= LEVEL:
        return "undecided"
    return "better" if difference < 0 else "worse"


class Comparison(Difference):
    """`a` against `b`: their figures, the difference a - b, and what can be said of it.

    Attributes:
        scope: whether the statement is about these runs or about their recipes.
        relative: the difference over the figure of `b`.
        standard_error: apart for documents and seeds.
        by_source: the same on each source's documents, as runs (seeds averaged).
        macro: the mean of the sources' differences, as runs.
        sources_disagree: `a` is better on one source and worse on another.
        alone: sources with one group and none to borrow from.
        borrowed: sources whose variance is also that of the other split's groups.
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
    """`a` against `b`, paired by document.

    Args:
        a: the one that a verdict is about.
        b: the one that it is set beside.
        metric: bits per byte, or perplexity between runs of one tokenizer.

    Raises:
        EscadaError: not the same documents, an unknown metric, or perplexities of two tokenizers.
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
    """Refuse what no statistic can fix.

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
    for scores in (*a.scores, *b.scores):
        if not _same_documents(scores, a.scores[0]):
            raise EscadaError(
                f"{a.name} and {b.name} were not measured on the same documents",
                fix="evaluate both on one corpus, profile and split",
            )


def compare_answers(
    sources: Sequence[str], groups: Sequence[str], a_N: Floats, b_N: Floats
) -> Difference:
    """The accuracy of `a` less that of `b` on the same questions; more right answers are better.

    Args:
        sources: of the questions.
        groups: of the questions.
        a_N: 1 where `a` is right, 0 where not.
        b_N: the same of `b`.
    """
    right = Items(sources, groups, a_N - b_N, np.ones(len(a_N)), questions=True)
    found = estimate(right)
    told = Difference.of(found)
    verdict = verdict_of(-told.difference, told.p_value)
    return told.model_copy(update={"verdict": verdict})


def _same_documents(scores: DocumentScores, other: DocumentScores) -> bool:
    return scores.ids == other.ids and np.array_equal(scores.bytes, other.bytes)


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
    """Nats of each document under both, averaged over seeds, and what they are divided by."""

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
        """Bits per byte or perplexity of all documents together."""
        nats = float(nats_N.sum() / self.denominators_N.sum())
        return nats / math.log(2) if self.metric == "bits_per_byte" else math.exp(nats)

    def differences(self, beside: _Losses | None) -> tuple[Estimate, dict[str, Estimate]]:
        """Over all documents, and over those of each source."""
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
        """A difference of exponentials, by its derivative (the delta method)."""
        a, b = self.figure_of(self.a_N), self.figure_of(self.b_N)
        linear_N = a * self.a_N - b * self.b_N
        found = overall(by_source(Items(self.sources, self.groups, linear_N, self.denominators_N)))
        return replace(found, value=a - b)

    def _of(self, kept_N: NDArray[np.bool_]) -> _Losses:
        def some(values: Sequence[str]) -> list[str]:
            return [value for value, keep in zip(values, kept_N, strict=True) if keep]

        sums = (self.a_N[kept_N], self.b_N[kept_N], self.denominators_N[kept_N])
        return _Losses(some(self.sources), some(self.groups), *sums, self.metric)
