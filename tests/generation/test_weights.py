"""Decoding with packed and with narrower weights."""

import pytest
import torch

from escada.choices import WEIGHTS
from escada.cost import processor
from escada.errors import EscadaError
from escada.generation import weights as weights_module
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.generation.weights import choose_weights, with_weights
from escada.models import packed_linear, transformer
from escada.models.contract import build_model
from escada.models.onednn import onednn_packs
from escada.models.packed_linear import (
    Int8Linear,
    PackedLinear,
    PackedNorm,
    W8A8Linear,
)
from escada.spec import load_spec
from escada.text.tokenizers.bytes import ByteTokenizer

BYTES = ByteTokenizer()
TRANSFORMERS = ["sinusoidal", "learned"]
narrow = pytest.mark.skipif(
    not onednn_packs(torch.bfloat16), reason="this CPU's torch has no bf16 products"
)


def log_probabilities(model, ids_BT):
    """Read token by token, as decoding does."""
    state = model.fresh_state(len(ids_BT))
    with torch.inference_mode():
        parts = [model.advance(ids_BT[:, t : t + 1], state) for t in range(ids_BT.shape[1])]
    return torch.cat(parts, dim=1).float().log_softmax(dim=-1)


@pytest.mark.parametrize("name", ["lstm", "gru", *TRANSFORMERS])
def test_packed_fp32_weights_give_the_logits_of_the_plain_ones(tiny, name):
    model = tiny(name, 50).eval()
    ids_BT = torch.randint(50, (3, 7))
    expected = log_probabilities(model, ids_BT)
    found = log_probabilities(with_weights(model, "fp32"), ids_BT)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@narrow
