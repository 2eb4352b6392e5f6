"""Compare rungs with the baselines, by the same paired test as between rungs.

    rows = compare_with_baselines(recipes, controls.baselines, out / "controls.json")

Per-document sums of a baseline are stored next to the controls file. A compressor that reads all
documents as one stream has none: every document gets its overall rate, so the interval reflects
the rung's variance alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from escada.evaluation.baselines.corpus_controls import (
    BaselineRow,
    control_scores,
    pair_rows_path,
)
from escada.evaluation.ruler import DocumentScores
from escada.evaluation.significance import Difference, Recipe, compare, compare_answers
from escada.evaluation.tasks.documents import BESIDE
from escada.evaluation.tasks.minimal_pairs import PAIRS
from escada.files import read_json_lines, write_sealed_json
from escada.ladder.comparison import RecipeRuns, recipe_of
from escada.report.schema import BaselineComparison, BestBaseline
from escada.report.writers.card import BEST_BASELINE
from escada.runs.layout import read_whole

SCHEMA_VERSION = 1
_Rows = list[dict[str, Any]]


def compare_with_baselines(
    recipes: Sequence[RecipeRuns], baselines: Sequence[BaselineRow], controls: Path
) -> list[BaselineComparison]:
    """One row per rung (`a`) and baseline (`b`); `controls` is the path of the controls file."""
    scores = {
        (baseline.key, split): control_scores(controls, baseline.key, split)
        for baseline in baselines
        for split in baseline.scored_splits
    }
    of_baselines = {
        baseline.key: read_json_lines(pair_rows_path(controls, baseline.key))
        for baseline in baselines
        if baseline.minimal_pairs is not None
    }
    rows: list[BaselineComparison] = []
    for recipe in recipes:
        rung, of_runs = recipe_of(recipe, "test"), _pair_rows(recipe)
        for baseline in baselines:
            found = compare(rung, _as_recipe(baseline, rung, scores))
            pairs = _compare_pairs(of_runs, of_baselines.get(baseline.key))
            rows.append(BaselineComparison(**dict(found), minimal_pairs=pairs))
    return rows


def keep_best_baseline(
    recipes: Sequence[RecipeRuns], best: BaselineRow, rows: Sequence[BaselineComparison]
) -> None:
    """Write each rung's comparison with the best baseline into its run folders, for the card."""
    of_best = {row.a: row for row in rows if row.b == best.key}
    baseline = BaselineRow(key=best.key, name=best.name, bits_per_byte=best.bits_per_byte)
    for recipe in recipes:
        row = of_best[recipe.name]
        for run in recipe.runs:
            of_test = ("corpus_hash", "weights", "weights_sha256")
            test = read_whole(run.layout.evaluation("test"), of_test)
            kept = BestBaseline(
                schema_version=SCHEMA_VERSION,
                **{name: test[name] for name in of_test},
                baseline=baseline,
                **row.model_dump(include={"difference", "ci95", "p_value", "verdict", "scope"}),
            )
            table = kept.model_dump(mode="json", exclude_unset=True)
            write_sealed_json(run.layout.evaluation(BEST_BASELINE), table)


def _as_recipe(
    baseline: BaselineRow, rung: Recipe, kept: Mapping[tuple[str, str], DocumentScores]
) -> Recipe:
    """A baseline as a recipe; `kept` has document sums by (baseline key, split)."""
    if not baseline.scored_splits:
        scores = [_at_a_rate(rung.scores[0], baseline.bits_per_byte)]
        beside = [_at_a_rate(one, baseline.bits_per_byte) for one in rung.beside[:1]]
    else:
        scores = [kept[baseline.key, "test"]]
        beside = [kept[key] for key in ((baseline.key, BESIDE),) if key in kept]
    return Recipe(baseline.key, scores, "", beside, deterministic=True)


def _at_a_rate(scores: DocumentScores, bits_per_byte: float) -> DocumentScores:
    return replace(scores, nats=scores.bytes * (bits_per_byte * math.log(2)))


def _pair_rows(recipe: RecipeRuns) -> list[_Rows] | None:
    """The minimal pairs of every run; None if one has none."""
    paths = [PAIRS.rows(run) for run in recipe.runs]
    return [read_json_lines(path) for path in paths] if all(p.exists() for p in paths) else None


def _compare_pairs(of_runs: list[_Rows] | None, of_baseline: _Rows | None) -> Difference | None:
    """The difference in minimal-pair accuracy; None unless both sides have the same pairs."""
    if of_runs is None or of_baseline is None:
        return None
    if any([row["id"] for row in rows] != [row["id"] for row in of_baseline] for rows in of_runs):
        return None
    right_SN = np.array([[row["right"] for row in rows] for rows in of_runs], dtype=np.float64)
    right_N = np.array([row["right"] for row in of_baseline], dtype=np.float64)
    sources = [row["source"] for row in of_baseline]
    groups = [row["group"] for row in of_baseline]
    return compare_answers(sources, groups, right_SN.mean(axis=0), right_N)
