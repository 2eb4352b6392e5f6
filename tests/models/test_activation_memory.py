"""What a forward pass keeps: the models' closed forms against a count of autograd's storages."""

from __future__ import annotations

import pytest
import torch

from escada.models.activation_memory import Setting, count_saved_bytes, counted
from escada.models.contract import LanguageModel, build_model
from escada.models.onednn import onednn_packs
from escada.spec import load_spec, rung_names

VOCABULARY = 150
MIXTURE = "v_next_counts"
"""It has a training loss of its own, and another test."""
PADDING = 0.05
"""oneDNN pads the rows of its workspace, by the width of the state."""


def model_of(rung: str, *overrides: str) -> tuple[LanguageModel, int]:
    spec = load_spec(rung, preset="laptop", overrides=list(overrides))
    model = build_model(spec.model, spec.tokenizer.vocab_size or VOCABULARY, seed=0)
    return model, spec.train.window_tokens


def dropout(rung: str, share: float) -> list[str]:
    if rung == "v_next":
        return [f"model.table_dropout={share}"]
    recurrent = load_spec(rung).model.kind == "recurrent"
    second = "recurrent_dropout" if recurrent else "attention_dropout"
    return [f"model.dropout={share}", f"model.{second}={share}"]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("share", [0.0, 0.1])
@pytest.mark.parametrize("rung", [rung for rung in rung_names() if rung != MIXTURE])
def test_saved_bytes_are_what_autograd_keeps(rung, share, precision):
    model, window = model_of(rung, *dropout(rung, share))
    fused = getattr(model.config, "cell", None) == "lstm"
    if fused and precision == "bf16" and not onednn_packs(torch.bfloat16):
        pytest.skip("oneDNN has no bf16 on this processor, and torch no fused LSTM without it")
    setting = Setting(precision, "cpu")
    stated = model.saved_bytes(window, setting).of(3)
    found = count_saved_bytes(model, 3, window, setting)
    assert stated == pytest.approx(found, rel=PADDING if fused else 2e-4)


def test_a_model_without_a_closed_form_is_counted():
    model, window = model_of("v5")
    setting = Setting("fp32", "cpu")
    found = LanguageModel.saved_bytes(model, window, setting)
    assert found == counted(model, window, setting)
    assert found.of(5) == pytest.approx(count_saved_bytes(model, 5, window, setting), rel=1e-6)


def test_a_model_on_the_meta_device_is_counted_alike():
    real, window = model_of("v5")
    spec = load_spec("v5", preset="laptop")
    with torch.device("meta"):
        shape = build_model(spec.model, spec.tokenizer.vocab_size or VOCABULARY, seed=0)
    setting = Setting("fp32", "cpu")
    assert counted(shape, window, setting) == counted(real, window, setting)


def test_closed_forms_need_no_weights():
    spec = load_spec("v_final")
    with torch.device("meta"):
        model = build_model(spec.model, 4096, seed=0)
    assert model.saved_bytes(256, Setting("bf16", "cuda")).per_sequence > 0


def test_counting_leaves_weights_mode_and_random_state_alone():
    model, window = model_of("v5", "model.dropout=0.5")
    model.eval()
    before = torch.get_rng_state()
    count_saved_bytes(model, 1, window, Setting("fp32", "cpu"))
    assert not model.training
    assert torch.equal(before, torch.get_rng_state())
    assert all(p.grad is None for p in model.parameters())


def test_a_transformers_saved_bytes_by_hand():
    """One block without dropout, fp32, D = 4, F = 8, one head, 3 tokens."""
    spec = load_spec(
        "v5",
        preset="laptop",
        overrides=[
            "model.d_model=4", "model.d_ff=8", "model.n_heads=1", "model.n_layers=1",
            "model.context_tokens=3", "train.window_tokens=3",
        ],
    )  # fmt: skip
    model = build_model(spec.model, 10, seed=0)
    # id 8; two norms 2 (16 + 8); six vectors of 16; hidden 2 · 32; one logarithm 4; last norm
    # 16 + 8; what the logits read 16
    token = 8 + 2 * 24 + 6 * 16 + 2 * 32 + 4 + 24 + 16
    assert model.saved_bytes(3, Setting("fp32", "cpu")).of(2) == 2 * 3 * token


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_a_mixture_adds_is_small_and_stated(precision):
    setting = Setting(precision, "cpu")
    model, window = model_of(MIXTURE)
    network = model.parts()["network"]
    starts = torch.zeros(3, dtype=torch.int64)
    kept: dict[int, int] = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    ids = torch.zeros((3, window + 1), dtype=torch.int64)
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        setting.autocast(),
    ):
        loss = model.training_nats(ids, starts).sum()
    found = sum(size for place, size in kept.items() if place not in own)
    del loss
    log_probabilities = 3 * window * model.vocab_size * 4  # the planner counts logits apart
    stated = model.saved_bytes(window, setting).of(3)
    assert stated == pytest.approx(found - log_probabilities, rel=0.03)
    assert stated < 1.1 * network.saved_bytes(window, setting).of(3)
