"""The operations with their own backward pass: against plain loops and numerical gradients."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from escada.models.fused import CHUNK, convolution, gated_recurrence, rms, scan, squared_relu

B, T, D = 2, 19, 4


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def doubles(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def flags(*shape: int) -> torch.Tensor:
    return (torch.rand(shape) > 0.3).double()


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("tokens", [1, 2, CHUNK, CHUNK + 1, 5 * CHUNK - 3])
def test_a_scan_is_its_recurrence_step_by_step(tokens, reverse):
    a, x = torch.rand(B, tokens, D), torch.randn(B, tokens, D)
    h, expected = torch.zeros(B, D), torch.zeros(B, tokens, D)
    for t in reversed(range(tokens)) if reverse else range(tokens):
        h = a[:, t] * h + x[:, t]
        expected[:, t] = h
    torch.testing.assert_close(scan(a, x, reverse=reverse), expected)


def test_gradients_of_rms_and_squared_relu():
    assert gradcheck(rms, doubles(B, T, D))
    assert gradcheck(squared_relu, doubles(B, T, D))
    x = doubles(B, T, D)
    torch.testing.assert_close(
        rms(x).square().mean(-1), torch.ones(B, T).double(), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("masked", [False, True])
def test_a_convolution_and_its_gradients(masked):
    x, weight = doubles(B, T + 2, D), doubles(3, D)
    same = flags(2, B, T, 1) if masked else None
    expected = x[:, 2:] * (1 + weight[0])
    for k in (1, 2):
        tap = x[:, 2 - k : 2 - k + T] * weight[k]
        expected = expected + (tap if same is None else tap * same[k - 1])
    torch.testing.assert_close(convolution(x, weight, same), expected)
    assert gradcheck(lambda x, w: convolution(x, w, same), (x, weight))


@pytest.mark.parametrize("whole", [False, True])
def test_a_gated_recurrence_and_its_gradients(whole):
    """With everything that it may be given, and with the least."""
    zug, bias = doubles(B, T, 3 * D), doubles(D)
    value = doubles(B, T, D) if whole else None
    goes_on = flags(B, T, 1) if whole else None
    h0 = torch.randn(B, D, dtype=torch.float64) if whole else None
    z, u, g = zug.chunk(3, -1)
    u = u if value is None else u + value
    h, states = torch.zeros(B, D).double() if h0 is None else h0, []
    for t in range(T):
        a = torch.sigmoid(z[:, t] + bias)
        h = (a if goes_on is None else a * goes_on[:, t]) * h + (1 - a) * u[:, t]
        states.append(h)
    expected = rms(torch.stack(states, 1)) * torch.nn.functional.silu(g)
    y, last = gated_recurrence(zug, bias, value, goes_on, h0)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(last, h.detach())
    inputs = (zug, bias) if value is None else (zug, bias, value)
    assert gradcheck(
        lambda zug, bias, value=None: gated_recurrence(zug, bias, value, goes_on, h0)[0], inputs
    )
