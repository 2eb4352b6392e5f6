"""Where a training starts: at its own last checkpoint, or from another run.

A *warm start* takes only the best weights of a run with the same model and tokenizer. A *continued*
run starts from a copy of a finished run's last checkpoint, with its optimizer, data position and
schedule, as if the budget had been longer from the start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from escada.errors import EscadaError
from escada.files import read_json, write_sealed_json
from escada.runs.checkpoint import (
    has_checkpoint,
    load_checkpoint,
    load_weights,
    save_checkpoint,
    weights_of,
)
from escada.runs.layout import RESTORE
from escada.runs.record import Continued
from escada.runs.run import Run, open_run
from escada.spec import Spec
from escada.text.corpus import Corpus
from escada.training.loop import Training
from escada.training.metrics import read_rows
from escada.training.precision import ResolvedPrecision
from escada.training.state import TrainingState


def at_last_checkpoint(
    run: Run, new_training: Callable[[int, TrainingState | None], Training], device: torch.device
) -> Training:
    """The training of a run at its last checkpoint, or at step 0 if there is none.

    Args:
        run: with `total_steps` recorded.
        new_training: makes a training from `(total_steps, state)`; state None means step 0.

    Raises:
        EscadaError: the checkpoints are damaged or missing.
    """
    steps = run.record.total_steps
    assert steps is not None
    if not has_checkpoint(run.layout.checkpoints):
        _check_none_was_there(run)
        training = new_training(steps, None)
        if run.record.warm_start is not None:
            source = open_run(Path(run.record.warm_start))
            best = source.load_model("best", device)
            load_weights(training.model, weights_of(best), source.path)
        return training
    checkpoint = load_checkpoint(
        run.layout.checkpoints, "last", spec_hash=run.spec.hash, device=device, training=True
    )
    training = new_training(steps, TrainingState(**checkpoint.scalars))
    load_weights(training.model, checkpoint.weights, run.path)
    training.restore(checkpoint)
    return training


def _check_none_was_there(run: Run) -> None:
    """Raise if the run once had a checkpoint: a lost one must not mean a silent restart."""
    rows = read_rows(run.layout)
    # A checkpoint follows every validation, and the cost so far is written after each.
    saved = [row["step"] for row in rows if row["kind"] == "validation"]
    metered = run.layout.cost.exists()
    if metered or run.record.step or (saved and rows[-1]["step"] > saved[0]):
        raise EscadaError("the run's checkpoints are gone", where=run.path, fix=RESTORE)


def check_warm_start(source: Run, spec: Spec, tokenizer_hash: str) -> None:
    """Raise an EscadaError unless model and tokenizer of `source` are those of `spec`."""
    if source.spec.model != spec.model or source.tokenizer.hash != tokenizer_hash:
        raise EscadaError(
            "a warm start needs a run of the same model and tokenizer",
            where=source.path,
            fix="compare the [model] and [tokenizer] tables of both spec.toml files",
        )


def check_continued(
    source: Run, spec: Spec, corpus: Corpus, tokenizer_hash: str, precision: ResolvedPrecision
) -> None:
    """Check that a training of `spec` can continue `source`.

    Raises:
        EscadaError: `source` is unfinished, or its spec, corpus, tokenizer or precision differs.
    """
    if not source.finished or source.record.dry_run:
        raise EscadaError(
            "only a finished run can be continued with another budget",
            where=source.path,
            fix=f"go on with it: escada resume {source.path}",
        )
    same = source.spec.with_budget(spec.train.budget) == spec
    if not same or source.tokenizer.hash != tokenizer_hash or source.corpus_hash != corpus.hash:
        raise EscadaError(
            "a run is continued with its own spec, corpus and tokenizer",
            where=source.path,
            fix="for another begin a run of its own, with --warm-start",
        )
    if source.record.precision.name != precision.name:
        raise EscadaError(
            f"the run was trained in {source.record.precision.name}, here it would be "
            f"{precision.name}",
            where=source.path,
            fix="continue it where it was trained",
        )


def end_of(source: Run) -> Continued:
    """The source of a continued run, for its record."""
    record = source.record
    assert record.step is not None
    assert record.training_seconds is not None
    return Continued(
        run=str(source.path.resolve()),
        key=record.key,
        budget=record.budget,
        step=record.step,
        training_seconds=record.training_seconds,
    )


def carry_over(source: Run, run: Run) -> None:
    """Copy the last checkpoint and the cost sheet of `source` into the run that continues it.

    The best score is reset: the best weights of `source` stay with it.
    """
    last = load_checkpoint(
        source.layout.checkpoints,
        "last",
        spec_hash=source.spec.hash,
        device=torch.device("cpu"),
        training=True,
    )
    state = replace(
        TrainingState(**last.scalars),
        best_bits_per_byte=None,
        best_step=0,
        validations_without_gain=0,
        stopped_early=False,
        logged_rows=0,
    )
    if source.layout.cost.exists():
        write_sealed_json(run.layout.cost, read_json(source.layout.cost))
    began = replace(last, spec_hash=run.spec.hash, scalars=asdict(state))
    save_checkpoint(run.layout.checkpoints, began, best=False)
