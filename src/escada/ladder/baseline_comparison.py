"""Rungs against baselines, by the test that rungs are compared with among themselves.

    rows = compare_with_baselines(recipes, controls["baselines"], out / "controls.json")

What a baseline was charged for each document is taken from beside the controls. A compressor that
reads the documents in one stream has no such sums: its figure stands for every document, as a fixed
rate, so that the interval is that of the rung alone.
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
from escada.evaluation.task import BESIDE
from escada.evaluation.tasks.minimal_pairs import pair_rows_path as pair_rows_of_run
from escada.files import read_json_lines
from escada.ladder.comparison import RecipeRuns, recipe_of

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
    paths = [pair_rows_of_run(run) for run in a.runs]
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
