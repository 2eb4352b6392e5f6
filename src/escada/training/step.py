"""One optimizer step, in separate phases.

    stepper = Stepper(model, spec.train, setup)
    stepper.set_rates(factor)          # from the schedule
    stepper.add_gradient(windows)      # forward and backward pass; once per micro-batch
    stepper.clip()
    stepper.update()                   # refused if anything is not finite

The loop uses whole steps, the calibration times them, and the planner times the phases. Nothing
here synchronizes with the device: `nats`, `gradient_norm` and `refused_steps` stay on it until they
are read.

Shapes: B sequences in a micro-batch, T tokens in a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint  # pyright: ignore[reportUnknownVariableType]

from escada.cost.flops import targets_per_step
from escada.models.contract import LanguageModel, ReadsTrainingText
from escada.models.onednn import multiply_by_onednn
from escada.runs.device import sum_type
from escada.runs.sharded_tensors import local
from escada.spec import TrainSpec
from escada.training.compilation import compile_errors
from escada.training.optimizers import build_optimizer
from escada.training.setup import Setup
from escada.training.sharding import shard

Windows = tuple[Tensor, Tensor]
"""A micro-batch's token ids, (B, T + 1), and their offsets in the training text, (B,)."""


class Objective(nn.Module):
    """The training loss: nats summed over the targets.

    Model and loss share one forward pass, so that torch.compile sees both and DDP wraps a single
    module. Parameter names of the model are unaffected.
    """

    def __init__(self, model: LanguageModel, train: TrainSpec) -> None:
        super().__init__()
        self.model = model
        self.last_only = train.objective == "last"
        self.label_smoothing = train.label_smoothing
        if train.recompute:
            for unit in model.units():
                unit.forward = partial(_repeatable, unit.forward)

    def forward(self, ids_BT: Tensor, starts_B: Tensor) -> Tensor:
        """Nats summed over the trained targets, a scalar."""
        if isinstance(self.model, ReadsTrainingText):
            nats_BT = self.model.training_nats(ids_BT, starts_B)
            return (nats_BT[:, -1:] if self.last_only else nats_BT).sum()
        targets_BT = ids_BT[:, 1:]
        logits_BTV = self.model(ids_BT[:, :-1])
        if self.last_only:
            logits_BTV, targets_BT = logits_BTV[:, -1:], targets_BT[:, -1:]
        return nn.functional.cross_entropy(
            logits_BTV.flatten(0, 1),
            targets_BT.flatten(),
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )


def _repeatable(forward: Callable[..., Any], *inputs: object) -> object:
    """Keep only the inputs for the backward pass, which calls `forward` again (Chen et al. 2016,
    "Training deep nets with sublinear memory cost"), with the same random numbers."""
    if not torch.is_grad_enabled():
        return forward(*inputs)
    return cast(object, checkpoint(forward, *inputs, use_reentrant=False))


class Stepper:
    """A model, its objective and its optimizer.

    Attributes:
        scaler: loss scaling, for fp16.
        nats: loss summed over this process's targets since last zeroed (`sum_type`).
        gradient_norm: of the last step, before clipping.
        refused_steps: steps that changed no weight, since last zeroed.
    """

    def __init__(self, model: LanguageModel, train: TrainSpec, setup: Setup) -> None:
        self.model, self.train, self.setup = model, train, setup
        if setup.matmul_library.name == "onednn":
            multiply_by_onednn(model)
        self.objective: nn.Module = Objective(model, train)
        if setup.sharding.on:
            self.objective = shard(self.objective, model.units(), setup.device, setup.world)
        else:
            compiled = setup.compiling.apply(self.objective)
            self.objective = setup.world.distribute(compiled, setup.device)
        self.optimizer = build_optimizer(model, train)  # of the parts, if sharded
        self.scaler = setup.precision.scaler(setup.device)
        self.nats = torch.zeros((), dtype=sum_type(setup.device), device=setup.device)
        self.gradient_norm = torch.zeros((), device=setup.device)
        self.refused_steps = torch.zeros((), dtype=sum_type(setup.device), device=setup.device)
        # DDP and FSDP average gradients over processes; the step needs their sum.
        self._divisor = targets_per_step(train) / setup.world.size

    def rehearse(self, windows: Windows) -> None:
        """Run one micro-batch without an update, before timing starts.

        This triggers compilation and lets DDP order its buckets, so that every step, also after a
        resume, sums in the same order.
        """
        with compile_errors():
            self._nats_of(windows).backward()
        self.optimizer.zero_grad(set_to_none=True)

    def set_rates(self, factor: float) -> None:
        """Set every learning rate to `factor` times its initial value."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def accumulate(self, micro_batches: Sequence[Windows]) -> None:
        """Compute the gradient of the step's mean loss over all micro-batches."""
        self.optimizer.zero_grad(set_to_none=True)
        for number, windows in enumerate(micro_batches, start=1):
            self.add_gradient(windows, more_to_come=number < len(micro_batches))

    def add_gradient(self, windows: Windows, *, more_to_come: bool = False) -> None:
        """Forward and backward pass; processes exchange gradients unless `more_to_come`."""
        with self.setup.world.keep_local(self.objective, local=more_to_come):
            nats = self._nats_of(windows)
            self.scaler.scale(nats / self._divisor).backward()
        self.nats += nats.detach()

    def _nats_of(self, windows: Windows) -> Tensor:
        with self.setup.precision.autocast(self.setup.device):
            return self.objective(*windows)

    def clip(self) -> None:
        """Measure the gradient norm, and clip it if the spec has a limit."""
        self.scaler.unscale_(self.optimizer)
        gradients = gradient_tensors(self.model)
        self.gradient_norm = torch.nn.utils.get_total_norm(gradients)
        if self.setup.sharding.on:  # so far of this process's part
            self.gradient_norm = self.setup.world.sum(self.gradient_norm.square()).sqrt()
        if self.train.clip_norm is not None:
            clip_norm(gradients, self.gradient_norm, self.train.clip_norm)

    def update(self) -> None:
        """Update the weights, unless the loss or the gradient is not finite."""
        if not self.scaler.is_enabled():  # an enabled scaler skips such steps itself
            refused = ~(self.gradient_norm.isfinite() & self.nats.isfinite())
            vars(self.optimizer)["found_inf"] = refused.float()
            self.refused_steps += refused
        self.scaler.step(self.optimizer)
        self.scaler.update()


NORM_EPSILON = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`, which does not support sparse gradients."""


def gradient_tensors(model: nn.Module) -> list[Tensor]:
    """The gradients of all parameters, modifiable in place.

    Of a sparse gradient (an embedding table), the values of its coalesced rows; of a sharded one,
    this process's part.
    """
    found: list[Tensor] = []
    for parameter in model.parameters():
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            parameter.grad = gradient = gradient.coalesce()
            gradient = gradient.values()
        found.append(local(gradient))
    return found


def clip_norm(gradients: list[Tensor], norm: Tensor, most: float) -> None:
    """Scale the gradients in place so that their norm is at most `most`."""
    factor = (most / (norm + NORM_EPSILON)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
