"""The Transformer: its counts, its cache, and that it is a GPT-2."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from escada.export.gpt2 import gpt2_weights
from escada.models.contract import build_model
from escada.models.layers import (
    gelu_by_sigmoid,
    sinusoidal_positions,
)
from escada.models.transformer import Config, KeyValueCache, Model
from escada.spec import load_spec


def small_model(seed: int = 0, **fields: object) -> Model:
    table = {
        "kind": "transformer",
        "context_tokens": 16,
        "d_model": 16,
        "n_heads": 2,
        "d_ff": 24,
        "n_layers": 2,
        "positions": "learned",
    }
    model = build_model(Config.model_validate(table | fields), vocab_size=37, seed=seed).eval()
    assert isinstance(model, Model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


def obvious_gpt2(weights: dict[str, Tensor], ids_BT: Tensor, n_layers: int, n_heads: int) -> Tensor:
    """GPT-2 (Radford et al. 2019) written out from its published weights' names, loops and all."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        gain, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
        return (x - mean) / (variance + 1e-5).sqrt() * gain + bias

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    length = ids_BT.shape[1]
    x = weights["transformer.wte.weight"][ids_BT] + weights["transformer.wpe.weight"][:length]
    for layer in range(n_layers):
        h = f"transformer.h.{layer}"
        q, k, v = linear(norm(x, f"{h}.ln_1"), f"{h}.attn.c_attn").chunk(3, dim=-1)
        heads = []
        for q_n, k_n, v_n in zip(*(z.chunk(n_heads, dim=-1) for z in (q, k, v)), strict=True):
            scores = q_n @ k_n.transpose(1, 2) / math.sqrt(q_n.shape[-1])
            future = torch.ones(length, length, dtype=torch.bool).triu(1)
            heads.append(scores.masked_fill(future, -math.inf).softmax(-1) @ v_n)
        x = x + linear(torch.cat(heads, dim=-1), f"{h}.attn.c_proj")
        x = x + linear(gelu(linear(norm(x, f"{h}.ln_2"), f"{h}.mlp.c_fc")), f"{h}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ weights["lm_head.weight"].T


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_model_is_a_gpt2(positions: str, tied: bool) -> None:
    model = small_model(positions=positions, tie_embeddings=tied).double()
    weights = gpt2_weights(model)
    assert torch.equal(weights["lm_head.weight"], weights["transformer.wte.weight"]) == tied
    ids_BT = torch.randint(37, (2, 16))
    with torch.no_grad():
        expected = obvious_gpt2(weights, ids_BT, n_layers=2, n_heads=2)
        torch.testing.assert_close(model(ids_BT), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
def test_the_weights_of_v_final_load_in_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="needs `pip install transformers`")
    config = load_spec("v_final").model
    assert isinstance(config, Config)
    model = build_model(config, vocab_size=4096, seed=0).eval()
    assert isinstance(model, Model)
    gpt2 = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(
            vocab_size=4096,
            n_positions=config.context_tokens,
            n_embd=config.d_model,
            n_layer=config.n_layers,
            n_head=config.n_heads,
            n_inner=config.d_ff,
            layer_norm_epsilon=config.norm_epsilon,
        )
    ).eval()
    gpt2.load_state_dict(gpt2_weights(model))
    assert sum(p.numel() for p in gpt2.parameters()) == model.parameter_count()
    ids_BT = torch.randint(4096, (2, 256))
    with torch.no_grad():
        torch.testing.assert_close(model(ids_BT), gpt2(ids_BT).logits, rtol=1e-4, atol=1e-4)


def test_gelu_by_sigmoid_and_its_gradient_are_those_of_the_tanh_form() -> None:
    x = torch.cat([torch.linspace(-12, 12, 4001), torch.tensor([-1e6, -0.0, 1e6])])
    ours, theirs = (x.clone().requires_grad_() for _ in range(2))
    y = gelu_by_sigmoid(ours)
    expected = torch.nn.functional.gelu(theirs, approximate="tanh")
    torch.testing.assert_close(y, expected, atol=1e-6, rtol=1e-5)
    y.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, atol=2e-6, rtol=1e-5)
    assert gelu_by_sigmoid(x.bfloat16()).dtype == torch.bfloat16


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_training_in_bf16_on_a_cpu_computes_what_fp32_does_up_to_rounding(positions: str) -> None:
    model = small_model(positions=positions).train()
    ids_BT = torch.arange(24).view(2, 12)
    expected = model(ids_BT).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(ids_BT)
    assert logits.dtype == torch.bfloat16
    assert (logits.float() - expected).abs().max() < 0.03 * expected.abs().max()


