"""Learning rate schedules, as a factor on the optimizer's initial rates.

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate_factor(train, step, total_steps)

A schedule is one module, in this folder or importable by dotted name, with a function `factor`.
The factor scales all rates of an optimizer together.
"""

from __future__ import annotations

from escada.spec import SCHEDULES, TrainSpec


def rate_factor(train: TrainSpec, step: int, total_steps: int) -> float:
    """The factor of 0-based `step`, from 0 to 1: a linear warm-up, then the spec's schedule."""
    warmup = train.warmup.steps(total_steps)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES.load(train.schedule).factor(train, step, total_steps)
