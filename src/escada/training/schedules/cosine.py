"""Half a cosine down to `min_learning_rate_ratio` (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math

from escada.spec import TrainSpec


def factor(train: TrainSpec, step: int, total_steps: int) -> float:
    """The factor of `step`; it stays at the minimum past the end instead of rising again."""
    warmup = train.warmup.steps(total_steps)
    progress = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
    floor = train.min_learning_rate_ratio
    return floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2
