"""Muon for matrices (Jordan et al. 2024), Adam for the rest, row-wise Adagrad for tables.

Each role of `escada.models.roles` may have its own rate in `train.rates`; the default is
`train.learning_rate`.

Muon orthogonalizes the momentum of each matrix with `newton_schulz`, batched over matrices of the
same shape. The update is scaled by max(1, sqrt(rows / columns)), so that its effect on a layer's
output does not depend on the shape.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from escada.models.contract import LanguageModel
from escada.models.roles import ROLES, Role, parameter_roles
from escada.spec import TrainSpec
from escada.training.optimizers.combined import Combined, TorchTable
from escada.training.optimizers.row_adagrad import RowAdagrad, kept

MOMENTUM = 0.95
FIRST_MOMENTUM = 0.85
MOMENTUM_STEPS = 100
"""Steps over which the momentum rises from `FIRST_MOMENTUM` to `MOMENTUM`."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Quintic of Jordan et al.: grows small singular values fast and ends between 0.7 and 1.2."""


def build(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """Build the optimizer of each role, combined as one."""
    roles = parameter_roles(model)

    def groups(wanted: Iterable[Role]) -> list[TorchTable]:
        return [{"params": roles[role], "lr": train.rate(role)} for role in wanted if roles[role]]

    parts: list[torch.optim.Optimizer] = []
    if matrices := groups(["matrices"]):
        parts.append(Muon(matrices, train.orthogonal_steps, train.weight_decay))
    if dense := groups(role for role in ROLES if role not in ("matrices", "tables")):
        parts.append(torch.optim.Adam(dense, betas=train.betas, eps=train.epsilon, fused=True))
    if tables := groups(["tables"]):
        parts.append(RowAdagrad(tables))
    return Combined(parts)


def flops_per_step(model: LanguageModel, train: TrainSpec) -> float:
    """FLOPs of the Newton-Schulz matrix products in a step.

    An iteration on a matrix with sides r <= c computes X X^T, its square, and the product with X:
    2 (2 r^2 c + r^3).
    """
    total = 0.0
    for matrix in parameter_roles(model)["matrices"]:
        r, c = sorted(matrix.shape)
        total += 2.0 * (2 * r * r * c + r**3)
    return train.orthogonal_steps * total


def state_entries(model: LanguageModel) -> int:
    """Values kept: one per entry of a matrix, one per row of a table, two per other entry."""
    entries = 0
    for role, parameters in parameter_roles(model).items():
        for parameter in parameters:
            each = {"matrices": parameter.numel(), "tables": len(parameter)}
            entries += each.get(role, 2 * parameter.numel())
    return entries


class Muon(torch.optim.Optimizer):
    """Muon, with decoupled weight decay as in AdamW; see the module docstring."""

    def __init__(self, groups: list[TorchTable], steps: int, weight_decay: float) -> None:
        super().__init__(groups, {"weight_decay": weight_decay})
        self.newton_schulz_steps = steps
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step; `closure` is ignored."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for (rows, columns), parameters in by_shape.items():
                scale = group["lr"] * max(1.0, rows / columns) ** 0.5
                updates = newton_schulz(self._momenta(parameters), self.newton_schulz_steps)
                for parameter, update in zip(
                    parameters, kept(updates, self.found_inf), strict=True
                ):
                    if group["weight_decay"]:
                        parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.sub_(update, alpha=scale)

    def _momenta(self, parameters: list[nn.Parameter]) -> Tensor:
        """Nesterov momentum of the gradients, stacked: (N, rows, columns)."""
        looked_ahead: list[Tensor] = []
        for parameter in parameters:
            assert parameter.grad is not None
            state: dict[str, Tensor] = self.state[parameter]
            if not state:
                state["step"] = torch.zeros(())
                state["momentum"] = torch.zeros_like(parameter)
            risen = min(1.0, float(state["step"]) / MOMENTUM_STEPS)
            momentum = FIRST_MOMENTUM + (MOMENTUM - FIRST_MOMENTUM) * risen
            state["step"] += 1
            mean = state["momentum"].lerp_(parameter.grad, 1 - momentum)
            looked_ahead.append(torch.lerp(parameter.grad, mean, momentum))
        return torch.stack(looked_ahead)


def newton_schulz(matrices_NRC: Tensor, steps: int) -> Tensor:
    """Approximate the orthogonal factor of each matrix (singular values between 0.7 and 1.2).

    Args:
        matrices_NRC: N matrices of one shape.
        steps: iterations of X <- a X + (b A + c A^2) X with A = X X^T.
    """
    a, b, c = COEFFICIENTS
    tall = matrices_NRC.shape[1] > matrices_NRC.shape[2]
    x = matrices_NRC.mT if tall else matrices_NRC
    x = x / (x.square().sum(dim=(1, 2), keepdim=True).sqrt() + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
