"""Attention for training on a CPU: against torch's kernel, numerical gradients and a plain form."""

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn import functional

from escada.models import attention_cpu
from escada.models.attention_cpu import QUERY_BLOCK, causal_attention


def doubles(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("length", [1, 2, 17, 2 * QUERY_BLOCK + 3])
def test_attention_and_its_gradient_are_those_of_the_fused_kernel(length: int) -> None:
    torch.manual_seed(0)
    ours = doubles(3, 2, 3, length, 8)
    theirs = ours.detach().clone().requires_grad_()
    y = causal_attention(ours, 0.0)
    expected = functional.scaled_dot_product_attention(*theirs.unbind(0), is_causal=True)
    torch.testing.assert_close(y, expected)
    weight = torch.randn_like(y)
    (y * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad)


def test_the_gradient_with_dropout_is_that_of_the_same_mask(monkeypatch) -> None:
    monkeypatch.setattr(attention_cpu, "QUERY_BLOCK", 3)

    def attention(qkv: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(5)  # the same mask each time
        return causal_attention(qkv, 0.4)

    torch.manual_seed(1)
    qkv = doubles(3, 2, 2, 7, 4)
    assert (attention(qkv) != causal_attention(qkv, 0.0)).any()
    assert gradcheck(attention, qkv)


def test_dropout_keeps_the_mean() -> None:
    torch.manual_seed(0)
    qkv = torch.randn(3, 1, 1, 6, 4)
    dropped = causal_attention(qkv.expand(3, 20_000, 1, 6, 4), 0.3)
    assert dropped.std(dim=0).mean() > 0.05
    torch.testing.assert_close(
        dropped.mean(dim=0, keepdim=True), causal_attention(qkv, 0.0), atol=0.05, rtol=0
    )
