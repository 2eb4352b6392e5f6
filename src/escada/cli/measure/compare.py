"""`escada compare`: whether one run, or one recipe, is better than another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from escada.choices import Metric
from escada.cli.shared import options
from escada.errors import EscadaError
from escada.terminal import echo, echo_json, print_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from escada.evaluation.significance import Difference
    from escada.report.schema import ComparisonRow
    from escada.runs.run import Run


def compare(
    runs: options.RunsOrClimbs,
    split: options.Split = "test",
    metric: Annotated[
        Metric,
        typer.Option(help="Perplexity is compared between runs of one tokenizer only."),
    ] = "bits_per_byte",
    data: options.RunData = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """Set runs beside one another: differences with intervals and p-values.

    The runs of a climb are compared as its ladder asks: each rung with the one that it follows.
    Run folders are compared each with every later one; runs that differ only in their seed are one
    recipe.
    """
    from escada.evaluation.task import Subject, complete
    from escada.evaluation.tasks.documents import Documents
    from escada.ladder.comparison import all_pairs, compare_recipes, group, ladder_pairs
    from escada.runs.corpus import corpus_of

    opened = [run for folder in runs for run in _runs_of(folder)]
    recipes = group(opened)
    ladder = any((folder / LADDER).is_file() for folder in runs)
    if len(recipes) < 2:
        alone = f"only one run is named, {opened[0].name}"
        alike = f"the {len(opened)} runs named differ in their seeds only"
        raise EscadaError(
            f"nothing to compare: {alone if len(opened) == 1 else alike}",
            fix="name two runs of different rungs, or a climb of several",
        )
    for run in opened:
        complete(Subject(run, corpus_of(run, data), device=device), Documents(split))
    pairs = ladder_pairs(recipes, split) if ladder else all_pairs(recipes)
    rows = compare_recipes(pairs, split=split, metric=metric)
    if json:
        table = {
            "schema_version": 2,
            "metric": metric,
            "split": split,
            "rows": [row.model_dump(mode="json") for row in rows],
        }
        echo_json(table)
    else:
        _show(rows, metric)


LADDER = "ladder.json"


def _runs_of(folder: Path) -> list[Run]:
    """One run, or those of a climb in the order of its ladder."""
    from escada.runs.run import open_run, runs_of_climb

    ladder = folder / LADDER
    return runs_of_climb(ladder) if ladder.is_file() else [open_run(folder)]


def _show(rows: list[ComparisonRow], metric: str) -> None:
    heads = ("a", "b", "difference", "95 % interval", "p", "verdict", "scope")
    shown: list[tuple[str, ...]] = []
    sources: list[int] = []
    for row in rows:
        difference, *rest = _part(row)
        relative = "" if row.relative is None else f" ({row.relative:+.1%})"
        shown.append((row.a, row.b, difference + relative, *rest, _scope(row)))
        for source, part in row.by_source.items():
            sources.append(len(shown))
            groups = "n = 1" if part.groups == 1 else f"{part.groups} groups"
            shown.append(("", source, *_part(part), groups))
        if len(row.by_source) > 1 and row.macro:
            sources.append(len(shown))
            shown.append(("", "mean of sources", *_part(row.macro), "each source alike"))
    title = f"{metric}, paired by document (negative: a is better)"
    print_table([(head, "left") for head in heads], shown, title=title, dim=sources)
    for row in rows:
        for sentence in _notes(row):
            echo(sentence)


def _part(part: Difference) -> tuple[str, str, str, str]:
    interval = "–" if part.ci95 is None else f"{part.ci95[0]:+.4f}, {part.ci95[1]:+.4f}"
    p_value = "–" if part.p_value is None else f"{part.p_value:.4f}"
    if part.p_value is not None and part.p_value < 0.0001:
        p_value = "<0.0001"
    return f"{part.difference:+.4f}", interval, p_value, part.verdict


def _notes(row: ComparisonRow) -> Iterator[str]:
    """What a verdict alone would hide."""
    pair = f"{row.a} against {row.b}"
    if row.sources_disagree:
        better, worse = (
            ", ".join(s for s, part in row.by_source.items() if part.verdict == verdict)
            for verdict in ("better", "worse")
        )
        yield f"{pair}: sources disagree: better on {better}, worse on {worse}."
    if row.alone:
        yield (
            f"{pair}: n = 1 in {', '.join(row.alone)}: nothing says how its other groups would "
            "come out, so there is no verdict over all documents."
        )


def _scope(row: ComparisonRow) -> str:
    if row.scope == "run" or row.seeds is None:
        return "these two runs"
    documents, seeds = (
        "–" if error is None else f"{error:.3f}"
        for error in (row.standard_error.documents, row.standard_error.seeds)
    )
    counts = f"{len(row.seeds.a)} + {len(row.seeds.b)} seeds"
    return f"recipes, {counts} (± {documents} documents, {seeds} seeds)"
