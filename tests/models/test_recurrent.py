"""The recurrent models: their weights, weight-drop, counts and reference arithmetic."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from escada.models.contract import build_model
from escada.models.layers import GATES, CellKind, RecurrentLayer
from escada.models.recurrent import Config, Model
from escada.spec import load_spec

both_cells = pytest.mark.parametrize("kind", ["lstm", "gru"])


def run_layer(layer: RecurrentLayer, x_BTD: Tensor) -> Tensor:
    zeros_BH = x_BTD.new_zeros(len(x_BTD), layer.cell.hidden_size)
    return layer(x_BTD, zeros_BH, zeros_BH)[0]


def obvious_lstm(layer: RecurrentLayer, x_BTD: Tensor) -> Tensor:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000, step by step."""
    w_ih, w_hh, b_ih, b_hh = layer.cell.parameters()
    h = c = x_BTD.new_zeros(len(x_BTD), layer.cell.hidden_size)
    outputs = []
    for x in x_BTD.unbind(1):
        i, f, g, o = (x @ w_ih.T + b_ih + h @ w_hh.T + b_hh).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        outputs.append(h)
    return torch.stack(outputs, dim=1)


def obvious_gru(layer: RecurrentLayer, x_BTD: Tensor) -> Tensor:
    """Cho et al. 2014, the reset gate after the matrix product, step by step."""
    w_ih, w_hh, b_ih, b_hh = layer.cell.parameters()
    h = x_BTD.new_zeros(len(x_BTD), layer.cell.hidden_size)
    outputs = []
    for x in x_BTD.unbind(1):
        r_x, z_x, n_x = (x @ w_ih.T + b_ih).chunk(3, dim=1)
        r_h, z_h, n_h = (h @ w_hh.T + b_hh).chunk(3, dim=1)
        r, z = (r_x + r_h).sigmoid(), (z_x + z_h).sigmoid()
        h = (1 - z) * (n_x + r * n_h).tanh() + z * h
        outputs.append(h)
    return torch.stack(outputs, dim=1)


@both_cells
@pytest.mark.parametrize("tokens", [1, 2, 13])
def test_a_layer_computes_the_equations_of_its_cell(kind: CellKind, tokens: int) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, d_in=5, d_hidden=7)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(std=0.5)
    x_BTD = torch.randn(3, tokens, 5)
    expected = {"lstm": obvious_lstm, "gru": obvious_gru}[kind](layer, x_BTD)
    torch.testing.assert_close(run_layer(layer, x_BTD), expected, rtol=1e-4, atol=1e-5)
    gradient = torch.autograd.grad(run_layer(layer, x_BTD).square().sum(), [*layer.parameters()])
    wanted = torch.autograd.grad(expected.square().sum(), [*layer.parameters()])
    for actual, reference in zip(gradient, wanted, strict=True):
        torch.testing.assert_close(actual, reference, rtol=1e-3, atol=1e-4)


def test_the_forget_gate_starts_open_and_the_other_biases_at_zero() -> None:
    _, _, b_ih, b_hh = RecurrentLayer("lstm", 5, 7).cell.parameters()
    i, f, g, o = (b_ih + b_hh).chunk(4)
    assert f.tolist() == [1.0] * 7
    assert torch.cat([i, g, o]).tolist() == [0.0] * 21


@both_cells
def test_every_gate_starts_with_an_orthogonal_recurrent_matrix(kind: CellKind) -> None:
    torch.manual_seed(0)
    _, w_hh, _, _ = RecurrentLayer(kind, 5, 8).cell.parameters()
    for gate in w_hh.chunk(GATES[kind]):
        torch.testing.assert_close(gate @ gate.T, torch.eye(8), rtol=0, atol=1e-5)


@both_cells
def test_weight_drop_draws_one_mask_a_pass_and_none_in_evaluation(kind: CellKind) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, 5, 7, weight_drop=0.5)
    plain = RecurrentLayer(kind, 5, 7)
    plain.load_state_dict(layer.state_dict())
    x_BTD = torch.randn(2, 6, 5)
    assert not torch.equal(run_layer(layer, x_BTD), run_layer(layer, x_BTD))
    # Both rows read the same: were the mask drawn for each row, they would differ.
    twice_BTD = x_BTD[:1].expand(2, -1, -1)
    first, second = run_layer(layer, twice_BTD)
    torch.testing.assert_close(first, second)
    layer.eval()
    assert torch.equal(run_layer(layer, x_BTD), run_layer(plain, x_BTD))


