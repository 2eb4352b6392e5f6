"""`muon` with its matrices given to Adam: what an ablation sets in Muon's place.

    PYTHONPATH=benchmarks escada train v_next --set train.optimizer=ablation_adam

The other roles keep their optimizers and rates; `train.learning_rate` is the matrices' rate.
"""

from __future__ import annotations

import torch

from escada.models.contract import LanguageModel
from escada.models.roles import ROLES, parameter_roles
from escada.spec import TrainSpec
from escada.training.optimizers.combined import Combined, TorchTable
from escada.training.optimizers.muon import RowAdagrad


def build(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """Adam for all that is dense, row-wise Adagrad for tables; rates by role."""
    roles = parameter_roles(model)
    groups: dict[str, TorchTable] = {}
    for role in ROLES:
        rate: float | None = getattr(train.rates, role)
        if roles[role]:
            groups[role] = {"params": roles[role], "lr": rate or train.learning_rate}
    tables = groups.pop("tables", None)
    dense = torch.optim.Adam(
        list(groups.values()), betas=train.betas, eps=train.epsilon, fused=True
    )
    return Combined([dense, *([RowAdagrad([tables])] if tables else [])])


def state_entries(model: LanguageModel) -> int:
    """Two values per entry, but one per row of a table."""
    roles = parameter_roles(model)
    return sum(
        len(parameter) if role == "tables" else 2 * parameter.numel()
        for role, parameters in roles.items()
        for parameter in parameters
    )
