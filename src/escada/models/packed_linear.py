"""Linear layers for decoding on a CPU: weights reordered, or narrowed, for products of few rows.

Decoding a token reads every weight once and is bound by memory bandwidth. torch's plain
matrix-vector product is far from that bound; oneDNN is close if the matrix is in its blocked
format, and narrower weights are fewer bytes. `escada.generation.weights` replaces a model's layers
by one of:

| form | weights | activations | products |
|---|---|---|---|
| fp32 | fp32 in oneDNN's blocks | fp32 | the plain layer's, up to rounding |
| bf16 | bf16 in oneDNN's blocks | bf16 | summed in fp32 |
| int8 | int8, a scale per output | bf16 | one token per row: int8; more: bf16 |

Norms use the format of the activations. Packed layers keep the `weight` and `bias` attributes of
plain ones; a linear layer's weight is unpacked at each access, which is slow. They have no
gradient, are not saved in checkpoints and cannot move to another device. A row's result does not
depend on the other rows of the batch (tested).
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS_HINT = 16
"""Number of rows that oneDNN optimizes its blocks for."""
INT8_BLOCK = 16
"""Inputs per block of the int8 kernel."""


class PackedLayer(nn.Module):
    """A layer for decoding only, without torch's hooks, whose overhead shows in small layers."""

    def __call__(self, x: Tensor) -> Tensor:
        """Call `forward`."""
        return self.forward(x)


class PackedNorm(PackedLayer):
    """A layer norm in fp32 or bf16."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self._shape, self._epsilon = norm.normalized_shape, norm.eps
        # torch's annotations do not say that a norm may have neither
        gain, bias = cast("Tensor | None", norm.weight), cast("Tensor | None", norm.bias)
        self.weight = None if gain is None else gain.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize; same shape."""
        return torch.layer_norm(x, self._shape, self.weight, self.bias, self._epsilon)


class PackedProduct(PackedLayer):
    """A linear layer whose kernel may fuse an activation or a sum."""

    def gelu(self, x: Tensor) -> Tensor:
        """`forward`, then the tanh-GELU."""
        return functional.gelu(self(x), approximate="tanh")

    def add_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """`forward` plus `stream`, of the same shape as the result."""
        return stream + self(x)


class PackedLinear(PackedProduct):
    """A linear layer in fp32 or bf16, packed by oneDNN, with fused GELU and sum."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().to(dtype).contiguous()
        self._weight = _onednn()._reorder_linear_weight(weight, ROWS_HINT)
        bias = _bias_of(linear)
        self.bias = None if bias is None else bias.to(dtype).clone()
        self._product = _onednn()._linear_pointwise

    @property
    def weight(self) -> Tensor:
        """Shape (out, in), unpacked."""
        return self._weight.to_dense()

    def forward(self, x: Tensor) -> Tensor:
        """Shape (…, D) to (…, out)."""
        return self._product(x, self._weight, self.bias, "none", [], "")

    def gelu(self, x: Tensor) -> Tensor:
        """See `PackedProduct`."""
        return self._product(x, self._weight, self.bias, "gelu", [], "tanh")

    def add_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """See `PackedProduct`."""
        return self._product.binary(x, stream, self._weight, self.bias, "add")


class Int8Linear(PackedProduct):
    """A linear layer with int8 weights, one scale per output, and bf16 activations.

    Symmetric: weight = scale · integer, where the largest weight of a row maps to 127. The int8
    kernel is the fastest for one token per row but slower than bf16 for prompts, so longer inputs
    use the same weights in bf16. The choice does not depend on the number of rows.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scale_V = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        # The kernel reads the scale in bf16, so quantize with the rounded scale.
        self._scale = scale_V.to(torch.bfloat16)
        scale_V1 = self._scale.float().unsqueeze(1)
        integers = (weight / scale_V1).round().clamp(-127, 127).to(torch.int8)
        # The kernel reads whole blocks of inputs, past the end of the matrix.
        self._padding = (0, -self.in_features % INT8_BLOCK)
        self._integers = functional.pad(integers, self._padding).contiguous()
        bias = _bias_of(linear)
        self.bias = None if bias is None else bias.to(torch.bfloat16)
        with torch.no_grad():
            widened = nn.Linear(linear.in_features, linear.out_features, bias is not None)
            widened.weight.copy_(integers.float() * scale_V1)
            if bias is not None:
                widened.bias.copy_(bias)
        self._of_pieces = PackedLinear(widened, torch.bfloat16)
        self._product: Any = vars(torch)["_weight_int8pack_mm"]

    @property
    def weight(self) -> Tensor:
        """Shape (out, in), in bf16."""
        return self._of_pieces.weight

    def forward(self, x: Tensor) -> Tensor:
        """Shape (…, D) to (…, out)."""
        if x.ndim == 3 and x.shape[1] > 1:
            return self._of_pieces(x)
        x_RD = functional.pad(x, self._padding) if self._padding[1] else x
        y = self._product(x_RD.flatten(0, -2), self._integers, self._scale)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y.add_(self.bias)


def onednn_packs(dtype: torch.dtype) -> bool:
    """Whether this torch build can pack linear layers of that type."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype != torch.bfloat16 or bool(_onednn()._is_mkldnn_bf16_supported())


@cache
def bf16_attention_pays() -> bool:
    """Whether this CPU has AMX.

    With it, attention of one token per row takes two thirds of the fp32 time with bf16 keys;
    without it, seven times as long (docs/generation.md).
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # older torch
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _bias_of(linear: nn.Linear) -> Tensor | None:
    # torch's annotation does not say that a layer may have none
    bias = cast("Tensor | None", linear.bias)
    return None if bias is None else bias.detach()


def _onednn() -> Any:
    # torch resolves its operators at run time, which type checkers cannot see
    return torch.ops.mkldnn
