"""From a budget to a number of optimizer steps, before the schedule starts."""

from __future__ import annotations

import math
from collections.abc import Callable

from escada.spec import Budget

DRY_RUN_STEPS = 1_000
DRY_RUN_SECONDS = 60.0


def total_steps(
    budget: Budget,
    *,
    steps_per_epoch: float,
    targets_per_step: int,
    flops_per_step: float,
    seconds_per_step: Callable[[], float],
) -> int:
    """Optimizer steps that the budget pays for, at least one.

    Args:
        budget: what the user grants.
        steps_per_epoch: steps that train every token of the split once.
        targets_per_step: predictions in a step.
        flops_per_step: operations in a step.
        seconds_per_step: a calibration, called only for a budget in seconds.
    """
    price = {
        "steps": lambda: 1.0,
        "epochs": lambda: 1 / steps_per_epoch,
        "tokens": lambda: targets_per_step,
        "flop": lambda: flops_per_step,
        "seconds": seconds_per_step,
    }[budget.unit]()
    return max(1, math.ceil(budget.amount / price - 1e-9))


def dry_run_steps(steps: int, seconds_per_step: float) -> int:
    """A rehearsal: at most 1,000 steps and at most a minute."""
    return max(1, min(steps, DRY_RUN_STEPS, int(DRY_RUN_SECONDS / seconds_per_step)))
