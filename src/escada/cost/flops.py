"""FLOPs in closed form, shared by planner and meter.

Matrix multiplications only, two operations per multiply-add, the backward pass at twice the forward
(Kaplan et al. 2020, "Scaling Laws for Neural Language Models", section 2.1), plus those of the
optimizer: a large part of a small model's step for Muon, none for Adam.
"""

from __future__ import annotations

from escada.models.contract import LanguageModel
from escada.spec import OPTIMIZERS, TrainSpec

BACKWARD_OVER_FORWARD = 2


def training_flops_per_step(model: LanguageModel, train: TrainSpec) -> float:
    """FLOPs of one optimizer step on `batch_sequences` windows, optimizer included."""
    per_token = model.forward_flops_per_token(train.window_tokens) * (1 + BACKWARD_OVER_FORWARD)
    passes = per_token * train.window_tokens * train.batch_sequences
    return passes + optimizer_flops_per_step(model, train)


def optimizer_flops_per_step(model: LanguageModel, train: TrainSpec) -> float:
    """FLOPs of the optimizer's step, as stated by its module; 0 if it states none."""
    optimizer = OPTIMIZERS.load(train.optimizer)
    stated = getattr(optimizer, "flops_per_step", None)
    return 0.0 if stated is None else float(stated(model, train))


def targets_per_step(train: TrainSpec) -> int:
    """Predictions trained per optimizer step."""
    positions = train.window_tokens if train.objective == "all" else 1
    return positions * train.batch_sequences
