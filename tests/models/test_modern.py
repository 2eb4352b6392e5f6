"""The model of v_next: what begins anew at a document, what its tables do, what it costs."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from escada.cost.flops import optimizer_flops_per_step, training_flops_per_step
from escada.models import modern
from escada.models.contract import build_model
from escada.spec import load_spec
from escada.training.optimizers.muon import newton_schulz

V, BOS = 61, 1
CONFIG = modern.Config.model_validate(
    {
        "kind": "modern",
        "d_model": 16,
        "d_ff": 32,
        "n_layers": 2,
        "table_rows": 97,
        "document_start_id": BOS,
    }
)


def noisy(**changes: object) -> modern.Model:
    model = build_model(CONFIG.model_copy(update=changes), V, seed=0).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    assert isinstance(model, modern.Model)
    return model


def documents() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    first, second = torch.randint(2, V, (1, 9)), torch.randint(2, V, (1, 11))
    first[0, 0] = second[0, 0] = BOS
    return first, second


def test_a_document_in_a_packed_window_is_read_as_if_it_stood_alone():
    model, (first, second) = noisy(), documents()
    with torch.no_grad():
        packed = model(torch.cat([first, second], dim=1))[:, 9:]
        torch.testing.assert_close(packed, model(second), rtol=1e-4, atol=1e-5)


def test_without_a_start_id_what_came_before_counts():
    model, (first, second) = noisy(document_start_id=None), documents()
    with torch.no_grad():
        packed = model(torch.cat([first, second], dim=1))[:, 9:]
        assert (packed - model(second)).abs().max() > 0.1


def test_a_window_is_trained_on_the_logits_that_reading_on_gives():
    model, (first, second) = noisy(), documents()
    ids = torch.cat([first, second, first], dim=1)
    state = model.fresh_state(1)
    read = [model.advance(part, state) for part in ids.split([4, 1, 7, 17], dim=1)]
    torch.testing.assert_close(model(ids), torch.cat(read, dim=1), rtol=1e-4, atol=1e-5)


def test_a_table_is_read_at_the_row_of_the_ngram_whatever_came_before_it():
    torch.manual_seed(0)
    ids = torch.randint(V, (1000,))
    a, b = ids, ids.roll(1)
    rows = modern.hashed([a, b], 4096)
    assert rows.min() >= 0
    assert rows.max() < 4096
    of = {(int(x), int(y)): int(row) for x, y, row in zip(a, b, rows, strict=True)}
    again = [int(row) == of[int(x), int(y)] for x, y, row in zip(a, b, rows, strict=True)]
    assert all(again)
    assert len(set(of.values())) > 0.85 * len(of)  # 4,096 rows hold them with few in common


def test_a_step_reads_few_rows_of_a_table_and_its_gradient_holds_no_others():
    model = noisy().train()
    model(torch.tensor([[BOS, 5, 6, 5, 6]])).square().sum().backward()
    gradient = model.tables[0].weight.grad.coalesce()
    assert gradient.is_sparse
    assert len(gradient.indices()[0]) == 4  # start, BOS 5, 5 6, 6 5


@pytest.mark.parametrize("preset", ["laptop", "full"])
def test_its_matrices_are_those_that_torch_counts(preset):
    spec = load_spec("v_next", preset=preset, overrides=["model.table_rows=64"])
    model = build_model(spec.model, 300, seed=0)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros((2, 7), dtype=torch.int64))
    assert counter.get_total_flops() == pytest.approx(2 * 7 * model.forward_flops_per_token(7))


def test_the_products_of_muon_are_counted_in_a_step():
    overrides = ["model.table_rows=64", "train.optimizer=muon"]
    spec = load_spec("v_next", preset="laptop", overrides=overrides)
    model = build_model(spec.model, 300, seed=0)
    expected = 0
    for block in model.blocks:
        for layer in (block.mixer.zug, block.mixer.out, block.ff.up, block.ff.down):
            with FlopCounterMode(display=False) as counter:
                newton_schulz(layer.weight.detach()[None], spec.train.orthogonal_steps)
            expected += counter.get_total_flops()
    found = optimizer_flops_per_step(model, spec.train)
    assert found == pytest.approx(expected)
    tokens = spec.train.batch_sequences * spec.train.window_tokens
    passes = 3 * tokens * model.forward_flops_per_token(spec.train.window_tokens)
    assert training_flops_per_step(model, spec.train) == pytest.approx(passes + found)
    adam = spec.train.model_copy(update={"optimizer": "adamw"})
    assert optimizer_flops_per_step(model, adam) == 0
