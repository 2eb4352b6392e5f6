"""Several optimizers as one: each steps its own parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

TorchTable = dict[str, Any]
"""A group of parameters with its settings, or a whole state, as torch has them."""


class Several(torch.optim.Optimizer):
    """The groups and the state of its parts, in their order."""

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        groups = [group for part in parts for group in part.param_groups]
        super().__init__([{"params": group["params"]} for group in groups], {})
        self.param_groups = groups  # the very ones of the parts: a rate set here is theirs
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One step of each; `closure` is not used."""
        for part in self.parts:
            vars(part)["found_inf"] = self.found_inf
            part.step()

    def state_dict(self) -> TorchTable:
        """As one optimizer's: parameters are numbered through all parts."""
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
        """Give each part what is its own."""
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
    """One more than the last parameter's number."""
    return max((number for group in groups for number in group["params"]), default=-1) + 1
