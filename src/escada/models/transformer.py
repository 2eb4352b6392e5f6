"""The Transformer of v5 and v_final: decoder-only, Pre-LN, in GPT-2's form.

    ids -> s (E + positions) -> dropout
        -> [x + attention(norm(x)), then x + feed-forward(norm(x))] L times
        -> norm -> logits

Biases everywhere but on the logits, tanh-GELU, tied embeddings (Radford et al. 2019). v_final
learns its positions; v5's are the sinusoidal table.

The constant s = D/4 plays the part of Vaswani et al.'s sqrt(D) (2017, section 3.4):
embeddings must be small to serve as the output matrix too, and s brings the stream to the size of
what the layers add to it. Without it training is much slower (docs/models.md). It folds into the
weights, so that the model is a GPT-2 all the same: `gpt2_weights` has them under the names that
others know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from escada.models.contract import DecodingState, LanguageModel
from escada.models.layers import (
    CacheView,
    CausalSelfAttention,
    FeedForward,
    sinusoidal_positions,
)
from escada.models.saved import FP32_BYTES, SavedBytes, Setting, linear_weights
from escada.spec import ModelConfig

OWN_LOGIT = 4.0
"""First logit, at most, of the very token that was read, when embeddings are tied; that of others
has a standard deviation of 4 / sqrt(D). Both add about 0.1 nats to ln V, and less when wide."""
POSITION_STD = 0.1
"""Of fresh learned positions in the stream, where tokens have 1; training makes them what they must
be."""
SINUSOID_RMS = 2.0
"""Root mean square of the sinusoidal table in the stream. Nothing can make it grow, and neighbours
differ in few of its columns: with 0.1 a model hardly learns where it is (docs/models.md)."""


class Config(ModelConfig):
    """The `[model]` table of `kind = "transformer"`."""

    context_tokens: int = Field(ge=2)
    """The most tokens that it can read at once."""
    d_model: int = Field(ge=2)
    n_heads: int = Field(ge=1)
    d_ff: int = Field(ge=1)
    n_layers: int = Field(ge=1)
    positions: Literal["sinusoidal", "learned"]
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the embeddings and on the output of attention and feed-forward."""
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the attention weights."""
    norm_epsilon: float = Field(default=1e-5, gt=0)
    tie_embeddings: bool = True

    @model_validator(mode="after")
    def _widths_fit(self) -> Self:
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}")
        if self.positions == "sinusoidal" and self.d_model % 2:
            raise ValueError(f"sinusoidal positions need an even d_model, not {self.d_model}")
        return self


@dataclass(slots=True)
class KeyValueCache:
    """Keys and values of the tokens read, in buffers of the model's whole context W.

    What lies beyond a row's length is stale or zero, never read, and overwritten later.
    """

    keys_LBNWH: Tensor
    values_LBNWH: Tensor
    lengths_B: Tensor
    """Tokens that each row has read: int64, on the CPU, so that no check waits for a GPU."""

    @property
    def batch_size(self) -> int:
        """Rows."""
        return len(self.lengths_B)

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        there = rows.to(self.keys_LBNWH.device)
        return type(self)(
            self.keys_LBNWH.index_select(1, there),
            self.values_LBNWH.index_select(1, there),
            self.lengths_B.index_select(0, rows.to("cpu")),
        )

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(
            torch.cat([state.keys_LBNWH for state in states], dim=1),
            torch.cat([state.values_LBNWH for state in states], dim=1),
            torch.cat([state.lengths_B for state in states]),
        )


class Block(nn.Module):
    """Attention and feed-forward, each on a normalised copy of the stream and added back to it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width = config.d_model
        self.attention_norm = nn.LayerNorm(width, eps=config.norm_epsilon)
        self.attention = CausalSelfAttention(
            width, config.n_heads, config.dropout, config.attention_dropout
        )
        self.ff_norm = nn.LayerNorm(width, eps=config.norm_epsilon)
        self.ff = FeedForward(width, config.d_ff, config.dropout)

    def forward(self, x_BTD: Tensor, cache: CacheView | None = None) -> Tensor:
        """Same shape."""
        x_BTD = x_BTD + self.attention(self.attention_norm(x_BTD), cache)
        return x_BTD + self.ff(self.ff_norm(x_BTD))


