"""Several optimizers combined as one, each with its own parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

TorchTable = dict[str, Any]
"""A parameter group or a whole state dict, as torch represents them."""


class Combined(torch.optim.Optimizer):
    """Presents the groups and state of its parts, in order, as one optimizer."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.param_groups = groups  # the same objects as the parts': setting a rate sets theirs
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step each part; `closure` is ignored."""
        for part in self.parts:
            vars(part)["found_inf"] = self.found_inf
            part.step()

    def state_dict(self) -> TorchTable:
        """The combined state, with parameters numbered across all parts."""
        state: dict[int, Any] = {}
        groups: list[TorchTable] = []
        first = 0
        for part in self.parts:
            table = part.state_dict()
            state |= {first + number: moments for number, moments in table["state"].items()}
            groups += [
                group | {"params": [first + number for number in group["params"]]}
                for group in table["param_groups"]
            ]
            first = _end(groups)
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: TorchTable) -> None:
        """Split the combined state among the parts."""
        groups: list[TorchTable] = state_dict["param_groups"]
        first = 0
        for part in self.parts:
            own, groups = groups[: len(part.param_groups)], groups[len(part.param_groups) :]
            end = _end(own)
            part.load_state_dict(
                {
                    "state": {
                        number - first: moments
                        for number, moments in state_dict["state"].items()
                        if first <= number < end
                    },
                    "param_groups": [
                        group | {"params": [number - first for number in group["params"]]}
                        for group in own
                    ],
                }
            )
            first = end
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def _end(groups: Sequence[TorchTable]) -> int:
    return max((number for group in groups for number in group["params"]), default=-1) + 1
