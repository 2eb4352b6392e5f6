"""Dropout drops what it says, and torch's generator decides which."""

import pytest
import torch

from escada.models.attention_cpu import causal_attention
from escada.models.dropout import Dropout, drop, keep_mask, keep_share


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_is_kept_is_the_one_asked_for(p, dtype):
    n = 400_000
    torch.manual_seed(1)
    mask = keep_mask(torch.empty(n, dtype=dtype), p)
    assert mask.dtype == dtype
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert mask.double().mean().item() == pytest.approx(1 - p, abs=5 * (p * (1 - p) / n) ** 0.5)
    assert keep_share(p) == pytest.approx(1 - p, abs=2**-17)


def test_entries_are_dropped_independently_of_their_neighbours():
    torch.manual_seed(2)
    kept = keep_mask(torch.empty(400_000), 0.3).double() - 0.7
    for distance in (1, 2, 3, 4, 8, 64):  # 4 entries come from one draw
        together = (kept[:-distance] * kept[distance:]).mean().item() / 0.21
        assert abs(together) < 5 / 400_000**0.5


def test_what_is_kept_is_scaled_so_that_the_mean_stays_in_bf16_too():
    torch.manual_seed(3)
    x = torch.rand(200_000).to(torch.bfloat16)
    y = drop(x, 0.1)
    assert y.double().mean().item() == pytest.approx(x.double().mean().item(), rel=5e-3)
    kept = y != 0
    ratio = (y[kept].double() / x[kept].double()).mean().item()
    assert ratio == pytest.approx(1 / keep_share(0.1), rel=3e-4)  # a mask of 1/0.9 is 1.6e-3 off


def test_the_gradient_passes_where_the_value_did():
    torch.manual_seed(4)
    x = torch.rand(3, 7, 5, requires_grad=True)  # 105 entries: no multiple of four
    y = drop(x, 0.4)
    y.sum().backward()
    expected = (y.detach() != 0) / keep_share(0.4)
    assert torch.allclose(x.grad, expected)


def test_torchs_random_state_decides_the_mask():
    masks = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        masks.append([keep_mask(torch.empty(999), 0.5) for _ in range(2)])
    assert torch.equal(masks[0][0], masks[1][0])
    assert torch.equal(masks[0][1], masks[1][1])
    assert not torch.equal(masks[0][0], masks[0][1])
    assert not torch.equal(masks[0][0], masks[2][0])


def test_nothing_is_dropped_in_evaluation_or_at_zero():
    x = torch.rand(50)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert (Dropout(0.5)(torch.ones(1000)) == 0).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_with_dropout_is_on_average_attention_without(dtype):
    torch.manual_seed(7)
    qkv = torch.randn(3, 1, 2, 6, 4).to(dtype)
    plain = causal_attention(qkv, 0.0).float()
    many = causal_attention(qkv.expand(3, 4000, 2, 6, 4), 0.3).float()
    assert torch.allclose(many.mean(0), plain[0], atol=0.06)
    assert many[:, :, 0].eq(0).all(-1).float().mean().item() == pytest.approx(0.3, abs=0.03)
