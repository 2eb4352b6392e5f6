"""Attention heads: the weights of one over a text, and scores of all of them.

Weights are softmax(q kᵀ / √H) over the tokens up to each, with the queries and keys of the layer's
own projection.

Scores are mean weights on random tokens repeated once, BOS r₁ … rₙ r₁ … rₙ, so that no score comes
from what tokens mean (Olsson et al. 2022, "In-context Learning and Induction Heads"):

- previous token: of a token on the one before it;
- same token: of rᵢ, read again, on rᵢ;
- induction: of rᵢ, read again, on rᵢ₊₁, which followed it.

    N  heads     T, S  tokens     H  width of a head
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.inside.reading import read_text
from escada.inside.views import (
    ATTENTION_TOKENS,
    AttentionRequest,
    AttentionView,
    HeadId,
    HeadRankingRequest,
    HeadRankingView,
    RankedHead,
)
from escada.models.contract import LanguageModel
from escada.models.layers import CausalSelfAttention
from escada.text.tokenizers import Tokenizer

REPEATED_TOKENS, ROWS = 48, 4
"""Random tokens of a row, and rows that the scores are means over."""


def attention_layers(model: LanguageModel) -> list[CausalSelfAttention]:
    """The attention layers, in order; empty for other models."""
    return [part for part in model.modules() if isinstance(part, CausalSelfAttention)]


def attention_weights(
    model: LanguageModel, ids_BT: Tensor, layer: int | None = None
) -> list[Tensor]:
    """Weights of every layer, or of one: (B, N, T, S) each, 0 above the diagonal."""
    layers = attention_layers(model)
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, CausalSelfAttention)
        seen.append(module.qkv(inputs[0]).float())

    chosen = layers if layer is None else [layers[layer]]
    hooks = [one.register_forward_pre_hook(keep) for one in chosen]
    try:
        model(ids_BT)
    finally:
        for hook in hooks:
            hook.remove()
    return [_weights(qkv, one.n_heads) for qkv, one in zip(seen, chosen, strict=True)]


def _weights(qkv_BTX: Tensor, n_heads: int) -> Tensor:
    B, T, _ = qkv_BTX.shape
    q_BNTH, k_BNSH, _ = qkv_BTX.view(B, T, 3, n_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    logits_BNTS = q_BNTH @ k_BNSH.transpose(2, 3) / q_BNTH.shape[-1] ** 0.5
    later_TS = torch.ones(T, T, dtype=torch.bool, device=qkv_BTX.device).triu(1)
    return logits_BNTS.masked_fill(later_TS, -torch.inf).softmax(dim=-1)


def show_attention(
    model: LanguageModel, tokenizer: Tokenizer, request: AttentionRequest, profile: str
) -> AttentionView:
    """The weights of one head.

    Raises:
        EscadaError: no such head, or a text of more than `ATTENTION_TOKENS` tokens.
    """
    layers, head = attention_layers(model), request.head
    if head.layer >= len(layers) or head.head >= layers[head.layer].n_heads:
        raise EscadaError(
            f"there is no head {head.head} in layer {head.layer}",
            fix=f"layers are 0 to {len(layers) - 1}, heads 0 to {layers[0].n_heads - 1}",
        )
    read = read_text(request.text, tokenizer, profile)
    if len(read.ids) > ATTENTION_TOKENS:
        raise EscadaError(
            f"the text has {len(read.ids)} tokens with its beginning",
            fix=f"attention is shown of up to {ATTENTION_TOKENS}: shorten the text",
        )
    (weights_BNTS,) = attention_weights(model, read.input(model), head.layer)
    rows = cast("list[list[float]]", weights_BNTS[0, head.head].tolist())
    shown = [[round(weight, 4) for weight in row[: i + 1]] for i, row in enumerate(rows)]
    return AttentionView(tokens=read.tokens, head=head, weights=shown)


def rank_heads(
    model: LanguageModel, tokenizer: Tokenizer, request: HeadRankingRequest
) -> HeadRankingView:
    """All heads by one of the scores.

    Raises:
        EscadaError: vocabulary or context too small for repeated random tokens.
    """
    special = {tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id}
    ordinary = [token for token in range(tokenizer.vocab_size) if token not in special]
    longest = len(ordinary) if model.context_tokens is None else (model.context_tokens - 1) // 2
    n = min(REPEATED_TOKENS, longest, len(ordinary))
    if n < 2:
        raise EscadaError(
            "heads are scored on repeated random tokens, and this model is too small for two",
            fix="look at a model with a context of five tokens or more",
        )
    draw = np.random.default_rng(request.seed)
    random_BN = np.stack([draw.choice(ordinary, n, replace=False) for _ in range(ROWS)])
    ids_BT = np.concatenate([np.full((ROWS, 1), tokenizer.bos_id), random_BN, random_BN], axis=1)
    weights = attention_weights(model, torch.from_numpy(ids_BT).long().to(model.device))
    heads = [
        RankedHead(
            head=HeadId(layer=layer, head=head),
            previous_token=_mean(weights_BNTS[:, head], 1, 2),
            same_token=_mean(weights_BNTS[:, head], n, n + 1),
            induction=_mean(weights_BNTS[:, head], n - 1, n + 1),
        )
        for layer, weights_BNTS in enumerate(weights)
        for head in range(weights_BNTS.shape[1])
    ]
    heads.sort(key=lambda one: -getattr(one, request.score))
    return HeadRankingView(score=request.score, heads=heads)


def _mean(weights_BTS: Tensor, back: int, first: int) -> float:
    """Mean weight of each token from `first` on, on the one `back` before it."""
    diagonal_BT = weights_BTS.diagonal(-back, dim1=1, dim2=2)
    return round(float(diagonal_BT[:, first - back :].mean()), 4)
