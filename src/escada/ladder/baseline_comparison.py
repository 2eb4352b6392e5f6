"""Rungs against baselines, by the test that rungs are compared with among themselves.

    rows = compare_with_baselines(recipes, controls["baselines"], out / "controls.json")

What a baseline was charged for each document is taken from beside the controls. A compressor that
reads the documents in one stream has no such sums: its figure stands for every document, as a fixed
rate, so that the interval is that of the rung alone.

What the test says of a run's rung and the best baseline lies in the run's folder too, for its card.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from escada.evaluation.baselines.corpus_controls import control_scores, pair_rows_path
from escada.evaluation.ruler import DocumentScores
from escada.evaluation.significance import Recipe, compare, compare_answers
from escada.evaluation.tasks.documents import BESIDE
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.files import read_json, read_json_lines, write_json
from escada.ladder.comparison import RecipeRuns, recipe_of
from escada.report.writers.card import BEST_BASELINE

SCHEMA_VERSION = 1
KEPT = (
    *("difference", "ci95", "p_value", "verdict", "scope", "groups", "effective_groups"),
    *("by_source", "sources_disagree", "alone", "borrowed"),
)


def compare_with_baselines(
    recipes: Sequence[RecipeRuns], baselines: Sequence[Mapping[str, Any]], controls: Path
) -> list[dict[str, Any]]:
    """A row for each rung and baseline, as plain JSON values: the rung is `a`.

    Args:
        recipes: measured on test documents.
        baselines: rows of `corpus_controls`.
        controls: the file that they are kept in.
    """
    return [_row(a, baseline, controls) for a in recipes for baseline in baselines]


def best_baseline(baselines: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The one of fewest bits per byte."""
    return min(baselines, key=lambda baseline: baseline["bits_per_byte"])


def keep_best_baseline(
    recipes: Sequence[RecipeRuns],
    baselines: Sequence[Mapping[str, Any]],
    rows: Sequence[Mapping[str, Any]],
) -> None:
    """Write into each run's folder what the rows say of it and the best baseline.

    Args:
        recipes: whose runs they are.
        baselines: rows of `corpus_controls`.
        rows: of `compare_with_baselines`.
    """
    best = best_baseline(baselines)
    for recipe in recipes:
        row = next(row for row in rows if (row["a"], row["b"]) == (recipe.name, best["key"]))
        said = {name: row[name] for name in ("difference", "ci95", "p_value", "verdict", "scope")}
        for run in recipe.runs:
            test = read_json(run.layout.evaluation("test"))
            of = {name: test[name] for name in ("corpus_hash", "weights", "weights_sha256")}
            baseline = {name: best[name] for name in ("key", "name", "bits_per_byte")}
            table = {"schema_version": SCHEMA_VERSION, **of, "baseline": baseline, **said}
            write_json(run.layout.evaluation(BEST_BASELINE), table)


def _row(a: RecipeRuns, baseline: Mapping[str, Any], controls: Path) -> dict[str, Any]:
    rung = recipe_of(a, "test")
    found = compare(rung, _as_recipe(baseline, rung, controls)).to_json()
    return {
        "a": a.name,
        "b": baseline["key"],
        **{name: found[name] for name in KEPT},
        "minimal_pairs": _pairs(a, baseline, controls),
    }


def _as_recipe(baseline: Mapping[str, Any], rung: Recipe, controls: Path) -> Recipe:
    key, splits = baseline["key"], baseline["scored_splits"]
    if not splits:
        bits = baseline["bits_per_byte"]
        scores = [_at_a_rate(rung.scores[0], bits)]
        beside = [_at_a_rate(one, bits) for one in rung.beside[:1]]
    else:
        scores = [control_scores(controls, key)]
        beside = [control_scores(controls, key, BESIDE)] if BESIDE in splits else []
    return Recipe(key, scores, "", beside, deterministic=True)


def _at_a_rate(scores: DocumentScores, bits_per_byte: float) -> DocumentScores:
    return replace(scores, nats=scores.bytes * (bits_per_byte * math.log(2)))


def _pairs(a: RecipeRuns, baseline: Mapping[str, Any], controls: Path) -> dict[str, Any] | None:
    """The difference in accuracy on the minimal pairs; None where one was not asked them."""
    paths = [PAIRS.rows(run) for run in a.runs]
    if "minimal_pairs" not in baseline or not all(path.exists() for path in paths):
        return None
    asked = read_json_lines(pair_rows_path(controls, baseline["key"]))
    of_runs = [read_json_lines(path) for path in paths]
    if any([row["id"] for row in rows] != [row["id"] for row in asked] for rows in of_runs):
        return None
    right_SN = np.array([[row["right"] for row in rows] for rows in of_runs], dtype=np.float64)
    right_N = np.array([row["right"] for row in asked], dtype=np.float64)
    sources, groups = [row["source"] for row in asked], [row["group"] for row in asked]
    return asdict(compare_answers(sources, groups, right_SN.mean(axis=0), right_N))
