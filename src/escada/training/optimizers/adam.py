"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), fused."""

from __future__ import annotations

import torch
from torch import nn

from escada.models.contract import LanguageModel
from escada.spec import TrainSpec


def build(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """One learning rate for all parameters; weight decay on matrices only."""
    classes = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return classes[train.optimizer](
        parameter_groups(model, train.weight_decay),
        lr=train.learning_rate,
        betas=train.betas,
        eps=train.epsilon,
        fused=True,
    )


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Groups with weight decay (matrices) and without (norms, biases, embeddings).

    An embedding does not decay even when tied to the output.
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
