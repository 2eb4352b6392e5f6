"""Building blocks of models: recurrent layer with weight-drop, attention, feed-forward.

Recurrence uses torch's fused kernels (oneDNN, cuDNN), attention `scaled_dot_product_attention`;
measurements are in docs/models.md.

Shapes as in `escada.models.contract`, and: S keys that a query may see, W columns of a cache (in
tokens).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from escada.models.attention_cpu import causal_attention
from escada.models.dropout import Dropout, drop
from escada.models.packed_linear import PackedProduct

CellKind = Literal["lstm", "gru"]
GATES: dict[CellKind, int] = {"lstm": 4, "gru": 3}
"""Blocks of H rows in a cell's matrices, in PyTorch's order: LSTM i f g o, GRU r z n."""


class RecurrentLayer(nn.Module):
    """One LSTM or GRU layer over whole sequences, with weight-drop on its hidden-to-hidden matrix.

    Weight-drop (Merity et al. 2018, "Regularizing and Optimizing LSTM Language Models") zeroes
    entries of that matrix, with one mask per forward pass. Unlike dropout on the state at each step
    (Keras' `recurrent_dropout`) it works with the fused kernels.

    Both PyTorch bias vectors exist. Only their sum matters to an LSTM, so the forget gate's bias of
    1 (Jozefowicz et al. 2015) is 1 in the input's and 0 in the hidden's.
    """

    def __init__(self, kind: CellKind, d_in: int, d_hidden: int, weight_drop: float = 0.0) -> None:
        super().__init__()
        self.kind: CellKind = kind
        self.weight_drop = weight_drop
        # Holds the weights under PyTorch's names, contiguous on a GPU as cuDNN requires.
        self.cell = (nn.LSTM if kind == "lstm" else nn.GRU)(d_in, d_hidden, batch_first=True)
        w_ih, w_hh, b_ih, b_hh = self.cell.parameters()
        with torch.no_grad():
            nn.init.normal_(w_ih, std=d_in**-0.5)  # preserves the variance
            for gate in w_hh.chunk(GATES[kind]):
                nn.init.orthogonal_(gate)
            b_ih.zero_()
            b_hh.zero_()
            if kind == "lstm":
                b_ih[d_hidden : 2 * d_hidden] = 1.0

    def forward(self, x_BTD: Tensor, h_BH: Tensor, c_BH: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Outputs (B, T, H), and the last h and c; a GRU returns `c_BH` unchanged."""
        w_ih, w_hh, b_ih, b_hh = self.cell.parameters()
        weights: list[Tensor] = [w_ih, w_hh, b_ih, b_hh]
        if self.training and self.weight_drop:
            weights[1] = drop(w_hh, self.weight_drop)
        if self.kind == "lstm" and x_BTD.shape[1] == 1:
            # oneDNN reorders the matrices at each call, which costs more than a single step.
            h_BH, c_BH = torch.lstm_cell(x_BTD[:, 0], (h_BH, c_BH), *weights)
            return h_BH.unsqueeze(1), h_BH, c_BH
        # The kernel's `train` only decides whether to save values for the backward pass.
        train = torch.is_grad_enabled()
        h_1BH = h_BH.unsqueeze(0)
        if self.kind == "gru":
            y_BTH, h_1BH = torch.gru(
                x_BTD, h_1BH, weights, True, 1, 0.0, train, bidirectional=False, batch_first=True
            )
            return y_BTH, h_1BH[0], c_BH
        states = (h_1BH, c_BH.unsqueeze(0))
        y_BTH, h_1BH, c_1BH = torch.lstm(
            x_BTD, states, weights, True, 1, 0.0, train, bidirectional=False, batch_first=True
        )
        return y_BTH, h_1BH[0], c_1BH[0]


def sinusoidal_positions(n_positions: int, width: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017, section 3.5): (n_positions, width).

    Sines are in even columns. The root mean square of every row is 1/sqrt(2).
    """
    position_T1 = torch.arange(n_positions, dtype=torch.float64).unsqueeze(1)
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angle = position_T1 * frequency
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1).float()


@dataclass(slots=True)
class CacheView:
    """One layer's cached keys and values, and where the next ones go.

    All rows write to the same columns, so that a single copy serves the batch; a row that has read
    less starts further right.
    """

    keys_values_2BNWH: Tensor
    first: int
    """First column of the longest row."""
    end: int
    """Column of the first new token."""
    visible: Tensor | None
    """Mask, 0 for visible and -inf for hidden, broadcastable to (B, 1, T, S); None: all visible."""

    def attend(self, qkv_3BNTH: Tensor) -> Tensor:
        """Write the new tokens' keys and values in place, and attend: (B, N, T, H)."""
        tokens = qkv_3BNTH.shape[3]
        self.keys_values_2BNWH.narrow(3, self.end, tokens).copy_(qkv_3BNTH[1:])
        seen = self.keys_values_2BNWH.narrow(3, self.first, self.end + tokens - self.first)
        k_BNSH, v_BNSH = seen.unbind(0)
        y_BNTH = functional.scaled_dot_product_attention(
            qkv_3BNTH[0].to(k_BNSH.dtype), k_BNSH, v_BNSH, attn_mask=self.visible
        )
        return y_BNTH.to(qkv_3BNTH.dtype)


class CausalSelfAttention(nn.Module):
    """Multi-head causal self-attention (Radford et al. 2019)."""

    def __init__(
        self, d_model: int, n_heads: int, dropout: float, attention_dropout: float
    ) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.attention_dropout = attention_dropout
        self.qkv = nn.Linear(d_model, 3 * d_model)
        self.out = nn.Linear(d_model, d_model)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTD: Tensor, stream_BTD: Tensor, cache: CacheView | None = None) -> Tensor:
        """Add attention over x to the stream; tokens follow those in the cache, if given."""
        B, T, D = x_BTD.shape
        qkv_BT3NH = self.qkv(x_BTD).view(B, T, 3, self.n_heads, D // self.n_heads)
        qkv_3BNTH = qkv_BT3NH.permute(2, 0, 3, 1, 4)
        y_BNTH = self._attend(qkv_3BNTH) if cache is None else cache.attend(qkv_3BNTH)
        y_BTD = y_BNTH.transpose(1, 2).reshape(B, T, D)
        return add_to(stream_BTD, self.out, y_BTD, self.dropout)

    def _attend(self, qkv_3BNTH: Tensor) -> Tensor:
        dropout = self.attention_dropout if self.training else 0.0
        in_bf16 = qkv_3BNTH.dtype == torch.bfloat16 and qkv_3BNTH.requires_grad
        if qkv_3BNTH.is_cpu and (dropout or in_bf16) and not torch.compiler.is_compiling():
            return causal_attention(qkv_3BNTH, dropout)
        q_BNTH, k_BNSH, v_BNSH = qkv_3BNTH.unbind(0)
        return functional.scaled_dot_product_attention(
            q_BNTH, k_BNSH, v_BNSH, is_causal=True, dropout_p=dropout
        )


def gelu(x: Tensor) -> Tensor:
    """GPT-2's GELU: the tanh approximation of Hendrycks and Gimpel 2016."""
    if x.is_cpu and torch.compiler.is_compiling():
        return gelu_by_sigmoid(x)
    return functional.gelu(x, approximate="tanh")


def gelu_by_sigmoid(x: Tensor) -> Tensor:
    """The same function, since (1 + tanh u) / 2 = sigmoid(2 u).

    torch.compile's CPU kernels are twice as fast with sigmoid as with tanh (docs/decisions/0007);
    uncompiled this takes six kernels.
    """
    y = x.float()
    u = math.sqrt(2 / math.pi) * (y + 0.044715 * y**3)
    return (y * torch.sigmoid(2 * u)).to(x.dtype)


class FeedForward(nn.Module):
    """Two linear layers with GPT-2's GELU between them."""

    def __init__(self, d_model: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.up = nn.Linear(d_model, d_ff)
        self.down = nn.Linear(d_ff, d_model)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTD: Tensor, stream_BTD: Tensor) -> Tensor:
        """Apply both layers to x and add the result to the stream."""
        up: nn.Module = self.up
        h_BTF = up.gelu(x_BTD) if isinstance(up, PackedProduct) else gelu(up(x_BTD))
        return add_to(stream_BTD, self.down, h_BTF, self.dropout)


def add_to(stream: Tensor, layer: nn.Module, x: Tensor, dropout: Dropout) -> Tensor:
    """Apply a layer, plain or packed (for decoding), to x and add the result to the stream."""
    if isinstance(layer, PackedProduct):
        return layer.add_to(stream, x)
    return dropout.add_to(stream, layer(x))