@both_cells
def test_weight_drop_leaves_the_first_step_alone_and_keeps_the_mean_of_the_weights(
    kind: CellKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer(kind, 5, 16, weight_drop=0.25)
    _, w_hh, _, _ = layer.cell.parameters()
    x_BTD = torch.randn(2, 6, 5)
    # h is zero before the first step, so nothing of the hidden-to-hidden matrix can show there.
    assert torch.equal(run_layer(layer, x_BTD)[:, 0], run_layer(layer, x_BTD)[:, 0])
    kernel, seen = getattr(torch, kind), []

    def spy(x: Tensor, h: Tensor, weights: list[Tensor], *args: object, **kwargs: object) -> object:
        seen.append(weights[1].detach().clone())
        return kernel(x, h, weights, *args, **kwargs)

    monkeypatch.setattr(torch, kind, spy)
    passes = 400
    for _ in range(passes):
        run_layer(layer, x_BTD)
    dropped = torch.stack(seen)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    kept = dropped != 0
    torch.testing.assert_close(dropped[kept], (w_hh / 0.75).expand_as(dropped)[kept])
    # The standard deviation of a mean over the passes is |w| sqrt(p / (1 - p) / passes).
    error = (dropped.mean(0) - w_hh).abs() / w_hh.abs()
    assert error.max().item() < 6 * (0.25 / 0.75 / passes) ** 0.5


def test_gradients_pass_the_mask_to_the_kept_weights_only() -> None:
    torch.manual_seed(0)
    layer = RecurrentLayer("lstm", 5, 7, weight_drop=0.5)
    run_layer(layer, torch.randn(2, 6, 5)).sum().backward()
    _, w_hh, _, _ = layer.cell.parameters()
    assert w_hh.grad is not None
    assert 0.3 < (w_hh.grad == 0).float().mean().item() < 0.7


def test_layers_of_a_residual_model_add_to_the_stream() -> None:
    config = Config(kind="recurrent", n_layers=3, d_embedding=6, d_hidden=8, residual=True)
    model = build_model(config, vocab_size=11, seed=0).eval()
    assert isinstance(model, Model)
    with torch.no_grad():
        for layer in list(model.layers)[1:]:
            for parameter in layer.parameters():
                parameter.zero_()
        first_only = Model(config.model_copy(update={"n_layers": 1}), 11).eval()
        weights = {k: v for k, v in model.state_dict().items() if k in first_only.state_dict()}
        first_only.load_state_dict(weights)
        ids_BT = torch.arange(10).view(2, 5)
        # A silent layer (all weights zero) outputs zero: the stream is that of the first layer.
        assert torch.equal(model(ids_BT), first_only(ids_BT))


def test_parameter_counts_agree_with_a_count_by_hand() -> None:
    def count(**fields: object) -> int:
        table = {"kind": "recurrent", "d_embedding": 64, "d_hidden": 256} | fields
        return build_model(Config.model_validate(table), vocab_size=150, seed=0).parameter_count()

    embedding = 150 * 64
    lstm = 4 * (256 * 64 + 256 * 256 + 256 + 256)
    gru = 3 * (256 * 64 + 256 * 256 + 256 + 256)
    second = 4 * (256 * 256 + 256 * 256 + 256 + 256)
    output = 256 * 150 + 150
    assert count() == embedding + lstm + output == 377_878
    assert count(cell="gru") == embedding + gru + output
    assert count(n_layers=2) == embedding + lstm + second + output
    norms = 2 * 2 * 256
    assert count(n_layers=2, layer_norm=True) == embedding + lstm + second + norms + output
    assert count(tie_embeddings=True) == embedding + lstm + 256 * 64 + 150
    same_width = 150 * 256 + 4 * (2 * 256 * 256 + 2 * 256) + 150
    assert count(tie_embeddings=True, d_embedding=256) == same_width


@both_cells
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_flops_agree_with_a_counter_on_the_unfused_kernels(kind: CellKind, tied: bool) -> None:
    config = Config(
        kind="recurrent", cell=kind, n_layers=3, d_embedding=12, d_hidden=20, tie_embeddings=tied
    )
    model = build_model(config, vocab_size=31, seed=0).eval()
    ids_BT = torch.randint(31, (4, 9))
    # Without oneDNN a layer is made of products that the counter sees.
    with torch.backends.mkldnn.flags(enabled=False), torch.no_grad():
        counter = FlopCounterMode(display=False)
        with counter:
            model(ids_BT)
    assert counter.get_total_flops() == 4 * 9 * model.forward_flops_per_token(9)


def test_flops_of_v1_agree_with_a_count_by_hand() -> None:
    model = build_model(load_spec("v1").model, vocab_size=150, seed=0)
    by_hand = 2 * 4 * 256 * (64 + 256) + 2 * 256 * 150
    assert model.forward_flops_per_token(160) == by_hand == 732_160


@pytest.mark.parametrize(
    "fields", [{"n_layers": 4}, {"n_layers": 0}, {"dropout": 1.0}, {"cell": "rnn"}, {"d_hidden": 0}]
)
def test_a_config_out_of_range_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Config.model_validate({"kind": "recurrent", "d_embedding": 4, "d_hidden": 4} | fields)
