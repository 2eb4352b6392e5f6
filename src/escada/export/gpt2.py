"""Converts our Transformer to a GPT-2 (Radford et al. 2019)."""

from __future__ import annotations

from torch import Tensor

from escada.models import transformer


def gpt2_config(model: transformer.Model) -> dict[str, object]:
    """The model's `GPT2Config`."""
    config = model.config
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_positions": config.context_tokens,
        "n_embd": config.d_model,
        "n_layer": config.n_layers,
        "n_head": config.n_heads,
        "n_inner": config.d_ff,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": config.norm_epsilon,
        "embd_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "attn_pdrop": config.attention_dropout,
        "tie_word_embeddings": config.tie_embeddings,
    }


def gpt2_weights(model: transformer.Model) -> dict[str, Tensor]:
    """The weights under the names and in the layout of transformers' `GPT2LMHeadModel`.

    They give the same logits: s is folded into the embeddings and divided out at the final norm,
    before the tied output. GPT-2's linear layers store their matrices transposed.
    """
    embedding = model.embedding.weight * model.stream_scale
    tied = 1 / model.stream_scale if model.config.tie_embeddings else 1.0
    weights = {
        "transformer.wte.weight": embedding,
        "transformer.wpe.weight": model.position_rows() * model.stream_scale,
        "transformer.ln_f.weight": model.norm.weight * tied,
        "transformer.ln_f.bias": model.norm.bias * tied,
        "lm_head.weight": embedding if model.config.tie_embeddings else model.output.weight,
    }
    names = {
        "attention_norm": "ln_1",
        "attention.qkv": "attn.c_attn",
        "attention.out": "attn.c_proj",
        "ff_norm": "ln_2",
        "ff.up": "mlp.c_fc",
        "ff.down": "mlp.c_proj",
    }
    for index, block in enumerate(model.blocks):
        for ours, theirs in names.items():
            for part, value in block.get_submodule(ours).named_parameters():
                key = f"transformer.h.{index}.{theirs}.{part}"
                weights[key] = value.t() if value.ndim == 2 else value
    return {name: value.detach().clone().contiguous() for name, value in weights.items()}
