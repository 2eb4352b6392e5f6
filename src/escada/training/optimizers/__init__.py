"""The optimizers that a spec may name, and the parameter groups that they work on.

One file is one optimizer: `build(model, train)` gives a `torch.optim.Optimizer`, whatever it is
made of inside. What the training loop asks of it:

- every group has its own rate, `initial_lr`; the loop sets `lr` to that times the schedule's
  factor;
- when its attribute `found_inf` is a tensor that is 1, a step changes no weight, as in torch's own
  fused optimizers: so a gradient that is not finite is refused without a wait for the device;
- its `state_dict()["state"]` holds tensors by parameter number: what a checkpoint saves.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from escada.models.contract import LanguageModel
from escada.spec import TrainSpec
from escada.training.optimizers import adam, muon

OPTIMIZERS: dict[str, Callable[[LanguageModel, TrainSpec], torch.optim.Optimizer]] = {
    "adam": adam.build,
    "adamw": adam.build,
    "muon": muon.build,
}
"""By the name that a spec gives."""


def build_optimizer(model: LanguageModel, train: TrainSpec) -> torch.optim.Optimizer:
    """The spec's optimizer for a model, its groups at their initial rates."""
    optimizer = OPTIMIZERS[train.optimizer](model, train)
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    return optimizer
