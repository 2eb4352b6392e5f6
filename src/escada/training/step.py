"""One optimizer step, in the four pieces that it is made of.

    stepper = Stepper(model, spec.train, setup)
    stepper.set_rates(factor)          # the schedule's, on the optimizer's own rates
    stepper.add_gradient(windows)      # forward and backward pass of a micro-batch, some times
    stepper.clip()
    stepper.update()                   # refused, if anything is not finite

The loop takes its steps with it, the calibration times them, and the planner times the pieces.
Nothing here waits for the device, so a GPU is never left idle for a number that nobody reads yet:
`nats`, `gradient_norm` and `refused_steps` stay on the device until somebody does.

Shapes: B sequences of a micro-batch, T tokens in a window, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from escada.cost.flops import targets_per_step
from escada.models.contract import LanguageModel, ReadsTrainingText
from escada.runs.device import sum_type
from escada.spec import TrainSpec
from escada.training.compilation import compile_errors
from escada.training.optimizers import build_optimizer
from escada.training.setup import Setup

Windows = tuple[Tensor, Tensor]
"""Ids of a micro-batch's windows, (B, T + 1), and where each begins in the training text, (B,)."""


class Objective(nn.Module):
    """What a training minimises: the nats of the targets, summed.

    Model and loss are one forward pass, so that a compiler sees both and a wrapper for several
    processes has one thing to wrap; nothing of it shows in the names of the model's weights.
    """

    def __init__(self, model: LanguageModel, train: TrainSpec) -> None:
        super().__init__()
        self.model = model
        self.last_only = train.objective == "last"
        self.label_smoothing = train.label_smoothing

    def forward(self, ids_BT: Tensor, starts_B: Tensor) -> Tensor:
        """Nats summed over the trained targets of `Windows`, a scalar."""
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


class Stepper:
    """A model, its objective and its optimizer, ready to take steps.

    Attributes:
        optimizer: of the weights; its groups hold their rates.
        scaler: of the loss, for fp16.
        nats: loss summed over this process's targets since it was last set to zero (`sum_type`).
        gradient_norm: of the last step, before clipping.
        refused_steps: that changed no weight, since it was last set to zero.
    """

    def __init__(self, model: LanguageModel, train: TrainSpec, setup: Setup) -> None:
        self.model, self.train, self.setup = model, train, setup
        self.optimizer = build_optimizer(model, train)
        self.scaler = setup.precision.scaler(setup.device)
        objective = setup.compiling.apply(Objective(model, train))
        self.objective = setup.world.distribute(objective, setup.device)
        self.nats = torch.zeros((), dtype=sum_type(setup.device), device=setup.device)
        self.gradient_norm = torch.zeros((), device=setup.device)
        self.refused_steps = torch.zeros((), dtype=sum_type(setup.device), device=setup.device)
        # Processes average their gradients, where the step wants the sum.
        self._divisor = targets_per_step(train) / setup.world.size

    def rehearse(self, windows: Windows) -> None:
        """A micro-batch without a step, before any clock runs.

        It compiles, and lets DistributedDataParallel put its buckets in the order in which
        gradients come: from then on, and after a resume too, every step sums in the same order.
        """
        with compile_errors():
            self._nats_of(windows).backward()
        self.optimizer.zero_grad(set_to_none=True)

    def set_rates(self, factor: float) -> None:
        """Set every rate to `factor` of its initial value."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor

    def accumulate(self, micro_batches: Sequence[Windows]) -> None:
        """The gradient of the step's mean loss, summed over micro-batches."""
        self.optimizer.zero_grad(set_to_none=True)
        for number, windows in enumerate(micro_batches, start=1):
            self.add_gradient(windows, more_to_come=number < len(micro_batches))

    def add_gradient(self, windows: Windows, *, more_to_come: bool = False) -> None:
        """Forward and backward pass; processes exchange gradients when no more are to come."""
        with self.setup.world.keep_local(self.objective, local=more_to_come):
            nats = self._nats_of(windows)
            self.scaler.scale(nats / self._divisor).backward()
        self.nats += nats.detach()

    def _nats_of(self, windows: Windows) -> Tensor:
        with self.setup.precision.autocast(self.setup.device):
            return self.objective(*windows)

    def clip(self) -> None:
        """Measure the gradient's norm, and scale the gradient down where the spec limits it."""
        self.scaler.unscale_(self.optimizer)
        gradients = gradient_tensors(self.model)
        self.gradient_norm = torch.nn.utils.get_total_norm(gradients)
        if self.train.clip_norm is not None:
            clip_norm(gradients, self.gradient_norm, self.train.clip_norm)

    def update(self) -> None:
        """The optimizer's step; one whose loss or gradient is not finite changes no weight."""
        if not self.scaler.is_enabled():  # which refuses such steps itself, and goes on
            refused = ~(self.gradient_norm.isfinite() & self.nats.isfinite())
            vars(self.optimizer)["found_inf"] = refused.float()
            self.refused_steps += refused
        self.scaler.step(self.optimizer)
        self.scaler.update()


NORM_EPSILON = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`, which takes no sparse gradients."""


def gradient_tensors(model: nn.Module) -> list[Tensor]:
    """The gradient's entries; to change them is to change the gradient.

    An embedding table of which a step reads few rows has a sparse gradient: the rows that were
    read, each once, stand for it.
    """
    found: list[Tensor] = []
    for parameter in model.parameters():
        gradient = parameter.grad
        if gradient is None:
            continue
        if gradient.is_sparse:
            parameter.grad = gradient = gradient.coalesce()
            gradient = gradient.values()
        found.append(gradient)
    return found


def clip_norm(gradients: list[Tensor], norm: Tensor, most: float) -> None:
    """Scale the gradient down to a norm of `most`, if it is larger, in place."""
    factor = (most / (norm + NORM_EPSILON)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(factor)
