"""`escada cloze`: whether a run finds the last word of a passage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from escada.cli.shared import options
from escada.errors import counted
from escada.files import read_json
from escada.terminal import echo, echo_json

if TYPE_CHECKING:
    from escada.evaluation.tasks.cloze import ClozeResult
    from escada.runs.run import Run


Baselines = list[dict[str, Any]]
"""Rows as `cloze_baselines` of ladder.json has them."""


def cloze(
    run: options.RunFolder,
    file: Annotated[
        Path | None,
        typer.Option(
            help="CALAME-PT, LAMBADA-PT or your own: rows with 'sentence' and 'last_word', or "
            "with 'text'. Nothing is stored."
        ),
    ] = None,
    data: options.RunData = None,
    device: options.Device = "auto",
    json: options.Json = False,
    trust_code: options.TrustCode = False,
) -> None:
    """The last word of held-out passages: how often greedy decoding writes it, and its bits."""
    from escada.runs.run import open_run

    opened = open_run(run)
    if file is None:
        found, table, baselines = _of_corpus(opened, data, device)
    else:
        found, baselines = _of_file(opened, file, device), []
        table = found.to_json()
    if json:
        echo_json(table)
    else:
        _show(found, baselines)


def _of_corpus(
    run: Run, data: Path | None, device: str
) -> tuple[ClozeResult, dict[str, object], Baselines]:
    """The figures, the JSON that `--json` prints, and what baselines got."""
    from escada.evaluation.baselines.cloze import guesses
    from escada.evaluation.task import Subject
    from escada.evaluation.tasks.cloze import CLOZE, SPLIT, cloze_items
    from escada.runs.corpus import corpus_of

    corpus = corpus_of(run, data)
    found = Subject(run, corpus, device=device).need(CLOZE)
    items = cloze_items(corpus.documents(SPLIT))
    baselines = [*guesses(corpus, items), *_ngrams_of_climb(run, len(items))]
    return found, {**read_json(CLOZE.path(run)), "baselines": baselines}, baselines


def _ngrams_of_climb(run: Run, items: int) -> Baselines:
    """What the n-gram model of the run's climb, which takes long to fit, got at these passages."""
    from escada.ladder.climb import LADDER

    path = run.path.parent / LADDER
    ladder = read_json(path) if path.exists() else {}
    if ladder.get("corpus", {}).get("hash") != run.corpus_hash:
        return []
    rows: Baselines = ladder.get("cloze_baselines", [])
    return [row for row in rows if row["key"] == "kneser_ney" and row["items"] == items]


def _of_file(run: Run, file: Path, device: str) -> ClozeResult:
    from escada.evaluation.portuguese.question_files import read_cloze
    from escada.evaluation.tasks.cloze import score_cloze
    from escada.runs.device import resolve_device

    profile = run.spec.text.profile
    items = read_cloze(file, profile)
    model = run.load_model(device=resolve_device(device))
    found = score_cloze(model, run.tokenizer, items, profile=profile)
    return found.summary(profile=profile, split=str(file))


def _show(found: ClozeResult, baselines: Baselines) -> None:
    echo(f"words written  {_with_interval(found.accuracy, found.ci95, '.2%')}")
    if found.bits_per_word is not None:
        bits = _with_interval(found.bits_per_word, found.bits_per_word_ci95, ".2f")
        echo(f"bits per word  {bits}")
    groups = counted(found.groups, "group")
    echo(f"passages       {found.items:,} of {groups}, {found.split}")
    for row in baselines:
        accuracy = _with_interval(row["accuracy"], row["ci95"], ".2%")
        echo(f"words written by a baseline, {row['name']}: {accuracy}")


def _with_interval(value: float, interval: tuple[float, float] | None, form: str) -> str:
    if not interval:
        return f"{value:{form}}"
    return f"{value:{form}}  [{interval[0]:{form}}, {interval[1]:{form}}]"
