"""Packed linear layers: the products of the plain layer, and no row depends on those beside it."""

import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from escada.models.onednn import onednn_packs
from escada.models.packed_linear import (
    Int8Linear,
    PackedLinear,
    PackedNorm,
    W8A8Linear,
    int8_levels,
)

needs_bf16 = pytest.mark.skipif(
    not onednn_packs(torch.bfloat16), reason="this CPU's torch has no bf16 products"
)
FP32, BF16 = torch.float32, torch.bfloat16
FORMS = [
    pytest.param(lambda linear: PackedLinear(linear, FP32), FP32, 2e-6, id="fp32"),
    pytest.param(
        lambda linear: PackedLinear(linear, BF16), BF16, 0.02, id="bf16", marks=needs_bf16
    ),
    pytest.param(lambda linear: Int8Linear(linear, BF16), BF16, 0.03, id="int8", marks=needs_bf16),
    pytest.param(lambda linear: Int8Linear(linear, FP32), FP32, 0.03, id="int8 of fp32"),
    pytest.param(W8A8Linear, FP32, 0.03, id="w8a8"),
]
every_form = pytest.mark.parametrize(("pack", "dtype", "tolerance"), FORMS)


def layer(bias: bool = True, width: int = 96) -> nn.Linear:
    torch.manual_seed(0)
    linear = nn.Linear(width, 160, bias=bias).requires_grad_(False)
    linear.weight *= torch.rand(160, 1) * 3  # rows of different size, as in trained models
    return linear


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
def test_a_packed_layer_multiplies_as_the_plain_one(pack, dtype, tolerance, bias, shape, width):
    linear = layer(bias, width)
    packed = pack(linear)
    x = torch.randn(*shape, width).to(dtype)
    stream = torch.randn(*shape, 160).to(dtype)
    expected = linear(x.float())
    close(packed(x), expected, tolerance)
    close(packed.gelu(x), functional.gelu(expected, approximate="tanh"), tolerance)
    close(packed.add_to(stream, x), stream.float() + expected, tolerance)


@every_form
def test_a_row_does_not_depend_on_the_rows_beside_it(pack, dtype, tolerance):
    packed = pack(layer())
    x = torch.randn(33, 1, 96).to(dtype)
    together = packed(x)
    for rows in (1, 2, 3, 5, 8, 16, 32):
        assert torch.equal(packed(x[:rows]), together[:rows])


@pytest.mark.parametrize("pack", [lambda linear: Int8Linear(linear, FP32), W8A8Linear])
def test_int8_weights_are_within_half_a_step_of_the_plain_ones(pack):
    linear = layer(bias=False)
    linear.weight[3] = 0  # a row without any weight must not divide by zero
    one_hot = torch.eye(96).unsqueeze(1)
    weight = pack(linear)(one_hot)[:, 0].T
    step = linear.weight.abs().amax(dim=1, keepdim=True) / 127
    rounding = 2**-8 * linear.weight.abs()  # the int8 kernel's result is bf16
    assert ((weight - linear.weight).abs() <= 0.51 * step + rounding).all()
    assert (weight[3] == 0).all()
    assert (pack(linear).weight - linear.weight).abs().max() <= 0.51 * step.max()


def test_a_product_of_int8_is_that_of_the_rounded_numbers_and_not_saturated():
    linear = layer(bias=False)
    linear.weight[:] = linear.weight.abs().amax(dim=1, keepdim=True)  # all at the end of the range
    x = torch.full((2, 1, 96), 3.0)
    x[1] = 0  # a row of zeros must not divide by zero
    y = W8A8Linear(linear)(x)
    torch.testing.assert_close(y[0], linear(x)[0], rtol=1e-6, atol=0)
    assert (y[1] == 0).all()


def test_a_processor_whose_int8_products_saturate_gets_smaller_integers():
    code = (
        "import torch; from escada.models.packed_linear import W8A8Linear, int8_levels\n"
        "linear = torch.nn.Linear(64, 32, bias=False)\n"
        "torch.nn.init.constant_(linear.weight, 0.5)\n"
        "y = W8A8Linear(linear)(torch.full((1, 1, 64), 2.0))\n"
        "print(int8_levels(), float(y.min()), float(y.max()))"
    )
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    levels, low, high = (float(word) for word in done.stdout.split())
    assert levels in (63, 127)
    assert levels <= int8_levels()
    assert low == high == pytest.approx(64.0, rel=1e-6)
