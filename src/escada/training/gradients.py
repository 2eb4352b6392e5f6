"""The gradient of a whole model as one thing: its entries, and clipping their norm.

An embedding table of which a step reads few rows has a sparse gradient: the rows that were read,
each once, stand for it here.
"""

from __future__ import annotations

from torch import Tensor, nn

NORM_EPSILON = 1e-6
"""As in `torch.nn.utils.clip_grad_norm_`, which takes no sparse gradients."""


def gradient_tensors(model: nn.Module) -> list[Tensor]:
    """The gradient's entries; to change them is to change the gradient."""
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