@pytest.mark.parametrize("gain", [0.2, 5.0])
@pytest.mark.parametrize("cache", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("weights", ["bf16", "int8", "w8a8"])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_narrow_weights_stay_near_the_plain_ones(tiny, name, weights, cache, gain, monkeypatch):
    pays = cache == torch.bfloat16
    monkeypatch.setattr(transformer, "bf16_attention_pays", lambda: pays)
    monkeypatch.setattr(processor, "bf16_gain", lambda: gain)
    model = tiny(name, 50).eval()
    ids_BT = torch.randint(50, (8, 7))
    expected = log_probabilities(model, ids_BT)
    twin = with_weights(model, weights)
    wide = weights == "w8a8" or (weights == "int8" and gain < 1)  # fp32 flows between layers
    cached = twin.fresh_state(1).keys_values_L2BNWH.dtype
    assert cached == (torch.float32 if wide else cache)
    found = log_probabilities(twin, ids_BT)
    divergence = (expected.exp() * (expected - found)).sum(dim=-1).mean()
    assert 0 < divergence < 2e-3  # nats a token; above 0, or nothing was narrowed


@narrow
@pytest.mark.parametrize(
    ("weights", "kind"),
    [
        ("fp32", PackedLinear),
        ("bf16", PackedLinear),
        ("int8", Int8Linear),
        ("w8a8", W8A8Linear),
    ],
)
def test_every_linear_layer_and_norm_is_packed(tiny, weights, kind):
    twin = with_weights(tiny("learned", 50), weights)
    named = [(name, m) for name, m in twin.named_modules() if hasattr(m, "in_features")]
    linear = [module for name, module in named if not name.endswith("_of_pieces")]
    assert len(linear) == 2 * 4 + 1
    assert all(type(module) is kind for module in linear)
    assert sum(isinstance(module, PackedNorm) for module in twin.modules()) == 2 * 2 + 1
    assert not any(type(module) is torch.nn.LayerNorm for module in twin.modules())
    assert not twin.training


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_model_that_came_in_stays_as_it_is(tiny, weights):
    if weights == "bf16" and not onednn_packs(torch.bfloat16):
        pytest.skip("this CPU's torch has no bf16 products")
    model = tiny("sinusoidal", 50).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pointers = [parameter.data_ptr() for parameter in model.parameters()]
    twin = with_weights(model, weights)
    log_probabilities(twin, torch.randint(50, (2, 5)))
    assert model.training
    assert [parameter.data_ptr() for parameter in model.parameters()] == pointers
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model(torch.randint(50, (1, 3))).requires_grad


def test_a_model_that_is_a_table_is_handed_back(table_model):
    model = table_model(torch.zeros(5, 5))
    assert with_weights(model, "fp32") is model


@narrow
@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_rows_text_is_the_same_alone_and_in_any_batch_with_any_weights(tiny, weights):
    model = tiny("learned", BYTES.vocab_size)
    settings = SamplerSettings(temperature=1.0)

    def ids(prompts, **options):
        found = generate(
            model, BYTES, prompts, settings, max_tokens=12, profile="reference", weights=weights,
            **options,
        )  # fmt: skip
        return [sample.ids for sample in found]

    together = ids(["Era", "Não sei"], n=3)
    assert ids(["Era", "Não sei"], n=3, batch_rows=1) == together
    assert ids(["Não sei"], n=3, batch_rows=2) == together[3:]


def test_unknown_weights_are_an_error_that_names_the_nearest(tiny):
    with pytest.raises(EscadaError, match="did you mean 'int8'"):
        with_weights(tiny("learned", 50), "int4")


def test_narrow_weights_of_a_recurrent_model_are_refused(tiny):
    with pytest.raises(EscadaError, match="recurrent"):
        with_weights(tiny("gru", 50), "int8")


@pytest.mark.parametrize(
    ("weights", "packs"), [("bf16", (torch.float32,)), ("w8a8", (torch.bfloat16,))]
)
def test_a_cpu_without_such_products_is_an_error_and_no_silent_fall_back(
    tiny, weights, packs, monkeypatch
):
    monkeypatch.setattr(weights_module, "onednn_packs", lambda dtype: dtype in packs)
    with pytest.raises(EscadaError, match="through oneDNN"):
        with_weights(tiny("learned", 50), weights)


def test_int8_weights_need_no_bf16_and_no_onednn(tiny, monkeypatch):
    for module in (weights_module, packed_linear):
        monkeypatch.setattr(module, "onednn_packs", lambda dtype: False)
    monkeypatch.setattr(processor, "bf16_gain", lambda: 0.0)
    model = tiny("learned", 50).eval()
    ids_BT = torch.randint(50, (2, 7))
    found = log_probabilities(with_weights(model, "int8"), ids_BT)
    torch.testing.assert_close(found, log_probabilities(model, ids_BT), rtol=0, atol=0.15)


@pytest.mark.parametrize("name", ["gru", "learned"])
def test_auto_is_the_fastest_for_that_many_rows_and_fp32_for_a_recurrent_model(
    tiny, name, monkeypatch
):
    times = {"fp32": [4.0, 5.0] * 2, "int8": [1.0, 9.0] * 2, "w8a8": [2.0, 3.0] * 2}
    monkeypatch.setattr(processor, "layer_seconds", lambda: times)
    model = tiny(name, 50)
    assert choose_weights("bf16", model, 1) == "bf16"
    found = [choose_weights("auto", model, rows) for rows in (1, 2, 12, 64)]
    assert found == (["fp32"] * 4 if name == "gru" else ["int8", "int8", "w8a8", "w8a8"])


@pytest.mark.parametrize("gain", [0.2, 5.0])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("rung", ["v1", "v5", "v_final", "v_next"])
def test_every_rung_decodes_with_what_it_is_offered_and_refuses_the_rest(
    rung, weights, gain, monkeypatch
):
    monkeypatch.setattr(processor, "bf16_gain", lambda: gain)
    overrides = ["model.table_rows=64"] if rung == "v_next" else []
    model = build_model(load_spec(rung, preset="laptop", overrides=overrides).model, 60, seed=0)
    model.eval()
    narrow = weights != "fp32"
    if narrow and (rung == "v1" or (weights == "bf16" and rung == "v_next")):
        with pytest.raises(EscadaError, match="for Transformers"):
            with_weights(model, weights)
        return
    if weights == "bf16" and not onednn_packs(torch.bfloat16):
        return
    twin = with_weights(model, weights)
    state = twin.fresh_state(2)
    with torch.inference_mode():
        for tokens in (6, 1):
            logits = twin.advance(torch.randint(60, (2, tokens)), state)
            assert logits.shape == (2, tokens, 60)
            assert logits.isfinite().all()


def test_fp32_decodes_where_nothing_can_be_packed(tiny, monkeypatch):
    monkeypatch.setattr(weights_module, "onednn_packs", lambda dtype: False)
    model = tiny("learned", 50)
    twin = with_weights(model, "fp32")
    assert not any(isinstance(module, PackedLinear) for module in twin.modules())
