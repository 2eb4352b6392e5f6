"""Parameter groups, the learning rate of a step, and the optimizer that uses both."""

from __future__ import annotations

import math

import torch
from torch import nn

from escada.spec import TrainSpec


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Matrices decay; norms, biases and embeddings do not.

    A parameter used as an embedding does not decay even where it is tied to the output.
    """
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for parameter in model.parameters():
        matrix = parameter.ndim >= 2 and id(parameter) not in embeddings
        (decayed if matrix else kept).append(parameter)
    groups: list[dict[str, object]] = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": kept, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, train: TrainSpec) -> torch.optim.Optimizer:
    """Adam (Kingma & Ba 2015) or AdamW (Loshchilov & Hutter 2019), fused where torch has it."""
    classes = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return classes[train.optimizer](
        parameter_groups(model, train.weight_decay),
        lr=train.learning_rate,
        betas=train.betas,
        eps=train.epsilon,
        fused=True,
    )


def learning_rate(train: TrainSpec, step: int, total_steps: int) -> float:
    """The learning rate of 0-based `step`: linear warm-up, then constant or cosine.

    The cosine (Loshchilov & Hutter 2017) ends at `min_learning_rate_ratio` of the peak and stays
    there, so that a step past the end is never trained at a rate that rises again.
    """
    warmup = train.warmup.steps(total_steps)
    if step < warmup:
        return train.learning_rate * (step + 1) / warmup
    if train.schedule == "constant":
        return train.learning_rate
    progress = min(1.0, (step - warmup) / max(1, total_steps - 1 - warmup))
    floor = train.min_learning_rate_ratio
    return train.learning_rate * (floor + (1 - floor) * (1 + math.cos(math.pi * progress)) / 2)