class Model(LanguageModel):
    """A decoder-only Transformer; its weights are fp32 and freshly initialised."""

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.context_tokens = config.context_tokens
        self.stream_scale = config.d_model / OWN_LOGIT
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        if config.positions == "learned":
            self.positions = nn.Embedding(config.context_tokens, config.d_model)
        else:
            table_WD = sinusoidal_positions(config.context_tokens, config.d_model)
            # Its own root mean square is 1/sqrt(2).
            table_WD = table_WD * (SINUSOID_RMS * 2**0.5 / self.stream_scale)
            self.register_buffer("position_table_WD", table_WD, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = nn.LayerNorm(config.d_model, eps=config.norm_epsilon)
        self.output = nn.Linear(config.d_model, vocab_size, bias=False)
        if config.tie_embeddings:
            self.output.weight = self.embedding.weight
        self._initialise()

    def _initialise(self) -> None:
        embedding_std = 1 / self.stream_scale
        for name, parameter in self.named_parameters():
            if name.endswith(".bias"):
                nn.init.zeros_(parameter)
        for module in self.modules():
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=embedding_std)
            elif isinstance(module, nn.Linear):  # as much variance out as in
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        # Last, since tied weights were just drawn as those of a linear layer.
        nn.init.normal_(self.output.weight, std=embedding_std)
        if self.config.positions == "learned":
            nn.init.normal_(self.positions.weight, std=POSITION_STD * embedding_std)
        # 2 L branches add up in the stream; this keeps its variance from growing with depth.
        with torch.no_grad():
            for block in self.blocks:
                assert isinstance(block, Block)
                block.attention.out.weight /= (2 * self.config.n_layers) ** 0.5
                block.ff.down.weight /= (2 * self.config.n_layers) ** 0.5

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.output(self.norm(self._stream(ids_BT)))

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.last_logits`."""
        return self.output(self.norm(self._stream(ids_BT)[:, -1]))

    def _stream(self, ids_BT: Tensor) -> Tensor:
        """What the blocks make of the ids, (B, T, D)."""
        length = ids_BT.shape[1]
        self._check_room(length)
        positions_T = torch.arange(length, device=ids_BT.device)
        x_BTD = self._embed(ids_BT, positions_T)
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return x_BTD

    def _check_room(self, tokens: int) -> None:
        if tokens > self.config.context_tokens:
            raise ValueError(f"{tokens} tokens exceed the context of {self.config.context_tokens}")

    def position_rows(self) -> Tensor:
        """One row (D,) for each position of the context, learned or not."""
        rows_WD = (
            self.positions.weight if self.config.positions == "learned" else self.position_table_WD
        )
        assert isinstance(rows_WD, Tensor)
        return rows_WD

    def _embed(self, ids_BT: Tensor, positions: Tensor) -> Tensor:
        """Tokens and positions, (T,) or (B, T), as one stream (B, T, D)."""
        places = functional.embedding(positions, self.position_rows())
        return self.dropout((self.embedding(ids_BT) + places) * self.stream_scale)

    def fresh_state(self, batch_size: int) -> KeyValueCache:
        """See `LanguageModel.fresh_state`."""
        config = self.config
        d_head = config.d_model // config.n_heads
        shape = (config.n_layers, batch_size, config.n_heads, config.context_tokens, d_head)
        weight = self.embedding.weight
        lengths_B = torch.zeros(batch_size, dtype=torch.int64)
        # Zeros, not empty memory: a masked value still enters a product, and 0 · NaN is NaN.
        return KeyValueCache(weight.new_zeros(shape), weight.new_zeros(shape), lengths_B)

    @torch.no_grad()
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, KeyValueCache)
        length = ids_BT.shape[1]
        seen = int(state.lengths_B.max()) + length
        self._check_room(seen)
        positions_BT = (state.lengths_B.unsqueeze(1) + torch.arange(length)).to(ids_BT.device)
        keys_S = torch.arange(seen, device=ids_BT.device)
        visible_B1TS = (keys_S <= positions_BT.unsqueeze(-1)).unsqueeze(1)
        x_BTD = self._embed(ids_BT, positions_BT)
        layers = zip(self.blocks, state.keys_LBNWH, state.values_LBNWH, strict=True)
        for block, keys_BNWH, values_BNWH in layers:
            x_BTD = block(x_BTD, CacheView(keys_BNWH, values_BNWH, positions_BT, visible_B1TS))
        state.lengths_B = state.lengths_B + length
        return self.output(self.norm(x_BTD))

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """See `LanguageModel.forward_flops_per_token`.

        A token in a sequence of T sees (T + 1)/2 keys on average; its score with a key, and that
        key's value in the sum, cost 2 D each.
        """
        d_model, d_ff = self.config.d_model, self.config.d_ff
        matrices = 2 * (4 * d_model**2 + 2 * d_model * d_ff)
        attention = 4 * d_model * (context_tokens + 1) / 2
        return self.config.n_layers * (matrices + attention) + 2.0 * d_model * self.vocab_size

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """See `LanguageModel.saved_bytes`.

        The stream is fp32 and so is what a norm keeps of it; all else is in the format of the
        products. A block keeps, a token: what its two norms read (2 · 4 D) and their statistics
        (2 · 8), what attention and feed-forward read (2 a D), query, key, value (3 a D), what the
        output projection reads (a D), the hidden layer before and after GELU (2 a F), and a mask
        behind each half. Fused attention keeps a logarithm a head (4 N); plain attention keeps its
        weights (a N T), with dropout also their mask and what is left of them.
        """
        config, a = self.config, setting.bytes_each
        D, F, N, T = config.d_model, config.d_ff, config.n_heads, window_tokens
        mask = setting.mask_bytes(a) * D if config.dropout else 0
        norm = FP32_BYTES * D + 2 * FP32_BYTES  # mean and 1/deviation
        block = 2 * norm + 6 * a * D + 2 * a * F + 2 * mask
        weights = a * N * T
        if setting.device == "cuda" or (a == FP32_BYTES and not config.attention_dropout):
            block += FP32_BYTES * N
        elif config.attention_dropout:
            block += 2 * weights + setting.mask_bytes(a) * N * T
        else:
            block += weights
        ids = 8
        embedding_mask = setting.mask_bytes(FP32_BYTES) * D if config.dropout else 0
        token = ids + embedding_mask + config.n_layers * block + norm + a * D
        copies = 0 if a == FP32_BYTES else a * linear_weights(self)
        return SavedBytes(T * token, copies, usual_block=T * a * D)

    def gpt2_weights(self) -> dict[str, Tensor]:
        """The weights under the names and in the layout of transformers' `GPT2LMHeadModel`.

        A GPT-2 with these weights computes the same logits: s goes into its embeddings, and out
        again at the final norm, where the stream meets the tied embeddings a second time. Its
        linear layers hold their matrices transposed.
        """
        embedding = self.embedding.weight * self.stream_scale
        tied = 1 / self.stream_scale if self.config.tie_embeddings else 1.0
        weights = {
            "transformer.wte.weight": embedding,
            "transformer.wpe.weight": self.position_rows() * self.stream_scale,
            "transformer.ln_f.weight": self.norm.weight * tied,
            "transformer.ln_f.bias": self.norm.bias * tied,
            "lm_head.weight": embedding if self.config.tie_embeddings else self.output.weight,
        }
        names = {
            "attention_norm": "ln_1",
            "attention.qkv": "attn.c_attn",
            "attention.out": "attn.c_proj",
            "ff_norm": "ln_2",
            "ff.up": "mlp.c_fc",
            "ff.down": "mlp.c_proj",
        }
        for index, block in enumerate(self.blocks):
            for ours, theirs in names.items():
                for part, value in block.get_submodule(ours).named_parameters():
                    key = f"transformer.h.{index}.{theirs}.{part}"
                    weights[key] = value.t() if value.ndim == 2 else value
        return {name: value.detach().clone().contiguous() for name, value in weights.items()}
