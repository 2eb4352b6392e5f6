"""The learning rate of each step, and what decays."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from escada.spec import TrainSpec, Warmup
from escada.training.optimizers import build_optimizer, learning_rate, parameter_groups


def train_spec(**values):
    base = {
        "budget": "100 steps",
        "window_tokens": 8,
        "stride_tokens": 1,
        "batch_sequences": 4,
        "learning_rate": 0.5,
    }
    return TrainSpec.model_validate(base | values)


def test_warm_up_rises_linearly_and_the_cosine_falls_to_its_floor():
    train = train_spec(warmup="10 steps", schedule="cosine", min_learning_rate_ratio=0.1)
    rates = [learning_rate(train, step, 100) for step in range(100)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[9] == pytest.approx(0.5)
    assert rates[10] == pytest.approx(0.5)
    middle = (10 + 99) / 2
    assert learning_rate(train, int(middle), 100) == pytest.approx(0.275, rel=0.02)
    assert rates[99] == pytest.approx(0.05)
    assert all(a > b for a, b in pairwise(rates[10:]))


def test_past_the_end_the_rate_stays_at_its_floor():
    train = train_spec(schedule="cosine", min_learning_rate_ratio=0.1)
    assert [learning_rate(train, step, 100) for step in (99, 100, 150, 10_000)] == pytest.approx(
        [0.05] * 4
    )


@given(
    st.integers(1, 10_000), st.integers(0, 20_000), st.floats(0, 99), st.sampled_from([0.0, 0.1, 1])
)
def test_the_rate_is_never_above_its_peak_nor_negative(total, step, share, floor):
    train = train_spec(schedule="cosine", min_learning_rate_ratio=floor).model_copy(
        update={"warmup": Warmup(share, "%")}
    )
    assert 0 <= learning_rate(train, step, total) <= 0.5


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
    decayed, kept = parameter_groups(model, weight_decay=0.1)
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
