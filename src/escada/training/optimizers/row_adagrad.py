"""Row-wise Adagrad, for tables with sparse gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from escada.training.optimizers.combined import TorchTable


class RowAdagrad(torch.optim.Optimizer):
    """Row-wise Adagrad (Duchi et al. 2011) for sparse gradients; rows not read do not change.

    A row accumulates the mean square of its gradients.
    """

    FIRST_SUM = 1e-8

    def __init__(self, groups: list[TorchTable]) -> None:
        super().__init__(groups, {})
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Take one step; `closure` is ignored."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is None:
                    continue
                gradient = table.grad.coalesce()
                rows, values_RD = gradient.indices()[0], gradient.values()
                state: dict[str, Tensor] = self.state[table]
                if not state:
                    state["sum"] = torch.full_like(table[:, 0], self.FIRST_SUM)
                sums = state["sum"][rows] + values_RD.square().mean(dim=1)
                state["sum"][rows] = sums
                update = values_RD / sums.sqrt().unsqueeze(1)
                table.index_add_(0, rows, kept(update, self.found_inf), alpha=-group["lr"])


def kept(update: Tensor, found_inf: Tensor | None) -> Tensor:
    """The update, or zeros if `found_inf` is set."""
    return update if found_inf is None else torch.where(found_inf > 0, 0.0, update)
