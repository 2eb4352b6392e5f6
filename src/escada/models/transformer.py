"""The Transformer of v5 and v_final: decoder-only, Pre-LN, in GPT-2's form.

    ids -> s (E + positions) -> dropout
        -> [x + attention(norm(x)), then x + feed-forward(norm(x))] L times
        -> norm -> logits

Biases everywhere but on the logits, tanh-GELU, tied embeddings (Radford et al. 2019). v_final
learns its positions; v5's are the sinusoidal table.

The constant s = D/4 plays the part of Vaswani et al.'s sqrt(D) (2017, section 3.4):
embeddings must be small to serve as the output matrix too, and s brings the stream to the size of
what the layers add to it. Without it training is much slower (docs/models.md). It folds into the
weights, so that the model is a GPT-2 all the same (`escada.export.gpt2`).
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
from escada.models.dropout import Dropout
from escada.models.layers import (
    CacheView,
    CausalSelfAttention,
    FeedForward,
    sinusoidal_positions,
)
from escada.models.packed import bf16_attention_pays
from escada.models.saved import FP32_BYTES, SavedBytes, Setting, linear_weights
from escada.spec import ModelConfig

EXPORTS = ("transformers", "gguf", "onnx")
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


CACHE_COLUMNS = 64
"""Columns of a fresh cache; it doubles when they are full."""


@dataclass(slots=True)
class KeyValueCache:
    """Keys and values of the tokens read: row b has its own in columns end - lengths[b] to end.

    All rows end in the same column, so that a new token is written by one copy. What lies before
    the longest row's columns and after the end is never read. Before those of a shorter row lie
    finite numbers, which are masked: 0 · NaN would be NaN. The buffer grows with what is read, up
    to half as much again as the context W: when it is full and the rows have become shorter (their
    longest left, or dropped its older half), they move to its beginning.
    """

    keys_values_L2BNWH: Tensor
    lengths: list[int]
    """Tokens that each row has read."""
    end: int
    """Column of the next token, in every row."""

    @property
    def batch_size(self) -> int:
        """Rows."""
        return len(self.lengths)

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        kept = [self.lengths[int(row)] for row in rows]
        used = self._used(max(kept, default=0))
        there = rows.to(self.keys_values_L2BNWH.device)
        chosen = type(self)(used.index_select(2, there), kept, used.shape[-2])
        chosen.make_room(1, self.keys_values_L2BNWH.shape[-2])
        return chosen

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        end = max(max(state.lengths, default=0) for state in states)
        parts: list[Tensor] = []
        for state in states:
            used = state._used(max(state.lengths, default=0))
            parts.append(functional.pad(used, (0, 0, end - used.shape[-2], 0)))
        lengths = [length for state in states for length in state.lengths]
        joined = cls(torch.cat(parts, dim=2), lengths, end)
        joined.make_room(1, max(state.keys_values_L2BNWH.shape[-2] for state in states))
        return joined

    def make_room(self, tokens: int, most_columns: int) -> None:
        """Have columns for that many more tokens: move to the left or grow, up to a width."""
        buffer = self.keys_values_L2BNWH
        width = buffer.shape[-2]
        if self.end + tokens <= width:
            return
        longest = max(self.lengths, default=0)
        wanted = max(longest + tokens, min(2 * width, most_columns))
        fresh = buffer.new_empty(*buffer.shape[:-2], max(wanted, width), buffer.shape[-1])
        fresh[..., :longest, :] = self._used(longest)
        self.keys_values_L2BNWH, self.end = fresh, longest

    def _used(self, longest: int) -> Tensor:
        return self.keys_values_L2BNWH[..., self.end - longest : self.end, :]


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
        """Same shape. The tokens follow those in the cache; without one they are all there is."""
        x_BTD = self.attention(self.attention_norm(x_BTD), x_BTD, cache)
        return self.ff(self.ff_norm(x_BTD), x_BTD)


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
        self.dropout = Dropout(config.dropout)
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
        self._check_room(ids_BT.shape[1])
        x_BTD = self.dropout(self._embed(ids_BT, 0))
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

    def _embed(self, ids_BT: Tensor, read: int | Sequence[int]) -> Tensor:
        """The stream (B, T, D) of tokens that follow `read` others, or as many as each row has."""
        tokens = ids_BT.shape[1]
        if isinstance(read, int):
            places = self.position_rows()[read : read + tokens]
        else:
            positions_BT = torch.tensor(read).unsqueeze(1) + torch.arange(tokens)
            places = functional.embedding(positions_BT.to(ids_BT.device), self.position_rows())
        return (self.embedding(ids_BT) + places) * self.stream_scale

    def fresh_state(self, batch_size: int) -> KeyValueCache:
        """See `LanguageModel.fresh_state`."""
        config = self.config
        columns = min(CACHE_COLUMNS, config.context_tokens)
        shape = (config.n_layers, 2, batch_size, config.n_heads, columns)
        weight = self.embedding.weight
        slow = weight.is_cpu and weight.dtype == torch.bfloat16 and not bf16_attention_pays()
        dtype = torch.float32 if slow else weight.dtype
        buffer = weight.new_empty(*shape, config.d_model // config.n_heads, dtype=dtype)
        return KeyValueCache(buffer, [0] * batch_size, 0)

    @torch.no_grad()
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, KeyValueCache)
        tokens = ids_BT.shape[1]
        longest, shortest = max(state.lengths), min(state.lengths)
        self._check_room(longest + tokens)
        state.make_room(tokens, self.config.context_tokens * 3 // 2)
        same_length = longest == shortest
        visible = None
        if tokens > 1 or not same_length:
            lengths = state.lengths[:1] if same_length else state.lengths
            visible = _visible(lengths, tokens, state.keys_values_L2BNWH)
        x_BTD = self._embed(ids_BT, longest if same_length else state.lengths)
        first = state.end - longest
        for block, buffer_2BNWH in zip(self.blocks, state.keys_values_L2BNWH, strict=True):
            x_BTD = block(x_BTD, CacheView(buffer_2BNWH, first, state.end, visible))
        state.lengths = [length + tokens for length in state.lengths]
        state.end += tokens
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


def _visible(lengths: Sequence[int], tokens: int, like: Tensor) -> Tensor:
    """0 where a token that follows `lengths` others may look and -inf elsewhere: (B, 1, T, S).

    The S keys are the columns from where the longest row begins.
    """
    longest = max(lengths)
    columns_S = torch.arange(longest + tokens)
    begins_B11 = (longest - torch.tensor(lengths)).view(-1, 1, 1)
    seen_TS = columns_S <= longest + torch.arange(tokens).unsqueeze(1)
    seen_BTS = (columns_S >= begins_B11) & seen_TS
    mask_BTS = torch.zeros(seen_BTS.shape).masked_fill(~seen_BTS, -torch.inf)
    return mask_BTS.to(like.device, like.dtype).unsqueeze(1)