def test_sinusoids_follow_the_formula() -> None:
    table = sinusoidal_positions(50, 6)
    for position in (0, 1, 17, 49):
        for pair in range(3):
            angle = position / 10_000 ** (2 * pair / 6)
            assert table[position, 2 * pair].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[position, 2 * pair + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize(("name", "position_rms"), [("v5", 2.0), ("v_final", 2.0)])
def test_tokens_bring_unit_variance_to_the_stream_and_positions_more(
    name: str, position_rms: float
) -> None:
    model = build_model(load_spec(name).model, vocab_size=4096, seed=0)
    assert isinstance(model, Model)
    tokens = model.embedding.weight * model.stream_scale
    positions = model.position_rows() * model.stream_scale
    assert tokens.square().mean().item() == pytest.approx(1, rel=0.05)
    assert positions.square().mean().sqrt().item() == pytest.approx(position_rms, rel=0.05)


def test_projections_into_the_stream_start_smaller_with_depth() -> None:
    for n_layers in (1, 8):
        model = build_model(
            Config(
                kind="transformer",
                context_tokens=8,
                d_model=64,
                n_heads=2,
                d_ff=256,
                n_layers=n_layers,
                positions="learned",
            ),
            vocab_size=64,
            seed=0,
        )
        for part, d_in in (("attention.out", 64), ("ff.down", 256)):
            weight = model.get_submodule(f"blocks.0.{part}").weight
            assert isinstance(weight, Tensor)
            expected = 1 / math.sqrt(d_in * 2 * n_layers)
            assert weight.std().item() == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("name", "parameters"), [("v5", 12_220_416), ("v_final", 21_143_552)])
def test_parameter_counts_agree_with_a_count_by_hand(name: str, parameters: int) -> None:
    config = load_spec(name).model
    assert isinstance(config, Config)
    d, d_ff, vocab_size = config.d_model, config.d_ff, 4096
    attention = (d * 3 * d + 3 * d) + (d * d + d)
    feed_forward = (d * d_ff + d_ff) + (d_ff * d + d)
    norms = 2 * 2 * d
    learned = 256 * d if name == "v_final" else 0
    by_hand = 6 * (attention + feed_forward + norms) + vocab_size * d + learned + 2 * d
    assert by_hand == parameters
    assert build_model(config, vocab_size, seed=0).parameter_count() == parameters


def test_a_step_of_v5_costs_what_the_design_says() -> None:
    spec = load_spec("v5")
    model = build_model(spec.model, vocab_size=4096, seed=0)
    per_layer = 2 * (4 * 384**2 + 2 * 384 * 1536) + 2 * 2 * 384 * 257 / 2
    by_hand = 6 * per_layer + 2 * 384 * 4096
    assert model.forward_flops_per_token(256) == by_hand
    tokens = spec.train.batch_sequences * spec.train.window_tokens
    assert tokens == 16_384
    assert 3 * tokens * by_hand == pytest.approx(1.3e12, rel=0.04)


def test_flops_agree_with_a_counter() -> None:
    model = small_model(n_layers=3)
    B, T, D, L = 4, 12, 16, 3
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # it sees no fused kernel
        model(torch.randint(37, (B, T)))
    # Unfused attention multiplies every token with all T keys, where a causal one needs (T + 1) / 2
    # on average.
    masked = L * 4 * D * (T - (T + 1) / 2)
    assert counter.get_total_flops() / (B * T) == model.forward_flops_per_token(T) + masked


def test_reading_past_the_context_is_refused() -> None:
    model = small_model()
    with pytest.raises(ValueError, match="17 tokens exceed the context of 16"):
        model(torch.zeros(1, 17, dtype=torch.int64))
    state = model.fresh_state(1)
    model.advance(torch.zeros(1, 15, dtype=torch.int64), state)
    with pytest.raises(ValueError, match="17 tokens exceed the context of 16"):
        model.advance(torch.zeros(1, 2, dtype=torch.int64), state)
    model.advance(torch.zeros(1, 1, dtype=torch.int64), state)
    assert isinstance(state, KeyValueCache)
    assert state.lengths == [16]


def test_what_lies_beyond_a_row_in_the_cache_is_never_read() -> None:
    model = small_model()
    ids_BT = torch.randint(37, (2, 10))
    clean, dirty = model.fresh_state(2), model.fresh_state(2)
    clean.keys_values_L2BNWH.zero_()
    dirty.keys_values_L2BNWH.fill_(torch.nan)
    for piece in (ids_BT[:, :4], ids_BT[:, 4:5], ids_BT[:, 5:]):
        assert torch.equal(model.advance(piece, clean), model.advance(piece, dirty))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"d_model": 10, "n_heads": 3}, "d_model 10 is not a multiple of n_heads 3"),
        ({"d_model": 9, "n_heads": 3, "positions": "sinusoidal"}, "need an even d_model, not 9"),
        ({"positions": "rotary"}, "positions"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        small_model(**fields)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_the_first_blocks_heads_begin_at_the_tokens_before(positions):
    config = Config(
        kind="transformer", context_tokens=64, d_model=96, n_heads=3, d_ff=96, n_layers=2,
        positions=positions,
    )  # fmt: skip
    model = build_model(config, 50, seed=0).eval()
    ids_BT = torch.randint(50, (4, 64), generator=torch.Generator().manual_seed(0))
    block = model.blocks[0]
    with torch.no_grad():
        qkv = block.attention.qkv(block.attention_norm(model._embed(ids_BT, 0)))
    q, k, _ = qkv.view(4, 64, 3, 3, 32).permute(2, 0, 3, 1, 4)
    ahead = torch.ones(64, 64, dtype=torch.bool).triu(1)
    shares = (q @ k.mT / 32**0.5).masked_fill(ahead, -torch.inf).softmax(dim=-1)
    for head in range(3):
        back = shares[:, head].diagonal(-head - 1, dim1=1, dim2=2)
        assert back.mean() > 0.8
