"""`escada evaluate RUN --kept`: the same measurements at each step whose weights were kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from escada.errors import EscadaError
from escada.files import read_json
from escada.terminal import echo, echo_json, print_table

if TYPE_CHECKING:
    from escada.evaluation.task import Subject
    from escada.evaluation.tasks.acquisition import AcquisitionStep
    from escada.runs.run import Run


def measure(run: Run, names: list[str], data: Path | None, device: str, *, json: bool) -> None:
    """Print what these tasks found at each kept step, or without any the acquisition curves.

    Raises:
        EscadaError: nothing was kept, the training is not finished, or a task does not apply.
    """
    from escada.evaluation.task import Subject
    from escada.evaluation.tasks.acquisition import ACQUISITION
    from escada.runs.corpus import corpus_of
    from escada.runs.kept import kept_in, need_kept

    if not kept_in(run):
        raise EscadaError("the run has kept no weights", where=run.path, fix=need_kept())
    if not run.finished:
        what = "the training is not finished"
        raise EscadaError(what, where=run.path, fix=f"go on with it: escada resume {run.path}")
    subject = Subject(run, corpus_of(run, data), device=device)
    if names:
        _named(subject, names, json)
        return
    echo(f"evaluating {run.name} at {len(kept_in(run))} steps", err=True)
    found = subject.need(ACQUISITION)
    if json:
        echo_json(read_json(ACQUISITION.path(run)))
        return
    phenomena = list(found.steps[-1].agreement)
    heads = ["step", "tokens", "bits/byte", *phenomena, "lexicon"]
    print_table([(head, "right") for head in heads], [_row(one) for one in found.steps])


def _row(at: AcquisitionStep) -> tuple[str, ...]:
    shares = (f"{share.accuracy:.1%}" for share in at.agreement.values())
    return (
        *(f"{at.step:,}", f"{at.tokens:,}", f"{at.bits_per_byte:.3f}"),
        *(*shares, f"{at.lexicon_share:.1%}"),
    )


def _named(subject: Subject, names: list[str], json: bool) -> None:
    """These tasks, evaluated at each kept step where that was not done."""
    from escada.evaluation.task import evaluate, find_tasks, read
    from escada.evaluation.tasks.acquisition import subjects
    from escada.runs.kept import KeptRun

    tasks = [task for name in names for task in find_tasks(name)]
    tables: dict[str, dict[str, object]] = {}
    for at in subjects(subject):
        assert isinstance(at.run, KeptRun)
        step = at.run.step
        if refused := [task.name for task in tasks if not task.applies(at)]:
            what = f"no such task at a kept step of this run and corpus: {refused[0]!r}"
            raise EscadaError(what, where=f"{subject.run.path}, {subject.corpus.path}")
        evaluate(at, tasks, lambda done, step=step: echo(f"step {step:,}: {done}", err=True))
        tables[str(step)] = {task.name: read_json(task.path(at.run)) for task in tasks}
        if json:
            continue
        for task in tasks:
            for figure in read(at.run, task).figures():
                ends = f"  [{figure.ci95[0]:.4f}, {figure.ci95[1]:.4f}]" if figure.ci95 else ""
                shown = f"{figure.name} {figure.value:.4f} {figure.unit}{ends}"
                echo(f"{step:>10,}  {task.name:14} {shown}")
    if json:
        echo_json(tables)
