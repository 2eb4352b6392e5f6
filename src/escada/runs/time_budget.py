"""Compares a training's actual time with its plan.

A time budget becomes a fixed number of steps before the schedule starts, from the measured pace of
a few steps (`escada.training.calibration`); long trainings with other budgets are timed too. A
later change of pace (another process, thermal throttling) changes the time, not the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from escada.budget import Budget

if TYPE_CHECKING:
    from escada.runs.record import RunRecord

ALLOWED = 0.15
"""Share of its planned time by which a training may miss it without a warning."""


def planned_seconds(record: RunRecord) -> float | None:
    """The time budget of a whole training, or its steps at the pace timed before the first one.

    None if no step was timed, and for dry, unfinished or stopped runs.
    """
    whole = record.status == "finished" and not record.stopped_early
    if not whole or record.dry_run:
        return None
    earlier = record.continued_from
    before_seconds, before_steps = (earlier.training_seconds, earlier.step) if earlier else (0.0, 0)
    budget, pace = Budget.parse(record.budget), record.calibrated_seconds_per_step
    if budget.unit == "seconds":
        return before_seconds + budget.amount
    if pace is None or record.total_steps is None:
        return None
    return before_seconds + (record.total_steps - before_steps) * pace


def is_off(seconds: float | None, planned: float | None) -> bool:
    """Whether a training missed its planned time by more than `ALLOWED`."""
    return bool(seconds is not None and planned and abs(seconds / planned - 1) > ALLOWED)


def time_in_words(seconds: float, planned: float | None) -> str:
    """Such as `78 s of 60 s †`; the dagger marks a miss."""
    if planned is None:
        return f"{seconds:.0f} s"
    return f"{seconds:.0f} s of {planned:.0f} s" + (" †" if is_off(seconds, planned) else "")


def time_warning(name: str, seconds: float, planned: float | None) -> str | None:
    """A warning if a training missed its planned time."""
    if planned is None or not is_off(seconds, planned):
        return None
    return (
        f"{name} trained for {seconds:.0f} s, {seconds / planned - 1:+.0%} of the {planned:.0f} s "
        "planned: the pace changed after the steps were fixed (was the machine busy?)"
    )
