"""Evaluate a finished run of a climb, and summarise it in a row of ladder.json.

measure_run(run, corpus, say)               # evaluates what is missing
row = rung_row(run, corpus, out)       # reads the results
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from escada.evaluation.ruler import TEXT_BYTES, in_batches
from escada.evaluation.task import Subject, Task, climb_tasks, evaluate, read_if_there
from escada.report.data import ladder_of_run, read_costs
from escada.report.schema import ComparisonRow, RungRow, StepComparison
from escada.runs.layout import read_whole
from escada.runs.run import Run
from escada.text.corpus import Corpus


def is_measured(
    run: Run, corpus: Corpus, *, device: str = "auto", also: Sequence[Task[Any]] = ()
) -> bool:
    """Whether `measure_run` has nothing to do."""
    subject = Subject(run, corpus, device=device)
    return not any(task.applies(subject) and not task.is_done(subject) for task in _tasks(also))


def measure_run(
    run: Run,
    corpus: Corpus,
    say: Callable[[str], None],
    *,
    device: str = "auto",
    also: Sequence[Task[Any]] = (),
) -> bool:
    """Evaluate and sample a finished run; False if everything was already done.

    A task of `also` replaces a default task of the same name; `say` gets progress messages.
    """
    name = run.spec.name
    say(f"{name}: evaluating")
    subject = Subject(run, corpus, device=device)
    return bool(evaluate(subject, _tasks(also), lambda done: say(f"{name}: {done}")))


def _tasks(also: Sequence[Task[Any]]) -> list[Task[Any]]:
    return list({task.name: task for task in (*climb_tasks(), *also)}.values())


def rung_row(run: Run, corpus: Corpus, out: Path, also: Sequence[Task[Any]] = ()) -> RungRow:
    """The row of a run after `measure_run`; `beats_previous` is filled in later.

    `out` is the climb's folder. The figures of the tasks of `also` go into `tasks`, by task name.
    """
    (row,) = ladder_of_run(run.path, run.path.relative_to(out).as_posix()).rungs
    data = read_whole(run.layout.data, ("training_tokens", "training_bytes"))
    passes = (run.record.training_tokens or 0) / data["training_tokens"]
    figures = {
        task.name: found.figures()
        for task in (*climb_tasks(), *also)
        if task.shows_figures or not task.every_climb
        if (found := read_if_there(run, task))
    }
    unknown = row.unknown_characters | {"train": _unknown_in_training(run, corpus)}
    return row.model_copy(
        update={
            "unknown_characters": unknown,
            "training_bytes": passes * data["training_bytes"],
            "tasks": figures,
            "cost": read_costs(run.layout.cost),
        }
    )


def step_of(row: RungRow, comparisons: Sequence[ComparisonRow]) -> StepComparison | None:
    """The comparison of a rung with the one it follows, or with the nearest present one below.

    `comparisons` are from `ladder_pairs`, which lists this comparison first for each rung.
    """
    found = next((one for one in comparisons if one.a == row.name), None)
    if found is None or row.follows is None:
        return None
    return StepComparison(against=found.b, **dict(found))


def _unknown_in_training(run: Run, corpus: Corpus) -> int:
    """Characters of the training split that the run's tokenizer maps to UNK."""
    tokenizer = run.tokenizer
    if tokenizer.unk_id is None:
        return 0
    texts = (document.text for document in corpus.documents("train"))
    return sum(
        int((ids == tokenizer.unk_id).sum())
        for batch in in_batches(texts, len, TEXT_BYTES)
        for ids in tokenizer.encode_batch(batch)
    )
