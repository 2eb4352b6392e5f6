"""The recurrent models of v1 to v4: embedding, one to three LSTM or GRU layers, logits.

    ids -> E -> dropout -> layer 1 -> dropout
        [-> norm -> layer l -> dropout, + its input] for l = 2 ..
        [-> norm] -> logits

- Optional layer norms follow every layer: before the next layer and before the logits.
- Optional residual connections skip every layer but the first, whose widths may differ; the skipped
  input is not normalised (pre-norm).
- Tied logits are `(h P) Eᵀ + b`, with a projection P only if E and h differ in width.

Each training window starts from a zero state. `advance` continues from its state, at any length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from pydantic import Field
from torch import Tensor, nn

from escada.models.activation_memory import FP32_BYTES, SavedBytes, Setting, linear_weights
from escada.models.contract import DecodingState, LanguageModel
from escada.models.dropout import Dropout
from escada.models.layers import GATES, CellKind, RecurrentLayer
from escada.spec import ModelConfig

EXPORTS = ("transformers", "onnx")
PLANNED_EFFICIENCY = 0.5
"""GPU efficiency relative to a Transformer: an LSTM's steps are sequential. Assumed."""
SLOW_COMPILED = "cuDNN's kernels are nearly all of a recurrent step"
INPUT_STD = 2.0
"""Standard deviation of the first layer's input, and so of its first gates' pre-activations. With
less, an LSTM starts almost linear and learns slowly at first (docs/models.md)."""
LOGIT_STD = 0.25
"""Standard deviation of the initial logits; it adds 0.25²/2 nats to ln V."""
FRESH_STATE_SIZE = 0.25
"""Approximate root mean square of a fresh LSTM's outputs; with a layer norm it is 1."""

LSTM_WORKSPACE = {2: 43, 4: 61}
"""Bytes per token and hidden unit that oneDNN's LSTM saves for backward, by a: gates (4 a),
states and their gradients, with padding. Counted with torch 2.13 (November 2026) for H from 128
to 512: 42.8 to 44.2 and 60.9 to 62.3."""
CUDNN_WORKSPACE = 2
"""Entries per token and hidden unit that cuDNN is assumed to reserve in addition to the gates."""


