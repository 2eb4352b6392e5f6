"""Causal self-attention for training on a CPU in bf16 or with dropout, with its own backward pass.

In bf16 the backward pass of torch's fused kernel is 2 to 20 times as slow as batched matrix
products (docs/models.md); with dropout there is no fused kernel. The products are of blocks of
queries with the keys up to the last of them, so that a fourth of the masked half is computed in
vain, not all of it; gradients are summed where they belong, in place.

Shapes as in `escada.models.contract`, and: N heads, H a head's width, G = B N heads of all
sequences, Q queries of a block, S keys up to the last of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from escada.models.dropout import keep_mask, keep_share

QUERY_BLOCK = 128


def query_blocks(window_tokens: int) -> list[tuple[int, int]]:
    """Start and end of each block of queries of a window."""
    starts = range(0, window_tokens, QUERY_BLOCK)
    return [(start, min(start + QUERY_BLOCK, window_tokens)) for start in starts]


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, qkv_3BNTH: Tensor, dropout: float
    ) -> Tensor:
        _, B, N, T, H = qkv_3BNTH.shape
        qkv_3GTH = qkv_3BNTH.reshape(3, B * N, T, H)
        q_GTH, k_GTH, v_GTH = qkv_3GTH.unbind(0)
        ctx.factor = 1 / keep_share(dropout)
        y_GTH = torch.empty_like(q_GTH)
        saved: list[Tensor] = []
        for start, end in query_blocks(T):
            later_QS = torch.full((end - start, end), -math.inf, dtype=q_GTH.dtype).triu(start + 1)
            # Scaling and masking within the product saves 3 % of v_final's step.
            scores_GQS = torch.baddbmm(
                later_QS, q_GTH[:, start:end], k_GTH[:, :end].mT, alpha=H**-0.5
            )
            weights_GQS = scores_GQS.softmax(dim=-1, dtype=q_GTH.dtype)
            saved.append(weights_GQS)
            if dropout:
                saved.append(keep_mask(weights_GQS, dropout))
                weights_GQS = weights_GQS * saved[-1]
            y_GTH[:, start:end].baddbmm_(weights_GQS, v_GTH[:, :end], beta=0, alpha=ctx.factor)
        ctx.save_for_backward(qkv_3GTH, *saved)
        ctx.has_masks = dropout > 0
        return y_GTH.view(B, N, T, H)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        qkv_3GTH, *saved = ctx.saved_tensors
        q_GTH, k_GTH, v_GTH = qkv_3GTH.unbind(0)
        B, N, T, H = gradients[0].shape
        g_GTH = gradients[0].reshape(B * N, T, H)
        d_3GTH = torch.empty_like(qkv_3GTH)
        dq_GTH, dk_GTH, dv_GTH = d_3GTH.unbind(0)
        for start, end in reversed(query_blocks(T)):
            mask_GQS = saved.pop() if ctx.has_masks else None
            weights_GQS, g_GQH = saved.pop(), g_GTH[:, start:end]
            summed = 0.0 if end == T else 1.0  # the last block writes all keys, others add
            # Of the masked weights, then of the weights, then of the scores.
            d_GQS = torch.baddbmm(
                g_GQH.new_zeros(()), g_GQH, v_GTH[:, :end].mT, beta=0, alpha=ctx.factor
            )
            kept_GQS = weights_GQS
            if mask_GQS is not None:
                kept_GQS = weights_GQS * mask_GQS
                d_GQS *= mask_GQS
            dv_GTH[:, :end].baddbmm_(kept_GQS.mT, g_GQH, beta=summed, alpha=ctx.factor)
            d_GQS = _softmax_backward(d_GQS, weights_GQS)
            dq_GTH[:, start:end].baddbmm_(d_GQS, k_GTH[:, :end], beta=0, alpha=H**-0.5)
            dk_GTH[:, :end].baddbmm_(d_GQS.mT, q_GTH[:, start:end], beta=summed, alpha=H**-0.5)
        return d_3GTH.view(3, B, N, T, H), None


def _softmax_backward(d_GQS: Tensor, weights_GQS: Tensor) -> Tensor:
    kernel: Any = torch.ops.aten._softmax_backward_data  # without annotations
    return kernel(d_GQS, weights_GQS, -1, weights_GQS.dtype)


def causal_attention(qkv_3BNTH: Tensor, dropout: float) -> Tensor:
    """Softmax of q k^T / sqrt(H) over earlier tokens, with dropout, times v: (B, N, T, H)."""
    function: Any = _CausalAttention  # torch's annotations leave the result of `apply` untyped
    return function.apply(qkv_3BNTH, dropout)
