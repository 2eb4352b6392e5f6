"""Linear layers by oneDNN: the same as torch's, up to rounding, also in their gradients."""

import copy

import pytest
import torch
from torch import nn

from escada.models.onednn import LEAST_ROWS, linear, multiply_by_onednn, onednn_packs, product

pytestmark = pytest.mark.skipif(not onednn_packs(torch.float32), reason="this torch has no oneDNN")


def calls_of_product(monkeypatch) -> list[int]:
    calls: list[int] = []

    def counted(*arguments):
        calls.append(1)
        return product(*arguments)

    monkeypatch.setattr("escada.models.onednn.product", counted)
    return calls


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("inputs", "outputs"), [(24, 40), (40, 24), (32, 32)])
def test_a_layer_and_its_gradients_are_torchs(inputs, outputs, bias, monkeypatch) -> None:
    torch.manual_seed(0)
    calls = calls_of_product(monkeypatch)
    theirs = nn.Linear(inputs, outputs, bias)
    ours = copy.deepcopy(theirs)
    multiply_by_onednn(ours)
    x = torch.randn(3, LEAST_ROWS, inputs)
    weight = torch.randn(outputs, LEAST_ROWS, 3).permute(2, 1, 0)
    results = []
    for layer in (theirs, ours):
        z = x.clone().requires_grad_()
        y = layer(z)
        (y * weight).sum().backward()  # its gradient is not contiguous
        results.append([y.detach(), z.grad, *(p.grad for p in layer.parameters())])
    assert len(calls) == 3
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)


def test_few_rows_narrow_formats_and_autocast_keep_torchs_products(monkeypatch) -> None:
    calls = calls_of_product(monkeypatch)
    layer = nn.Linear(8, 8)
    linear(layer, torch.randn(LEAST_ROWS - 1, 8))
    linear(layer.double(), torch.randn(LEAST_ROWS, 8, dtype=torch.float64))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(layer.float(), torch.randn(LEAST_ROWS, 8)).dtype == torch.bfloat16
    assert not calls
    linear(layer, torch.randn(LEAST_ROWS, 8))
    assert calls


def test_a_copy_of_a_model_multiplies_by_its_own_weights() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    multiply_by_onednn(model)
    twin = copy.deepcopy(model)
    with torch.no_grad():
        twin[0].weight.zero_()
        twin[0].bias.zero_()
    x = torch.randn(LEAST_ROWS, 8)
    assert not twin(x).any()
    assert model(x).any()


def test_layers_of_a_class_of_their_own_are_left_alone() -> None:
    class Gate(nn.Linear):
        pass

    model = nn.Sequential(Gate(4, 4), nn.Linear(4, 4))
    multiply_by_onednn(model)
    assert "forward" not in vars(model[0])
    assert "forward" in vars(model[1])
