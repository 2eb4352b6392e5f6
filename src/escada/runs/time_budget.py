"""Compares a training's actual time with its time budget.

A time budget becomes a fixed number of steps before the schedule starts, from the measured pace of
a few steps (`escada.training.calibration`). A later change of pace (another process, thermal
throttling) changes the time, not the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from escada.runs.record import RunRecord
    from escada.spec import Spec

ALLOWED = 0.15
"""Share of the budget by which a training may miss it without a warning."""


def budget_seconds(spec: Spec, record: RunRecord) -> float | None:
    """The time budget of a run; None for other budgets and dry, unfinished or stopped runs."""
    budget = spec.train.budget
    whole = record.status == "finished" and not record.stopped_early
    if budget.unit != "seconds" or not whole or record.dry_run:
        return None
    before = record.continued_from.training_seconds if record.continued_from else 0.0
    return budget.amount + before


def time_in_words(seconds: float, given: float | None) -> str:
    """Such as `78 s of 60 s`."""
    return f"{seconds:.0f} s" if given is None else f"{seconds:.0f} s of {given:.0f} s"


def time_warning(name: str, seconds: float, given: float | None) -> str | None:
    """A warning if a training missed its time budget by more than `ALLOWED`."""
    if given is None or abs(seconds / given - 1) <= ALLOWED:
        return None
    return (
        f"{name} trained for {seconds:.0f} s, {seconds / given - 1:+.0%} of its budget of "
        f"{given:.0f} s: the pace changed after the steps were fixed (was the machine busy?)"
    )
