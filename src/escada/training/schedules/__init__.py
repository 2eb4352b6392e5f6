"""The learning rate over a training, as a factor on the optimizer's own rates.

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate_factor(train, step, total_steps)

One file is one schedule, of this folder or anywhere on the path: its function `factor` of a step.
So an optimizer with several rates moves them all together.
"""

from __future__ import annotations

from escada.spec import SCHEDULES, TrainSpec


def rate_factor(train: TrainSpec, step: int, total_steps: int) -> float:
    """What 0-based `step` multiplies the initial rates with, from 0 to 1.

    A linear warm-up, then the spec's schedule.
    """
    warmup = train.warmup.steps(total_steps)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES.load(train.schedule).factor(train, step, total_steps)
