"""What each optimizer does with a gradient, and what it refuses."""

import copy

import pytest
import torch
from torch import nn

from escada.models.roles import parameter_roles
from escada.spec import TrainSpec
from escada.training.optimizers import build_optimizer
from escada.training.optimizers.adam import parameter_groups
from escada.training.optimizers.muon import newton_schulz
from escada.training.step import clip_norm, gradient_tensors


def train_spec(**values):
    base = {
        "budget": "100 steps",
        "window_tokens": 8,
        "stride_tokens": 1,
        "batch_sequences": 4,
        "learning_rate": 0.5,
    }
    return TrainSpec.model_validate(base | values)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(5, 3)
        self.hidden = nn.Linear(3, 3)
        self.norm = nn.LayerNorm(3)
        self.output = nn.Linear(3, 5, bias=False)
        self.output.weight = self.embedding.weight


def test_matrices_decay_and_norms_biases_and_tied_embeddings_do_not():
    model = Tied()
    decayed, kept = parameter_groups(model, train_spec(weight_decay=0.1))
    assert decayed["weight_decay"] == 0.1
    assert {id(p) for p in decayed["params"]} == {id(model.hidden.weight)}
    assert kept["weight_decay"] == 0.0
    assert len(kept["params"]) == 4
    assert sum(p.numel() for g in (decayed, kept) for p in g["params"]) == sum(
        p.numel() for p in model.parameters()
    )


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_a_step_of_the_optimizer_agrees_with_the_formula(name):
    model = nn.Linear(2, 1, bias=False)
    before = model.weight.detach().clone()
    train = train_spec(optimizer=name, learning_rate=0.01, weight_decay=0.1)
    optimizer = build_optimizer(model, train)
    model.weight.grad = torch.tensor([[1.0, -2.0]])
    optimizer.step()
    # The first Adam step is lr · sign(gradient); AdamW also shrinks by lr · decay, Adam (L2) adds
    # decay · weight to the gradient, which a first step only sees in its sign.
    shrunk = before * (1 - 0.01 * 0.1) if name == "adamw" else before
    assert torch.allclose(model.weight, shrunk - 0.01 * torch.tensor([[1.0, -1.0]]), atol=1e-6)


class Small(nn.Module):
    """One parameter of every role."""

    vocab_size = 7

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.table = nn.Embedding(50, 4, sparse=True)
        self.wide = nn.Linear(4, 6)
        self.tall = nn.Linear(6, 4, bias=False)
        self.output = nn.Linear(4, 7, bias=False)

    def forward(self, ids):
        x = self.embedding(ids) + self.table(ids * 3)
        return self.output(x + self.tall(self.wide(x).relu()))


BY_ROLE = {
    "learning_rate": 0.02,
    "rates": {"embeddings": 0.05, "tables": 0.5, "output": 0.01, "vectors": 0.03},
}

MUON = {"optimizer": "muon", **BY_ROLE}


def stepped(model, optimizer, ids=(1, 2, 2)):
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer.zero_grad(set_to_none=True)
    logits = model(torch.tensor([ids]))
    nn.functional.cross_entropy(logits.flatten(0, 1), torch.tensor([3] * len(ids))).backward()
    gradients = {
        n: p.grad.coalesce() if p.grad.is_sparse else p.grad for n, p in model.named_parameters()
    }
    optimizer.step()
    return {n: p.detach() - before[n] for n, p in model.named_parameters()}, gradients


def test_every_parameter_has_one_role():
    model = Small()
    roles = parameter_roles(model)
    assert roles["matrices"] == [model.wide.weight, model.tall.weight]
    assert roles["embeddings"] == [model.embedding.weight]
    assert roles["tables"] == [model.table.weight]
    assert roles["output"] == [model.output.weight]
    assert roles["vectors"] == [model.wide.bias]


