"""The optimizers that a spec may name, and the parameter groups that they work on.

One file is one optimizer, of this folder or anywhere on the path: `build(model, train)` gives a
`torch.optim.Optimizer`, whatever it is made of inside. What the training loop asks of it:

- every group has its own rate, `initial_lr`; the loop sets `lr` to that times the schedule's
  factor;
- when its attribute `found_inf` is a tensor that is 1, a step changes no weight, as in torch's own
  fused optimizers: so a gradient that is not finite is refused without a wait for the device;
- its `state_dict()["state"]` holds tensors by parameter number: what a checkpoint saves.

For the planner a file may state `flops_per_step(model, train)`, of its own products (else 0),
and `state_entries(model)`, how many fp32 numbers it keeps (else two a parameter).
"""

from __future__ import annotations

import torch

from escada.models.contract import LanguageModel
from escada.spec import OPTIMIZERS, TrainSpec


def build_optimizer(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """The spec's optimizer for a model, its groups at their initial rates."""
    optimizer: torch.optim.Optimizer = OPTIMIZERS.load(train.optimizer).build(model, train)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
