"""Linear layers for decoding on a CPU: weights laid out, or narrowed, for products of few rows.

A token that is decoded reads every weight once and does little with it, so its time is the time of
reading. torch's plain product of one row with a matrix is far from the speed of the memory; oneDNN
is near it when the matrix lies in the blocks that its kernels read, and narrower weights are fewer
bytes. Three forms, which `escada.generation.weights` puts in the place of a model's layers:

| form | weights | activations | products |
|---|---|---|---|
| fp32 | fp32 in oneDNN's blocks | fp32 | the plain layer's, up to rounding |
| bf16 | bf16 in oneDNN's blocks | bf16 | summed in fp32 |
| int8 | int8, a scale for each output | bf16 | of one token a row: int8; of more: bf16 |

Norms are kept beside them in the format of the activations. A packed layer has the `weight` and
`bias` of a plain one, for model files that read them; a linear layer's weight is unpacked each time
that it is asked for, which is right but slow. Packed layers have no gradient, no
place in a checkpoint, and cannot move to another device. A row's product does not depend on the
rows beside it (tested), so neither does what it writes.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS_HINT = 16
"""Rows that oneDNN chooses its blocks for."""
INT8_BLOCK = 16
"""Inputs that the int8 kernel takes at a time."""


class PackedLayer(nn.Module):
    """A layer that decoding alone uses.

    Calling it is calling `forward`, past the hooks that nobody hangs on it: with little work in
    a layer the way through them counts.
    """

    def __call__(self, x: Tensor) -> Tensor:
        """See `forward`."""
        return self.forward(x)


class PackedNorm(PackedLayer):
    """A layer norm in fp32 or bf16."""

    def __init__(self, norm: nn.LayerNorm, dtype: torch.dtype) -> None:
        super().__init__()
        self._shape, self._epsilon = norm.normalized_shape, norm.eps
        # torch's own annotations leave out that a norm may have neither
        gain, bias = cast("Tensor | None", norm.weight), cast("Tensor | None", norm.bias)
        self.weight = None if gain is None else gain.detach().to(dtype)
        self.bias = None if bias is None else bias.detach().to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return torch.layer_norm(x, self._shape, self.weight, self.bias, self._epsilon)


class PackedProduct(PackedLayer):
    """A linear layer, whose kernel may have more to do than the product."""

    def gelu(self, x: Tensor) -> Tensor:
        """`forward`, then the tanh-GELU."""
        return functional.gelu(self(x), approximate="tanh")

    def add_to(self, stream: Tensor, x: Tensor) -> Tensor:
        """`forward`, plus a stream of the same shape as its result."""
        return stream + self(x)


class PackedLinear(PackedProduct):
    """A linear layer in fp32 or bf16, packed by oneDNN; GELU and the sum are part of its kernel."""

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
    """A linear layer with int8 weights and one scale for each output; activations are bf16.

    Symmetric: weight = scale · integer, with the scale that brings the row's greatest weight to
    127. The kernel for int8 is the fastest for one row and falls behind bf16 where a prompt is
    read; so pieces of more than one token a row take the same weights in bf16. The choice depends
    on the piece alone, never on how many rows are read with it.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight = linear.weight.detach().float()
        scale_V = weight.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        # The kernel reads the scale as bf16: round to what it will be multiplied with.
        self._scale = scale_V.to(torch.bfloat16)
        scale_V1 = self._scale.float().unsqueeze(1)
        integers = (weight / scale_V1).round().clamp(-127, 127).to(torch.int8)
        # The kernel reads whole blocks of inputs, beyond the end of the matrix if need be.
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
    """Whether this machine's torch can pack linear layers of that type."""
    if not torch.backends.mkldnn.is_available():
        return False
    return dtype != torch.bfloat16 or bool(_onednn()._is_mkldnn_bf16_supported())


@cache
def bf16_attention_pays() -> bool:
    """Whether this CPU multiplies bf16 in tiles (AMX).

    torch's attention of one token a row with bf16 keys then takes two thirds of the time of fp32;
    elsewhere it takes seven times as long (docs/generation.md).
    """
    if not hasattr(torch.cpu, "get_capabilities"):  # an older torch does not say
        return False
    return bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def _bias_of(linear: nn.Linear) -> Tensor | None:
    # torch's own annotation leaves out that a layer may have none
    bias = cast("Tensor | None", linear.bias)
    return None if bias is None else bias.detach()


def _onednn() -> Any:
    # torch finds its operators by name at run time, which type checkers cannot see
    return torch.ops.mkldnn
