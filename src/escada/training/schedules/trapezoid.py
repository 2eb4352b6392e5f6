"""Constant, then linear to zero over the steps of `decay` (Hägele et al. 2024)."""

from __future__ import annotations

from escada.spec import TrainSpec


def factor(train: TrainSpec, step: int, total_steps: int) -> float:
    """The factor of `step`; it would reach zero one step after the last."""
    decay = max(1, train.decay.steps(total_steps))
    return min(1.0, max(0.0, (total_steps - step) / decay))
