"""The time that a training really took, beside the time that it was given.

A budget in seconds becomes a fixed number of steps before the schedule starts, from the pace of a
few steps (`escada.training.calibration`). What the machine does afterwards (another process, a
clock that is lowered for heat) changes the time and not the steps, so the two are told apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from escada.runs.record import RunRecord
    from escada.spec import Spec

ALLOWED = 0.15
"""Share of the budget that a training may be off by without a word."""


def budget_seconds(spec: Spec, record: RunRecord) -> float | None:
    """The time that a run was given; None where its budget is no time, or was not meant to be used.

    Args:
        spec: of the run.
        record: of the run.
    """
    budget = spec.train.budget
    whole = record.status == "finished" and not record.stopped_early
    if budget.unit != "seconds" or not whole or record.dry_run:
        return None
    before = record.continued_from.training_seconds if record.continued_from else 0.0
    return budget.amount + before


def time_in_words(seconds: float, given: float | None) -> str:
    """As `78 s of 60 s`."""
    return f"{seconds:.0f} s" if given is None else f"{seconds:.0f} s of {given:.0f} s"


def time_warning(name: str, seconds: float, given: float | None) -> str | None:
    """A sentence about a training that missed its time by more than `ALLOWED`; else None."""
    if given is None or abs(seconds / given - 1) <= ALLOWED:
        return None
    return (
        f"{name} trained for {seconds:.0f} s, {seconds / given - 1:+.0%} of its budget of "
        f"{given:.0f} s: the pace changed after the steps were fixed (was the machine busy?)"
    )
