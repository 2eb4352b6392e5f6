"""Group runs into recipes and compare recipes in pairs.

    recipes = group(runs)                    # runs that differ only in seed form one recipe
    rows = compare_recipes(recipes, ladder_pairs(recipes), split="test")

A row is the result of `significance.compare` on bits per byte, plus minimal-pair accuracy,
guardrail verdicts and costs from the run folders. Nothing is measured here; what a folder lacks is
None.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from escada.choices import Metric
from escada.errors import EscadaError
from escada.evaluation.ruler import DocumentScores, read_scores
from escada.evaluation.significance import Comparison, Recipe, compare
from escada.evaluation.task import read, read_if_there
from escada.evaluation.tasks.documents import BESIDE, Documents
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.guardrails.task import GUARDRAILS
from escada.report.schema import ComparisonRow, CostRatio, Sides
from escada.runs.run import Run
from escada.spec import read_spec_table, rung_names

COSTS = ("parameters", "training_seconds", "training_flops", "training_tokens", "peak_memory_bytes")


@dataclass(frozen=True, slots=True)
class RecipeRuns:
    """A rung's runs, one per seed, sorted by seed."""

    name: str
    runs: Sequence[Run]

    @property
    def seeds(self) -> list[int]:
        """The seeds of its runs."""
        return [run.seed for run in self.runs]


def group(runs: Iterable[Run]) -> list[RecipeRuns]:
    """Group runs that differ only in seed, keeping the order of first appearance.

    A recipe has its rung's name, or name@hash if two recipes share a name.

    Raises:
        EscadaError: a run given twice, or runs of different corpora.
    """
    by_recipe: dict[tuple[str, str], list[Run]] = {}
    corpora: dict[str, Run] = {}
    for run in runs:
        corpora.setdefault(run.corpus_hash, run)
        of_recipe = by_recipe.setdefault((run.spec.name, run.spec.hash), [])
        if any(other.seed == run.seed for other in of_recipe):
            raise EscadaError(
                f"two runs of {run.spec.name} with seed {run.seed}",
                where=run.path,
                fix="name each run once; a climb's folder stands for all its runs",
            )
        of_recipe.append(run)
    if len(corpora) > 1:
        first, second, *_ = corpora.values()
        raise EscadaError(
            f"{first.name} and {second.name} were trained on different corpora: held-out documents "
            "of one may be training documents of the other",
            where=second.path,
            fix="compare runs of one corpus",
        )
    names = [name for name, _ in by_recipe]
    return [
        RecipeRuns(
            name if names.count(name) == 1 else f"{name}@{spec_hash[:6]}",
            sorted(of_recipe, key=lambda run: run.seed),
        )
        for (name, spec_hash), of_recipe in by_recipe.items()
    ]


def ladder_pairs(
    recipes: Sequence[RecipeRuns], split: str = "test"
) -> list[tuple[RecipeRuns, RecipeRuns]]:
    """The comparisons of a ladder: each rung with the one it follows and those in `also_against`.

    If the rung it follows is absent, the nearest present one below it is used. The last pair is the
    best rung against the second best, unless already listed.
    """
    by_rung = {recipe.runs[0].spec.name: recipe for recipe in recipes}
    pairs: list[tuple[RecipeRuns, RecipeRuns]] = []
    for recipe in recipes:
        about = recipe.runs[0].spec.about
        others = [_nearest_below(about.follows, by_rung), *about.also_against]
        pairs += [(recipe, by_rung[other]) for other in others if other in by_rung]
    if len(recipes) > 1:
        first, second = sorted(recipes, key=lambda recipe: _figure(recipe, split))[:2]
        if (first, second) not in pairs and (second, first) not in pairs:
            pairs.append((first, second))
    return pairs


def _nearest_below(name: str | None, present: Container[str]) -> str | None:
    known = rung_names()
    while name is not None and name not in present and name in known:
        name = read_spec_table(name)[0]["about"].get("follows")
    return name


def _figure(recipe: RecipeRuns, split: str) -> float:
    figures = [read(run, Documents(split)).bits_per_byte for run in recipe.runs]
    return float(np.mean(figures))


def all_pairs(recipes: Sequence[RecipeRuns]) -> list[tuple[RecipeRuns, RecipeRuns]]:
    """Each recipe against every later one."""
    return [(a, b) for i, a in enumerate(recipes) for b in recipes[i + 1 :]]


def compare_recipes(
    pairs: Sequence[tuple[RecipeRuns, RecipeRuns]],
    *,
    split: str = "test",
    metric: Metric = "bits_per_byte",
) -> list[ComparisonRow]:
    """One row per pair.

    Raises:
        EscadaError: a run was not evaluated on the split, or `significance.compare` refuses.
    """
    by_name = {recipe.name: recipe for pair in pairs for recipe in pair}
    scored = {name: recipe_of(recipe, split) for name, recipe in by_name.items()}
    return [_row(a, b, compare(scored[a.name], scored[b.name], metric), split) for a, b in pairs]


def _row(a: RecipeRuns, b: RecipeRuns, found: Comparison, split: str) -> ComparisonRow:
    return ComparisonRow(
        **dict(found),
        seeds=Sides(a=a.seeds, b=b.seeds),
        runs=Sides(a=[run.name for run in a.runs], b=[run.name for run in b.runs]),
        split=split,
        protocols=Sides(a=_protocol(a, split), b=_protocol(b, split)),
        minimal_pairs=Sides(a=_pairs_accuracy(a), b=_pairs_accuracy(b)),
        guardrails=Sides(a=_guardrails(a), b=_guardrails(b)),
        cost={name: _cost(a, b, name) for name in COSTS},
    )


def recipe_of(recipe: RecipeRuns, split: str) -> Recipe:
    """A rung's runs with their sums per document.

    Raises:
        EscadaError: a run was not evaluated on the split.
    """
    scores = [read_scores(run.layout.document_scores(split)) for run in recipe.runs]
    beside: list[DocumentScores] = []
    if split == "test" and all(run.layout.document_scores(BESIDE).exists() for run in recipe.runs):
        beside = [read_scores(run.layout.document_scores(BESIDE)) for run in recipe.runs]
    return Recipe(recipe.name, scores, recipe.runs[0].tokenizer.hash, beside)


def _protocol(recipe: RecipeRuns, split: str) -> str:
    return read(recipe.runs[0], Documents(split)).protocol


def _pairs_accuracy(recipe: RecipeRuns) -> float | None:
    """Mean over seeds; None if any run has no result."""
    return _mean([r and r.accuracy for r in (read_if_there(run, PAIRS) for run in recipe.runs)])


def _guardrails(recipe: RecipeRuns) -> str | None:
    found = [r and r.verdict for r in (read_if_there(run, GUARDRAILS) for run in recipe.runs)]
    return next((v for v in ("fail", "invalid", "pass") if v in found), None)


def _cost(a: RecipeRuns, b: RecipeRuns, name: str) -> CostRatio:
    of_a, of_b = (_mean([getattr(run.record, name) for run in recipe.runs]) for recipe in (a, b))
    return CostRatio(a=of_a, b=of_b, ratio=of_a / of_b if of_a and of_b else None)


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if any value is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
