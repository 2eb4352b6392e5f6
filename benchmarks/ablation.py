"""Each ingredient of a rung off in turn, at equal FLOP, with several seeds: what did it gain?

    python benchmarks/ablation.py v_next --budget "3e12 flop" --seeds 3 --out runs/ablation \
        --off "n-gram tables: model.table_ngrams=[]" \
        --off "Muon: train.optimizer=adam train.learning_rate=0.003"

A trial is a training of its own, found again by its content: the same command goes on where it
was stopped. Trials are compared on the validation documents with the statistics of `escada
compare`, paired by document and seed. Writes OUT/ablation.json and OUT/ablation.md.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from escada.api import open_corpus
from escada.budget import Budget
from escada.files import write_json, write_text
from escada.ladder.comparison import RecipeRuns, compare_recipes
from escada.ladder.grid import is_scored, score
from escada.ladder.training import Training, check_trainings
from escada.ladder.workers import workers
from escada.report.schema import ComparisonRow
from escada.spec import load_spec
from escada.terminal import echo
from escada.text.corpus import Corpus

WHOLE = "whole"
say = partial(echo, err=True)


@dataclass(frozen=True, slots=True)
class Ablation:
    """An ingredient, and the overrides that turn it off."""

    name: str
    overrides: list[str]

    @classmethod
    def parse(cls, text: str) -> Ablation:
        name, overrides = text.split(":", 1)
        return cls(name.strip(), overrides.split())


def trained(given: argparse.Namespace, corpus: Corpus, trials: list[Ablation]) -> list[RecipeRuns]:
    budget, seeds = Budget.parse(given.budget), range(given.seeds)
    trainings = [
        Training(
            *(given.rung, given.preset, budget, seed, corpus, given.out),
            overrides=trial.overrides,
            label=f"{trial.name}, seed {seed}",
        )
        for trial in trials
        for seed in seeds
    ]
    check_trainings(trainings)
    done = partial(is_scored, corpus=corpus, device="auto")
    measure = partial(score, corpus=corpus, say=say, device="auto")
    with workers(given.jobs) as work:
        runs = [run for run, _ in work.finish(trainings, say, done, measure)]
    return [
        RecipeRuns(trial.name, runs[i * len(seeds) : (i + 1) * len(seeds)])
        for i, trial in enumerate(trials)
    ]


def table(rows: list[ComparisonRow], seeds: int) -> str:
    """Markdown: what leaving each ingredient out costs, the dearest first."""
    whole = rows[0]
    lines = [
        f"| without | bits/byte, {seeds} seeds | loss | 95 % | p | tokens | tokens/s |",
        "|---|---:|---:|---|---:|---:|---:|",
        f"| nothing | {whole.figure_b:.4f} | | | | | |",
    ]
    for row in sorted(rows, key=lambda row: -(row.difference or 0.0)):
        low, high = row.ci95 or (float("nan"), float("nan"))
        p = "" if row.p_value is None else f"{row.p_value:.2g}"
        tokens, seconds = (row.cost[name].ratio for name in ("training_tokens", "training_seconds"))
        pace = tokens / seconds if tokens and seconds else float("nan")
        lines.append(
            f"| {row.a} | {row.figure_a:.4f} | {row.difference:+.4f} | {low:+.4f}, {high:+.4f} "
            f"| {p} | × {tokens:.2f} | × {pace:.2f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rung")
    parser.add_argument("--off", action="append", required=True, type=Ablation.parse)
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--budget", default="3e12 flop")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    given = parser.parse_args()
    profile = load_spec(given.rung, preset=given.preset).text.profile
    corpus = open_corpus(given.data, profile)
    whole, *ablated = trained(given, corpus, [Ablation(WHOLE, []), *given.off])
    rows = compare_recipes([(without, whole) for without in ablated], split="validation")
    found = [row.model_dump(mode="json") for row in rows]
    write_json(given.out / "ablation.json", {"schema_version": 1, "rows": found})
    write_text(given.out / "ablation.md", table(rows, given.seeds))
    echo(table(rows, given.seeds))


if __name__ == "__main__":
    main()
