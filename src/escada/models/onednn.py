"""oneDNN, called directly: what of it this torch has, and fp32 products for training.

torch multiplies fp32 matrices by its BLAS library, on x86 MKL, which runs at half of an AMD
processor's rate; oneDNN, which is in every build for x86 too, reaches all of it (measured in
docs/benchmarks.md). `multiply_by_onednn` lets a model's linear layers use it, also in the backward
pass. Results agree up to rounding.

Shapes: R rows, D inputs, F outputs.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_ROWS = 64
"""Below it the weight, not the rows, decides the time, and BLAS is as good."""


def onednn_operators() -> Any:
    """The operators of torch's oneDNN for plain tensors."""
    # torch resolves its operators at run time, which type checkers cannot see
    return torch.ops.mkldnn


def onednn_packs(dtype: torch.dtype) -> bool:
    """Whether this torch build can pack linear layers of that type."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype != torch.bfloat16 or bool(onednn_operators()._is_mkldnn_bf16_supported())


def product(x_RD: Tensor, weight_FD: Tensor, bias_F: Tensor | None = None) -> Tensor:
    """x W^T + b by oneDNN, (…, R, F), without a gradient; any strides."""
    return onednn_operators()._linear_pointwise(x_RD, weight_FD, bias_F, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x: Tensor, weight_FD: Tensor, bias_F: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x, weight_FD)
        ctx.has_bias = bias_F is not None
        return product(x, weight_FD, bias_F)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight_FD = ctx.saved_tensors
        g = gradients[0].contiguous()
        x_RD, g_RF = x.flatten(0, -2), g.flatten(0, -2)
        of_x, of_weight, of_bias = ctx.needs_input_grad
        dx = product(g, weight_FD.mT) if of_x else None
        dw_FD = _weight_gradient(x_RD, g_RF) if of_weight else None
        return dx, dw_FD, g_RF.sum(dim=0) if of_bias and ctx.has_bias else None


def _weight_gradient(x_RD: Tensor, g_RF: Tensor) -> Tensor:
    """g^T x, (F, D). oneDNN copies its transposed left factor: let it be the smaller one."""
    if g_RF.shape[1] <= x_RD.shape[1]:
        return product(g_RF.mT, x_RD.mT)
    return product(x_RD.mT, g_RF.mT).mT


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """What the layer computes, by oneDNN where it has fp32 rows enough on a CPU."""
    fits = (
        x.dtype == layer.weight.dtype == torch.float32
        and x.is_cpu
        and x.numel() >= LEAST_ROWS * layer.in_features
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )
    if not fits:
        return functional.linear(x, layer.weight, layer.bias)
    function: Any = _Linear  # torch's annotations leave the result of `apply` untyped
    return function.apply(x, layer.weight, layer.bias)


def multiply_by_onednn(model: nn.Module) -> None:
    """Let all plain linear layers of a model multiply by oneDNN, see `linear`."""
    for layer in model.modules():
        if type(layer) is nn.Linear:
            vars(layer)["forward"] = partial(linear, layer)
