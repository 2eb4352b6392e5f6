"""Linear layers for decoding on a CPU: weights reordered, or narrowed, for products of few rows.

Decoding a token reads every weight once and is bound by memory bandwidth. torch's plain
matrix-vector product is far from that bound; oneDNN is close if the matrix is in its blocked
format, and narrower weights are fewer bytes. `escada.generation.weights` replaces a model's layers
by one of:

| form | weights | activations | products |
|---|---|---|---|
| fp32 | fp32 in oneDNN's blocks | fp32 | the plain layer's, up to rounding |
| bf16 | bf16 in oneDNN's blocks | bf16 | summed in fp32 |
| int8 | int8, a scale per output | bf16 or fp32 | one token per row: int8; more: as wide |
| w8a8 | int8, a scale per output | fp32; int8 with a scale per row in a product | exact in int32 |

int8 is the fastest for one row of one token, for many bf16 or, without it in hardware, w8a8
(docs/generation.md). Norms use the
format of the activations. Packed layers keep the `weight` and `bias` attributes of plain ones; a
linear layer's weight is unpacked at each access, which is slow. They have no gradient, are not
saved in checkpoints and cannot move to another device. A row's result does not depend on the other
rows of the batch (tested).
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from escada.models.onednn import onednn_operators, onednn_packs

ROWS_HINT = 16
"""Number of rows that oneDNN optimizes its blocks for."""
INT8_BLOCK = 16
"""Inputs per block of the int8 kernel."""
SMALLEST_ROW = 1e-30
"""Rows of activations are scaled as if their greatest were no smaller."""


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
        self._weight = onednn_operators()._reorder_linear_weight(weight, ROWS_HINT)
        bias = _bias_of(linear)
        self.bias = None if bias is None else bias.to(dtype).clone()
        self._product = onednn_operators()._linear_pointwise

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
    """A linear layer with int8 weights, one scale per output, and bf16 or fp32 activations.

    The int8 kernel, which reads bf16 and is fast without bf16 in hardware too, is the fastest for
    one token per row but slower than wider products for prompts, so longer inputs use the same
    rounded weights in the activations' format. The choice does not depend on the number of rows.
    """

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        # The kernel reads the scale in bf16, so quantize with the rounded scale.
        integers, self._scale = _quantized(linear.weight, torch.bfloat16)
        # The kernel reads whole blocks of inputs, past the end of the matrix.
        self._padding = (0, -self.in_features % INT8_BLOCK)
        self._integers = functional.pad(integers, self._padding).contiguous()
        bias = _bias_of(linear)
        self.bias = None if bias is None else bias.to(dtype)
        with torch.no_grad():
            widened = nn.Linear(linear.in_features, linear.out_features, bias is not None)
            widened.weight.copy_(integers.float() * self._scale.float().unsqueeze(1))
            if bias is not None:
                widened.bias.copy_(bias)
        widened.requires_grad_(False)
        self._of_pieces = PackedLinear(widened, dtype) if onednn_packs(dtype) else widened
        self._product: Any = vars(torch)["_weight_int8pack_mm"]

    @property
    def weight(self) -> Tensor:
        """Shape (out, in), as wide as the activations."""
        return self._of_pieces.weight

    def forward(self, x: Tensor) -> Tensor:
        """Shape (…, D) to (…, out)."""
        if x.ndim == 3 and x.shape[1] > 1:
            return self._of_pieces(x)
        x_RD = functional.pad(x, self._padding) if self._padding[1] else x
        x_RD = x_RD.flatten(0, -2).to(torch.bfloat16)
        y = self._product(x_RD, self._integers, self._scale).to(x.dtype)
        y = y.view(*x.shape[:-1], self.out_features)
        return y if self.bias is None else y.add_(self.bias)


class W8A8Linear(PackedProduct):
    """A linear layer whose weights and activations are multiplied as int8, by oneDNN.

    Activations are rounded to int8 with one scale per row, its greatest magnitude ("per-token
    quantization", Yao et al. 2022, ZeroQuant), so that rows stay independent; sums are exact.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self._integers, self._scale = _quantized(linear.weight, torch.float32)
        operators = torch.ops.onednn
        self._packed = operators.qlinear_prepack(self._integers, None)
        self._no_zero_points = torch.zeros(self.out_features, dtype=torch.int32)
        self.bias = _bias_of(linear)
        self._added = torch.zeros(self.out_features) if self.bias is None else self.bias
        self._levels = int8_levels()
        self._product = operators.qlinear_pointwise

    @property
    def weight(self) -> Tensor:
        """Shape (out, in), in fp32."""
        return self._integers.float() * self._scale.unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """Shape (…, D) to (…, out)."""
        greatest = x.abs().amax(dim=-1, keepdim=True).clamp_min_(SMALLEST_ROW)
        # Signed ones would be multiplied by oneDNN's reference code. A shift of 128 is one of -128.
        signed = (x * (self._levels / greatest)).round_().to(torch.int8)
        zero_point = self._levels + 1
        integers = signed.add_(zero_point if zero_point < 128 else -zero_point).view(torch.uint8)
        y = self._product(
            *(integers, 1.0, zero_point, self._packed, self._scale, self._no_zero_points, None),
            *(1.0, 0, torch.float32, "none", [], ""),
        )
        return torch.addcmul(self._added, y, greatest, value=1 / self._levels)


def packed(linear: nn.Linear, weights: str, dtype: torch.dtype) -> PackedProduct:
    """The layer with weights of that format, for activations of that type."""
    match weights:
        case "int8":
            return Int8Linear(linear, dtype)
        case "w8a8":
            return W8A8Linear(linear)
        case _:
            return PackedLinear(linear, dtype)


def _quantized(weight: Tensor, scale_type: torch.dtype) -> tuple[Tensor, Tensor]:
    """The weight (V, D) as integers from -127 to 127, and the scale of each output (V,).

    Symmetric: weight = scale · integer; the largest weight of an output maps to 127.
    """
    weight = weight.detach().float()
    scale_V = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
    scale_V = scale_V.to(scale_type)
    integers = (weight / scale_V.float().unsqueeze(1)).round().clamp(-127, 127)
    return integers.to(torch.int8), scale_V


@cache
def int8_levels() -> int:
    """The largest integer of an activation: 127, or 63 where this CPU's int8 products saturate.

    Processors without VNNI sum two products in 16 bits, which 255 times 127 twice exceeds.
    """
    largest = torch.full((1, 64), 255, dtype=torch.uint8)
    weight = torch.full((64, 64), 127, dtype=torch.int8)
    operators = torch.ops.onednn
    packed = operators.qlinear_prepack(weight, None)
    y = operators.qlinear_pointwise(
        *(largest, 1.0, 128, packed, torch.ones(64), torch.zeros(64, dtype=torch.int32), None),
        *(1.0, 0, torch.float32, "none", [], ""),
    )
    return 127 if bool((y == 64 * 127 * 127).all()) else 63


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
