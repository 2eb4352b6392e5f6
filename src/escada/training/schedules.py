"""The learning rate over a training, as a factor on the optimizer's own rates.

    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"] * rate_factor(train, step, total_steps)

A schedule is one function of a step, so an optimizer with several rates moves them all together.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from escada.spec import TrainSpec


def rate_factor(train: TrainSpec, step: int, total_steps: int) -> float:
    """What 0-based `step` multiplies the initial rates with, from 0 to 1.

    A linear warm-up, then the spec's schedule.
    """
    warmup = train.warmup.steps(total_steps)
    if step < warmup:
        return (step + 1) / warmup
    return SCHEDULES[train.schedule](train, step, total_steps)


def constant(train: TrainSpec, step: int, total_steps: int) -> float:
    """1, to the end."""
    return 1.0


def cosine(train: TrainSpec, step: int, total_steps: int) -> float:
    """Half a cosine down to `min_learning_rate_ratio` (Loshchilov & Hutter 2017).

    It stays there, so that a step past the end is never trained at a rate that rises again.
    """
    warmup = train.warmup.steps(total_steps)
    progress = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
    floor = train.min_learning_rate_ratio
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2


def trapezoid(train: TrainSpec, step: int, total_steps: int) -> float:
    """Constant, then linear to zero over the steps of `decay` (Hägele et al. 2024).

    Zero would be the rate of the step after the last one.
    """
    decay = max(1, train.decay.steps(total_steps))
    return min(1.0, max(0.0, (total_steps - step) / decay))


SCHEDULES: dict[str, Callable[[TrainSpec, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "trapezoid": trapezoid,
}
"""By the name that a spec gives."""
