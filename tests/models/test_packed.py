"""Packed linear layers: the products of the plain layer, and no row depends on those beside it."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from escada.models.packed_linear import (
    Int8Linear,
    PackedLinear,
    PackedNorm,
    onednn_packs,
)

needs_bf16 = pytest.mark.skipif(
    not onednn_packs(torch.bfloat16), reason="this CPU's torch has no bf16 products"
)
FORMS = [
    pytest.param(lambda linear: PackedLinear(linear, torch.float32), 2e-6, id="fp32"),
    pytest.param(
        lambda linear: PackedLinear(linear, torch.bfloat16), 0.02, id="bf16", marks=needs_bf16
    ),
    pytest.param(Int8Linear, 0.03, id="int8", marks=needs_bf16),
]
every_form = pytest.mark.parametrize(("pack", "tolerance"), FORMS)


def layer(bias: bool = True, width: int = 96) -> nn.Linear:
    torch.manual_seed(0)
    linear = nn.Linear(width, 160, bias=bias).requires_grad_(False)
    linear.weight *= torch.rand(160, 1) * 3  # rows of different size, as in trained models
    return linear


def inputs(packed: nn.Module, *shape: int) -> torch.Tensor:
    narrow = isinstance(packed, Int8Linear) or packed.weight.dtype == torch.bfloat16
    return torch.randn(*shape).to(torch.bfloat16 if narrow else torch.float32)


def close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    size = expected.abs().max()
    assert (actual.float() - expected).abs().max() <= tolerance * size


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.0), (torch.bfloat16, 0.02)])
def test_a_packed_norm_is_the_plain_one(dtype, tolerance, options):
    norm = nn.LayerNorm(96, eps=1e-3, **options).requires_grad_(False)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(3, 5, 96) * 0.1  # so small that epsilon tells
    close(PackedNorm(norm, dtype)(x.to(dtype)), norm(x), tolerance)


@every_form
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (2, 7)])
@pytest.mark.parametrize("width", [96, 24, 7])  # the int8 kernel reads inputs by sixteens
def test_a_packed_layer_multiplies_as_the_plain_one(pack, tolerance, bias, shape, width):
    linear = layer(bias, width)
    packed = pack(linear)
    x = inputs(packed, *shape, width)
    stream = inputs(packed, *shape, 160)
    expected = linear(x.float())
    close(packed(x), expected, tolerance)
    close(packed.gelu(x), functional.gelu(expected, approximate="tanh"), tolerance)
    close(packed.add_to(stream, x), stream.float() + expected, tolerance)


@every_form
def test_a_row_does_not_depend_on_the_rows_beside_it(pack, tolerance):
    packed = pack(layer())
    x = inputs(packed, 33, 1, 96)
    together = packed(x)
    for rows in (1, 2, 3, 5, 8, 16, 32):
        assert torch.equal(packed(x[:rows]), together[:rows])


@needs_bf16
def test_int8_weights_are_within_half_a_step_of_the_plain_ones():
    linear = layer(bias=False)
    linear.weight[3] = 0  # a row without any weight must not divide by zero
    one_hot = torch.eye(96, dtype=torch.bfloat16).unsqueeze(1)
    weight = Int8Linear(linear)(one_hot)[:, 0].float().T
    step = linear.weight.abs().amax(dim=1, keepdim=True) / 127
    rounding = 2**-8 * linear.weight.abs()  # the product is handed back in bf16
    assert ((weight - linear.weight).abs() <= 0.51 * step + rounding).all()
    assert (weight[3] == 0).all()