def test_a_tied_output_is_an_embedding():
    model = Small()
    model.output.weight = model.embedding.weight
    roles = parameter_roles(model)
    assert roles["embeddings"] == [model.embedding.weight]
    assert roles["output"] == []


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_every_role_has_its_own_initial_rate(name):
    model = Small()
    optimizer = build_optimizer(model, train_spec(optimizer=name, **BY_ROLE))
    rates = {
        id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]
    }
    found = {name: rates[id(p)] for name, p in model.named_parameters()}
    assert found == {
        "embedding.weight": 0.05,
        "table.weight": 0.5,
        "wide.weight": 0.02,
        "wide.bias": 0.03,
        "tall.weight": 0.02,
        "output.weight": 0.01,
    }


def test_orthogonalised_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    for shape in ((3, 8, 8), (2, 16, 8), (2, 8, 32)):
        singular = torch.linalg.svdvals(newton_schulz(torch.randn(shape), 5))
        assert singular.min() > 0.3
        assert singular.max() < 1.3


def test_a_step_of_muon_moves_a_matrix_by_its_rate_along_the_orthogonal_gradient():
    torch.manual_seed(0)
    model = Small()
    changes, gradients = stepped(model, build_optimizer(model, train_spec(**MUON)))
    # The first look ahead is a positive multiple of the gradient, which the iteration ignores.
    expected = newton_schulz(gradients["wide.weight"][None], 5)[0] * -0.02 * (6 / 4) ** 0.5
    torch.testing.assert_close(changes["wide.weight"], expected, atol=1e-4, rtol=1e-3)
    assert changes["output.weight"].abs().max() == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_of_a_table_only_the_rows_that_were_read_change_by_their_rate(name):
    torch.manual_seed(0)
    model = Small()
    optimizer = build_optimizer(model, train_spec(optimizer=name, **BY_ROLE))
    changes, gradients = stepped(model, optimizer)
    change = changes["table.weight"]
    assert set(change.abs().sum(dim=1).nonzero().flatten().tolist()) == {3, 6}
    assert gradients["table.weight"].indices().tolist() == [[3, 6]]
    # The first step of row-wise Adagrad has a root mean square of the rate in every row.
    torch.testing.assert_close(change[[3, 6]].square().mean(dim=1).sqrt(), torch.full((2,), 0.5))


@pytest.mark.parametrize("name", ["adam", "adamw", "muon"])
def test_a_refused_step_changes_no_weight(name):
    model = Small()
    optimizer = build_optimizer(model, train_spec(optimizer=name, **BY_ROLE))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, float("nan"))
    model.table.weight.grad = model.table.weight.grad.to_sparse(1)
    before = [p.detach().clone() for p in model.parameters()]
    vars(optimizer)["found_inf"] = torch.ones(())
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_the_state_of_several_optimizers_goes_out_and_back(name):
    torch.manual_seed(0)
    one, other = Small(), Small()
    train = train_spec(optimizer=name, **BY_ROLE)
    optimizer = build_optimizer(one, train)
    for _ in range(3):
        stepped(one, optimizer)
    other.load_state_dict(one.state_dict())
    again = build_optimizer(other, train)
    state = again.state_dict() | {"state": copy.deepcopy(optimizer.state_dict()["state"])}
    again.load_state_dict(state)
    stepped(one, optimizer, ids=(4, 5, 1))
    stepped(other, again, ids=(4, 5, 1))
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_clipping_counts_the_rows_of_a_sparse_gradient_and_scales_them():
    model = Small()
    model.table(torch.tensor([1, 1, 4])).sum().backward()
    gradients = gradient_tensors(model)
    norm = torch.nn.utils.get_total_norm(gradients)
    assert norm == pytest.approx((4 * 2**2 + 4 * 1) ** 0.5)
    clip_norm(gradients, norm, 1.0)
    dense = model.table.weight.grad.to_dense()
    assert dense.norm() == pytest.approx(1, rel=1e-4)
