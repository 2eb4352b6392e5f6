"""FLOPs: the closed forms against torch's counter, and against an example worked by hand."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from escada.cost.flops import training_flops_per_step
from escada.models.contract import build_model
from escada.models.layers import GATES
from escada.spec import load_spec


def counted_forward(model: torch.nn.Module, rows: int, tokens: int) -> int:
    plain = torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH)
    with plain, torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros((rows, tokens), dtype=torch.int64))
    return counter.get_total_flops()


@pytest.mark.parametrize("rung", ["v5", "v_final"])
def test_a_transformers_matrices_are_those_that_torch_counts(rung):
    """torch counts all T keys of each query; a causal model needs (T + 1)/2 of them."""
    spec = load_spec(rung, preset="laptop")
    rows, tokens = 2, spec.train.window_tokens
    config = spec.model
    model = build_model(config, 1024, seed=0)
    scores = 4 * config.d_model * config.n_layers  # scores and values, for each key
    causal = model.forward_flops_per_token(tokens)
    everywhere = causal + scores * (tokens - (tokens + 1) / 2)
    assert counted_forward(model, rows, tokens) == pytest.approx(rows * tokens * everywhere)


@pytest.mark.parametrize("rung", ["v1", "v3", "v4"])
def test_an_lstms_operations_are_those_of_a_loop_over_its_steps(rung):
    """No counter sees into the fused kernel: the same cell as plain products, step by step."""
    spec = load_spec(rung, preset="laptop")
    config, rows, tokens, vocabulary = spec.model, 2, 7, 300
    model = build_model(config, vocabulary, seed=0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        width = config.d_embedding
        for _ in range(config.n_layers):
            gates = GATES[config.cell] * config.d_hidden
            for _ in range(tokens):
                torch.zeros(rows, width) @ torch.zeros(width, gates)
                torch.zeros(rows, config.d_hidden) @ torch.zeros(config.d_hidden, gates)
            width = config.d_hidden
        model.output(torch.zeros(rows * tokens, width))
    expected = rows * tokens * model.forward_flops_per_token(tokens)
    assert counter.get_total_flops() == pytest.approx(expected)


def test_a_gru_is_counted_by_torch_itself():
    spec = load_spec("v4_gru", preset="laptop")
    model = build_model(spec.model, 300, seed=0)
    expected = 2 * 5 * model.forward_flops_per_token(5)
    assert counted_forward(model, 2, 5) == pytest.approx(expected)


def test_v5_full_as_worked_by_hand():
    """12.2 M parameters, 64 windows of 256: about 1.3e12 FLOP a step, not the roadmap's 1.9e13."""
    spec = load_spec("v5")
    with torch.device("meta"):
        model = build_model(spec.model, 4096, seed=0)
    embedding = 4096 * 384  # tied
    block = 4 * 384**2 + 4 * 384 + 2 * 384 * 1536 + 384 + 1536 + 4 * 384
    assert model.parameter_count() == embedding + 6 * block + 2 * 384 == 12_220_416
    # 10,616,832 + 1,572,864 multiply-adds, and 592,128 of attention over 128.5 keys on average
    products = 6 * (4 * 384**2 + 2 * 384 * 1536) + 4096 * 384
    attention = 6 * 2 * 384 * 257 / 2
    per_token = 3 * 2 * (products + attention)
    assert per_token == 76_690_944
    step = training_flops_per_step(model, spec.train)
    assert step == per_token * 64 * 256 == pytest.approx(1.257e12, rel=1e-3)
