"""All that a training carries from one step to the next, as tensors and JSON, there and back.

Weights, optimizer moments and loss scaling: with these, the step number (which is the position in
the data, and in the random numbers: `distributed.seed_step`) and the sums since the last log row, a
resumed training is bit for bit the training that was never interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class TrainingState:
    """Scalars that go on counting; all of them are in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    """Spent in training steps, validation and saving excluded."""
    best_bits_per_byte: float | None = None
    best_step: int = 0
    validations_without_gain: int = 0
    stopped_early: bool = False
    unlogged_nats: float = 0.0
    """Loss summed over the targets since the last log row."""
    unlogged_steps: int = 0
    unlogged_seconds: float = 0.0


def training_tensors(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> dict[str, Tensor]:
    """Optimizer moments by parameter number and scaler scalars, as tensors."""
    tensors: dict[str, Tensor] = {}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    for name, value in scaler.state_dict().items():
        tensors[f"scaler.{name}"] = torch.tensor(value)
    return tensors


def restore_training(
    tensors: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Put back what `training_tensors` took."""
    moments: dict[int, dict[str, Tensor]] = {}
    scaling: dict[str, float] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, _, name = rest.partition(".")
            moments.setdefault(int(index), {})[name] = value
        elif kind == "scaler":
            scaling[rest] = value.item()
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    if scaler.is_enabled():
        scaler.load_state_dict(scaling)