class Config(ModelConfig):
    """The `[model]` table of `kind = "recurrent"`."""

    cell: CellKind = "lstm"
    n_layers: int = Field(default=1, ge=1, le=3)
    d_embedding: int = Field(ge=1)
    d_hidden: int = Field(ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the embeddings and on the output of every layer."""
    recurrent_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Weight-drop: probability of dropping entries of the hidden-to-hidden matrix."""
    layer_norm: bool = False
    residual: bool = False
    tie_embeddings: bool = False


@dataclass(slots=True)
class RecurrentState:
    """States of the layers, shape (L, B, H) each; `c_LBH` is zero for a GRU."""

    h_LBH: Tensor
    c_LBH: Tensor

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return self.h_LBH.shape[1]

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        rows = rows.to(self.h_LBH.device)
        return type(self)(self.h_LBH.index_select(1, rows), self.c_LBH.index_select(1, rows))

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        h_LBH = torch.cat([state.h_LBH for state in states], dim=1)
        return cls(h_LBH, torch.cat([state.c_LBH for state in states], dim=1))


class Model(LanguageModel):
    """A recurrent language model with fresh fp32 weights."""

    context_tokens = None

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        d_in, d_hidden = config.d_embedding, config.d_hidden
        self.embedding = nn.Embedding(vocab_size, d_in)
        widths = [d_in] + [d_hidden] * (config.n_layers - 1)
        self.layers = nn.ModuleList(
            RecurrentLayer(config.cell, width, d_hidden, config.recurrent_dropout)
            for width in widths
        )
        self.norms = nn.ModuleList(
            nn.LayerNorm(d_hidden) if config.layer_norm else nn.Identity() for _ in widths
        )
        self.dropout = Dropout(config.dropout)
        self.projection = (
            nn.Linear(d_hidden, d_in, bias=False)
            if config.tie_embeddings and d_in != d_hidden
            else nn.Identity()
        )
        d_out = d_in if config.tie_embeddings else d_hidden
        self.output = nn.Linear(d_out, vocab_size)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight
        self._initialise()

    def _initialise(self) -> None:
        """Scale inputs to `INPUT_STD`, and logits for a first loss close to ln V."""
        state_size = 1.0 if self.config.layer_norm else FRESH_STATE_SIZE
        output_std = LOGIT_STD / state_size / self.output.in_features**0.5
        nn.init.normal_(self.output.weight, std=output_std)
        nn.init.zeros_(self.output.bias)
        self.input_scale = 1.0
        if self.config.tie_embeddings:  # E is also the output matrix, so scale the inputs instead
            self.input_scale = INPUT_STD / output_std
        else:
            nn.init.normal_(self.embedding.weight, std=INPUT_STD)
        if isinstance(self.projection, nn.Linear):
            nn.init.xavier_uniform_(self.projection.weight)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self._logits(self._read(ids_BT, self.fresh_state(len(ids_BT))))

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.last_logits`."""
        return self._logits(self._read(ids_BT, self.fresh_state(len(ids_BT)))[:, -1])

    def fresh_state(self, batch_size: int) -> RecurrentState:
        """See `LanguageModel.fresh_state`."""
        shape = (self.config.n_layers, batch_size, self.config.d_hidden)
        zeros_LBH = self.embedding.weight.new_zeros(shape)
        return RecurrentState(zeros_LBH, zeros_LBH)

    @torch.no_grad()
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, RecurrentState)
        return self._logits(self._read(ids_BT, state))

    def units(self) -> Sequence[nn.Module]:
        """See `LanguageModel.units`."""
        return list(self.layers)

    def _logits(self, read: Tensor) -> Tensor:
        """Logits (…, V) from the last layer's output (…, H)."""
        return self.output(self.projection(read))

    def _read(self, ids_BT: Tensor, state: RecurrentState) -> Tensor:
        """The input of the output layer (B, T, H); updates `state`."""
        x_BTD = self.dropout(self.embedding(ids_BT) * self.input_scale)
        read_BTD = x_BTD
        h, c = list(state.h_LBH), list(state.c_LBH)
        for index, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            y_BTH, h[index], c[index] = layer(read_BTD, h[index], c[index])
            y_BTH = self.dropout(y_BTH)
            x_BTD = x_BTD + y_BTH if self.config.residual and index > 0 else y_BTH
            read_BTD = norm(x_BTD)
        # Under autocast the kernels may return a narrower type; the state keeps its own.
        state.h_LBH = torch.stack(h).to(state.h_LBH.dtype)
        state.c_LBH = torch.stack(c).to(state.c_LBH.dtype)
        return read_BTD

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """See `LanguageModel.forward_flops_per_token`; independent of the length.

        In closed form, since FLOP counters do not see into the fused kernels: a layer multiplies
        its input (D) and its state (H) into G·H gates, 2·G·H·(D + H); then projection and logits.
        """
        config = self.config
        gates, d_hidden = GATES[config.cell], config.d_hidden
        total, width = 0, config.d_embedding
        for _ in range(config.n_layers):
            total += 2 * gates * d_hidden * (width + d_hidden)
            width = d_hidden
        if isinstance(self.projection, nn.Linear):
            total += 2 * d_hidden * config.d_embedding
        return float(total + 2 * self.output.in_features * self.vocab_size)

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """See `LanguageModel.saved_bytes`.

        Per token, a layer saves what its cell needs (`cell_bytes`), a mask (H) and the input of a
        norm (H and its statistics) unless that is the cell's own output; then the inputs of
        projection and logits. On a GPU norms work in fp32; on a CPU a GRU's output is fp32.
        """
        config, a = self.config, setting.bytes_each
        H, T = config.d_hidden, window_tokens
        stepwise = config.cell == "gru" and setting.device == "cpu"
        out = FP32_BYTES if stepwise else a
        mask = setting.mask_bytes(out) * H if config.dropout else 0
        read_by_norm = (FP32_BYTES if setting.device == "cuda" else out) * H
        token, once = 8.0, 0.0
        if config.dropout:
            token += setting.mask_bytes(FP32_BYTES) * config.d_embedding
        width, kernel = config.d_embedding, 0.0
        for index in range(config.n_layers):
            cell = cell_bytes(config.cell, width, H, T, setting, bool(config.recurrent_dropout))
            token += cell.per_sequence + mask
            if config.layer_norm:
                token += 2 * FP32_BYTES
                if config.dropout or stepwise or (config.residual and index):
                    token += read_by_norm
            once += cell.once
            kernel = cell.kernel_block
            width = H
        token += a * H
        if isinstance(self.projection, nn.Linear):
            token += a * config.d_embedding
        if a != FP32_BYTES:
            once += a * linear_weights(self)
        return SavedBytes(
            T * token,
            once,
            kernel_blocks=config.n_layers if kernel else 0,
            kernel_block=T * kernel,
            usual_block=a * H * (1 if stepwise else T),
        )


def cell_bytes(
    cell: CellKind,
    d_in: int,
    d_hidden: int,
    window_tokens: int,
    setting: Setting,
    weight_drop: bool,
) -> SavedBytes:
    """What one recurrent layer saves; `per_sequence` is per token here.

    On a CPU torch has a fused kernel for the LSTM and runs a GRU step by step, with or without
    autocast: a step saves its gates (3 a H) and their products with the state (4 a H in fp32;
    3 a H and 4 H if narrower). Autocast does not cache a matrix with weight-drop, which is no
    parameter, so each step of a GRU but the first copies it.
    """
    a, G, H = setting.bytes_each, GATES[cell], d_hidden
    narrow, recurrent = a != FP32_BYTES, G * d_hidden * d_hidden
    once = a * G * H * (d_in + H + 2) if narrow else 0.0
    if weight_drop:
        once += setting.mask_bytes(FP32_BYTES) * recurrent + (0 if narrow else a * recurrent)
    if cell == "gru" and setting.device == "cpu":
        if narrow:
            once -= a * G * H * 2  # biases, which only the fused kernels save
            if weight_drop:
                once += (window_tokens - 2) * a * recurrent
        return SavedBytes(a * d_in + 3 * a * H + (3 * a + FP32_BYTES) * H, once)
    kernel = LSTM_WORKSPACE[a] * H if setting.device == "cpu" else (G + CUDNN_WORKSPACE) * a * H
    return SavedBytes(a * d_in + a * H + kernel, once, 1, kernel)
