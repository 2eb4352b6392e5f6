"""The state that a training carries from step to step, as tensors and JSON.

Weights, optimizer moments, loss scaling, the step number (which determines the data and, through
`distributed.seed_step`, the random numbers) and the sums since the last log row: enough for a
bit-identical resume.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from escada.runs.checkpoint import Checkpoint, weights_of
from escada.runs.sharded_tensors import part_of


@dataclass
class TrainingState:
    """Running scalars, saved in the checkpoint."""

    step: int = 0
    seconds: float = 0.0
    """Spent in training steps; excludes validation and saving."""
    best_bits_per_byte: float | None = None
    best_step: int = 0
    validations_without_gain: int = 0
    stopped_early: bool = False
    unlogged_nats: float = 0.0
    """Loss summed over the targets since the last log row."""
    unlogged_steps: int = 0
    unlogged_seconds: float = 0.0
    logged_rows: int = 0
    """Rows of the log so far."""


def training_tensors(
    optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
) -> dict[str, Tensor]:
    """Optimizer moments, by parameter number, and scaler state as tensors."""
    tensors: dict[str, Tensor] = {}
    for index, moments in optimizer.state_dict()["state"].items():
        for name, value in moments.items():
            tensors[f"optimizer.{index}.{name}"] = torch.as_tensor(value)
    for name, value in scaler.state_dict().items():
        tensors[f"scaler.{name}"] = torch.tensor(value)
    return tensors


def checkpoint_of(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    state: TrainingState,
    spec_hash: str,
) -> Checkpoint:
    """A training as a checkpoint, which shares its tensors."""
    return Checkpoint(
        step=state.step,
        spec_hash=spec_hash,
        weights=weights_of(model),
        training=training_tensors(optimizer, scaler),
        scalars=asdict(state),
    )


def restore_training(
    tensors: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
) -> None:
    """Restore what `training_tensors` returned, each process its part if weights are sharded."""
    numbered = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    moments: dict[int, dict[str, Tensor]] = {}
    scaling: dict[str, float] = {}
    for key, value in tensors.items():
        kind, _, rest = key.partition(".")
        if kind == "optimizer":
            index, _, name = rest.partition(".")
            parameter = numbered[int(index)]
            shared = value.shape == parameter.shape  # not a step count
            moments.setdefault(int(index), {})[name] = (
                part_of(value, parameter) if shared else value
            )
        elif kind == "scaler":
            scaling[rest] = value.item()
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    if scaler.is_enabled():
        scaler.load_state_dict(scaling)
