"""Adam (Kingma & Ba 2015) and AdamW (Loshchilov & Hutter 2019), fused; tables by row-wise Adagrad.

Each role of `escada.models.roles` may have its own rate in `train.rates`; the default is
`train.learning_rate`.
"""

from __future__ import annotations

import torch
from torch import nn

from escada.models.contract import LanguageModel
from escada.models.roles import parameter_roles
from escada.spec import TrainSpec
from escada.training.optimizers.combined import Combined, TorchTable
from escada.training.optimizers.row_adagrad import RowAdagrad

SHARDABLE = True


def build(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """Adam or AdamW for dense parameters, with weight decay on matrices only."""
    classes = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    dense = classes[train.optimizer](
        parameter_groups(model, train), betas=train.betas, eps=train.epsilon, fused=True
    )
    tables = parameter_roles(model)["tables"]
    if not tables:
        return dense
    return Combined([dense, RowAdagrad([{"params": tables, "lr": train.rate("tables")}])])


def parameter_groups(model: nn.Module, train: TrainSpec) -> list[TorchTable]:
    """Groups of one rate with weight decay (matrices) or without (norms, biases, embeddings).

    An embedding does not decay even when tied to the output.
    """
    groups: dict[tuple[bool, float], TorchTable] = {}
    roles = parameter_roles(model)
    role_of = {id(parameter): role for role in roles for parameter in roles[role]}
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    for decays in (True, False):
        for parameter in model.parameters():
            role = role_of[id(parameter)]
            matrix = parameter.ndim >= 2 and id(parameter) not in embeddings
            if role == "tables" or matrix != decays:
                continue
            rate = train.rate(role)
            decay = train.weight_decay if decays else 0.0
            group: TorchTable = {"params": [], "lr": rate, "weight_decay": decay}
            groups.setdefault((decays, rate), group)["params"].append(parameter)
    return list(groups.values())


def state_entries(model: LanguageModel) -> int:
    """Values kept: one per row of a table, two per other entry."""
    return sum(
        len(parameter) if role == "tables" else 2 * parameter.numel()
        for role, parameters in parameter_roles(model).items()
        for parameter in parameters
    )
