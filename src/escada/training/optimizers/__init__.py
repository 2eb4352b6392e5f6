"""The optimizers that a spec may name, and their parameter groups.

An optimizer is one module, in this folder or importable by dotted name. Its `build(model, train)`
returns a `torch.optim.Optimizer` for which:

- every group has its own `initial_lr`; the loop sets `lr` to that times the schedule's factor;
- a step changes no weight if the attribute `found_inf` is a tensor equal to 1, as in torch's fused
  optimizers, so that non-finite gradients are refused without a device sync;
- `state_dict()["state"]` holds tensors by parameter number, which checkpoints save.

It may set `SHARDABLE = True` if it works on each process's part of a parameter as on the whole, as
elementwise rules do; only then can a training be sharded. For the planner it may define
`flops_per_step(model, train)` (default 0) and `state_entries(model)`, the number of fp32 values it
keeps (default two per parameter).
"""

from __future__ import annotations

import torch

from escada.models.contract import LanguageModel
from escada.spec import OPTIMIZERS, TrainSpec


def build_optimizer(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """Build the spec's optimizer with its groups at their initial rates."""
    optimizer: torch.optim.Optimizer = OPTIMIZERS.load(train.optimizer).build(model, train)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
