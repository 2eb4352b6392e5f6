"""Operations of `escada.models.modern` with hand-written backward passes.

On a CPU half of a small model's step is elementwise work, bound by memory bandwidth. torch's
autograd makes about three times as many passes over the data as these do (measured in
docs/models.md).

    K  tokens that a convolution looks back     S  K + T
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-6
CHUNK = 16
"""Sequential steps of `scan` per chunk."""


class _Rms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        y, scale = _normalised(_wide(x))
        ctx.save_for_backward(y, scale)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return _normalised_backward(_wide(gradients[0]), *ctx.saved_tensors)


def rms(x: Tensor) -> Tensor:
    """RMS norm without weights (Zhang & Sennrich 2019), in fp32."""
    return _apply(_Rms, x)


def _normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    scale = torch.rsqrt((x * x).mean(dim=-1, keepdim=True) + EPSILON)
    return x * scale, scale


def _normalised_backward(g: Tensor, y: Tensor, scale: Tensor) -> Tensor:
    along = (g * y).mean(dim=-1, keepdim=True)
    return torch.addcmul(g, y, along, value=-1).mul_(scale)


class _SquaredRelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        positive = x.clamp_min(0)
        ctx.save_for_backward(positive)
        return positive * positive

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (positive,) = ctx.saved_tensors
        return (gradients[0] * positive).mul_(2)


def squared_relu(x: Tensor) -> Tensor:
    """max(x, 0)^2 (So et al. 2021)."""
    return _apply(_SquaredRelu, x)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, x_BSD: Tensor, weight_KD: Tensor, same_KBT1: Tensor | None
    ) -> Tensor:
        ctx.save_for_backward(x_BSD, weight_KD, same_KBT1)
        back = len(weight_KD) - 1
        T = x_BSD.shape[1] - back
        y_BTD = x_BSD[:, back:] * (1 + weight_KD[0])
        for k in range(1, back + 1):
            tap_BTD = x_BSD[:, back - k : back - k + T]
            y_BTD.addcmul_(
                tap_BTD if same_KBT1 is None else tap_BTD * same_KBT1[k - 1], weight_KD[k]
            )
        return y_BTD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        x_BSD, weight_KD, same_KBT1 = ctx.saved_tensors
        (g_BTD,) = gradients
        back, T = len(weight_KD) - 1, g_BTD.shape[1]
        dx_BSD = torch.empty_like(x_BSD)
        dx_BSD[:, :back] = 0
        torch.mul(g_BTD, 1 + weight_KD[0], out=dx_BSD[:, back:])
        dw_KD = torch.empty_like(weight_KD)
        dw_KD[0] = (g_BTD * x_BSD[:, back:]).sum(dim=(0, 1))
        for k in range(1, back + 1):
            here = slice(back - k, back - k + T)
            g_k = g_BTD if same_KBT1 is None else g_BTD * same_KBT1[k - 1]
            dx_BSD[:, here].addcmul_(g_k, weight_KD[k])
            dw_KD[k] = (g_k * x_BSD[:, here]).sum(dim=(0, 1))
        return dx_BSD, dw_KD, None


def convolution(x_BSD: Tensor, weight_KD: Tensor, same_KBT1: Tensor | None) -> Tensor:
    """Depthwise causal convolution plus its input, x_t + sum over k of w_k x_(t-k): (B, T, D).

    Args:
        x_BSD: K tokens before the first one, then the T tokens.
        weight_KD: (K + 1, D); k = 0, the token itself, first.
        same_KBT1: 1 if token t - k is in t's document, for k = 1 to K; None: all are.
    """
    return _apply(_Convolution, x_BSD, weight_KD, same_KBT1)


class _GatedRecurrence(torch.autograd.Function):
    @staticmethod
    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any,
        zug_BTC: Tensor,
        bias_D: Tensor,
        value_BTD: Tensor | None,
        goes_on_BT1: Tensor | None,
        h_BD: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        z_BTD, u_BTD, g_BTD = _wide(zug_BTC).chunk(3, dim=-1)
        if value_BTD is not None:
            u_BTD = u_BTD + value_BTD
        s_BTD = (z_BTD + bias_D).sigmoid_()
        a_BTD = s_BTD if goes_on_BT1 is None else s_BTD * goes_on_BT1
        x_BTD = torch.addcmul(u_BTD, s_BTD, u_BTD, value=-1)
        if h_BD is not None:
            x_BTD[:, 0].addcmul_(a_BTD[:, 0], h_BD)
        h_BTD = scan(a_BTD, x_BTD)
        n_BTD, scale_BT1 = _normalised(h_BTD)
        q_BTD = g_BTD.sigmoid()
        y_BTD = (n_BTD * g_BTD).mul_(q_BTD)
        ctx.save_for_backward(s_BTD, u_BTD, g_BTD, q_BTD, h_BTD, scale_BT1, goes_on_BT1, h_BD)
        ctx.has_value, ctx.dtype = value_BTD is not None, zug_BTC.dtype
        last_BD = h_BTD[:, -1].clone()
        ctx.mark_non_differentiable(last_BD)
        return y_BTD, last_BD

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        s_BTD, u_BTD, g_BTD, q_BTD, h_BTD, scale_BT1, goes_on_BT1, h_BD = ctx.saved_tensors
        dy_BTD = _wide(gradients[0])
        n_BTD = h_BTD * scale_BT1
        silu_BTD = g_BTD * q_BTD
        # silu' = q + silu (1 - q)
        dg_BTD = torch.addcmul(q_BTD + silu_BTD, silu_BTD, q_BTD, value=-1).mul_(n_BTD).mul_(dy_BTD)
        dh_BTD = _normalised_backward(dy_BTD * silu_BTD, n_BTD, scale_BT1)
        a_BTD = s_BTD if goes_on_BT1 is None else s_BTD * goes_on_BT1
        # The gradient of h is d_t = dh_t + a_(t+1) d_(t+1): the recurrence run backwards.
        later_BTD = torch.cat([a_BTD[:, 1:], torch.zeros_like(a_BTD[:, :1])], dim=1)
        d_BTD = scan(later_BTD, dh_BTD, reverse=True)
        entered_BD = torch.zeros_like(h_BTD[:, 0]) if h_BD is None else h_BD
        entered_BTD = torch.cat([entered_BD[:, None], h_BTD[:, :-1]], dim=1)
        if goes_on_BT1 is not None:
            entered_BTD *= goes_on_BT1
        dz_BTD = (
            entered_BTD.sub_(u_BTD).mul_(d_BTD).mul_(torch.addcmul(s_BTD, s_BTD, s_BTD, value=-1))
        )
        du_BTD = torch.addcmul(d_BTD, d_BTD, s_BTD, value=-1)
        dzug_BTC = torch.cat([dz_BTD, du_BTD, dg_BTD], dim=-1).to(ctx.dtype)
        dvalue_BTD = du_BTD if ctx.has_value else None
        return dzug_BTC, dz_BTD.sum(dim=(0, 1)), dvalue_BTD, None, None


def gated_recurrence(
    zug_BTC: Tensor,
    bias_D: Tensor,
    value_BTD: Tensor | None,
    goes_on_BT1: Tensor | None,
    h_BD: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """rms(h) silu(g) for h_t = a_t h_(t-1) + (1 - a_t) u_t, with a = sigmoid(z + b).

    Args:
        zug_BTC: z, u and g concatenated, (B, T, 3 D).
        bias_D: b.
        value_BTD: added to u; None: nothing.
        goes_on_BT1: 0 at the first token of a document, which resets h; None: no resets.
        h_BD: the state before the first token, without gradient; None: zero.

    Returns:
        (B, T, D), and the last h without gradient, (B, D).
    """
    return _apply(_GatedRecurrence, zug_BTC, bias_D, value_BTD, goes_on_BT1, h_BD)


def scan(a_BTD: Tensor, x_BTD: Tensor, *, reverse: bool = False) -> Tensor:
    """h_t = a_t h_(t-1) + x_t from zero, or with `reverse` h_t = a_t h_(t+1) + x_t.

    A plain loop takes T small operations. Instead, chunks of `CHUNK` steps run in parallel, each
    from zero; then the incoming state of each chunk is added, times the product of its gates.
    """
    B, T, D = x_BTD.shape
    if T == 1:
        return x_BTD
    chunks = -(-T // CHUNK)
    if missing := chunks * CHUNK - T:
        a_BTD, x_BTD = (torch.nn.functional.pad(y, (0, 0, 0, missing)) for y in (a_BTD, x_BTD))

    def by_step(y_BTD: Tensor) -> Tensor:
        apart = y_BTD.reshape(B, chunks, CHUNK, D).permute(2, 1, 0, 3)
        return apart.clone(memory_format=torch.contiguous_format)

    gates, h = by_step(a_BTD), by_step(x_BTD)  # (step, chunk, B, D); turned into prefix results
    back = -1 if reverse else 1
    steps = range(CHUNK - 2, -1, -1) if reverse else range(1, CHUNK)
    for step in steps:
        h[step].addcmul_(gates[step], h[step - back])
        gates[step].mul_(gates[step - back])
    last = 0 if reverse else -1
    enters = torch.zeros_like(h[0])
    for chunk in range(chunks - 2, -1, -1) if reverse else range(1, chunks):
        before = chunk - back
        torch.addcmul(h[last, before], gates[last, before], enters[before], out=enters[chunk])
    h.addcmul_(gates, enters)
    return h.permute(2, 1, 0, 3).reshape(B, chunks * CHUNK, D)[:, :T].contiguous()


def _wide(x: Tensor) -> Tensor:
    """Convert what autocast made narrower to fp32."""
    return x.float() if x.element_size() < 4 else x


def _apply(function: Any, *arguments: Tensor | None) -> Any:
    # torch's annotations leave the result of `apply` untyped
    return function.apply(*arguments)
