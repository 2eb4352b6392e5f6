"""The Transformer of v5 and v_final: decoder-only, Pre-LN, in GPT-2's form.

    ids -> s (E + positions) -> dropout
        -> [x + attention(norm(x)), then x + feed-forward(norm(x))] L times
        -> norm -> logits

Biases except on the logits, tanh-GELU, tied embeddings (Radford et al. 2019). Positions are learned
in v_final and sinusoidal in v5.

The constant s = D/4 replaces the sqrt(D) of Vaswani et al. 2017, section 3.4: tied embeddings must
be small, and s scales the stream to the size of the layers' outputs. Training is much slower
without it (docs/models.md). It can be folded into the weights, which makes the model an exact GPT-2
(`escada.export.gpt2`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from escada.models.activation_memory import FP32_BYTES, SavedBytes, Setting, linear_weights
from escada.models.attention_cpu import query_blocks
from escada.models.contract import DecodingState, LanguageModel
from escada.models.dropout import Dropout
from escada.models.layers import (
    CacheView,
    CausalSelfAttention,
    FeedForward,
    sinusoidal_positions,
)
from escada.models.packed_linear import bf16_attention_pays
from escada.spec import ModelConfig

EXPORTS = ("transformers", "gguf", "onnx")
OWN_LOGIT = 4.0
"""Maximum initial logit of the input token itself if embeddings are tied; other logits have
standard deviation 4 / sqrt(D). Both add about 0.1 nats to ln V, less for wide models."""
SINUSOID_RMS = 2.0
"""Root mean square of sinusoidal positions in the stream, where tokens have 1. Adjacent rows differ
in few columns: with 0.1 a model hardly learns positions (docs/models.md)."""
PREVIOUS_TOKEN_PAIRS = 8
"""Pairs of position columns by which initial heads find a token."""
PREVIOUS_TOKEN_GAP = 4.0
"""Initial attention logit of that token minus its neighbours'."""


class Config(ModelConfig):
    """The `[model]` table of `kind = "transformer"`."""

    context_tokens: int = Field(ge=2)
    """Maximum input length."""
    d_model: int = Field(ge=2)
    n_heads: int = Field(ge=1)
    d_ff: int = Field(ge=1)
    n_layers: int = Field(ge=1)
    positions: Literal["sinusoidal", "learned"]
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the embeddings and on the outputs of attention and feed-forward."""
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
"""Initial columns of a cache; doubled when full."""


@dataclass(slots=True)
class KeyValueCache:
    """Keys and values of the tokens read: row b occupies columns end - lengths[b] to end.

    All rows end in the same column, so that a new token is written by one copy. Columns before the
    longest row are never read; those before a shorter row are masked and must be finite, since
    0 · NaN is NaN. The buffer grows up to 1.5 times the context W. When it is full and the rows
    have become shorter (the longest left, or dropped its older half), they move to its start.
    """

    keys_values_L2BNWH: Tensor
    lengths: list[int]
    """Tokens that each row has read."""
    end: int
    """Column of the next token, in every row."""

    @property
    def batch_size(self) -> int:
        """The number of rows."""
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
        """Make room for that many more tokens by moving rows left or growing, up to a width."""
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
    """Attention and feed-forward, each with Pre-LN and a residual connection."""

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
        """Apply the block, same shape; the tokens follow those in the cache, if given."""
        x_BTD = self.attention(self.attention_norm(x_BTD), x_BTD, cache)
        return self.ff(self.ff_norm(x_BTD), x_BTD)


class Model(LanguageModel):
    """A decoder-only Transformer with fresh fp32 weights."""

    decodes_in_bf16 = True

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
            self.register_buffer("position_table_WD", self._sinusoids(), persistent=False)
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
            elif isinstance(module, nn.Linear):  # preserves the variance
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        # Last, since the loop above initialised tied weights as a linear layer's.
        nn.init.normal_(self.output.weight, std=embedding_std)
        with torch.no_grad():
            if self.config.positions == "learned":
                self.positions.weight.copy_(self._sinusoids())
            self._look_at_previous_tokens()
            # Keeps the variance of the stream, a sum of 2 L branches, independent of depth.
            for block in self.blocks:
                assert isinstance(block, Block)
                block.attention.out.weight /= (2 * self.config.n_layers) ** 0.5
                block.ff.down.weight /= (2 * self.config.n_layers) ** 0.5

    def _sinusoids(self) -> Tensor:
        """Sinusoidal positions, before the scale of the stream: (W, D)."""
        table_WD = sinusoidal_positions(self.config.context_tokens, self.config.d_model)
        # Their own root mean square is 1/sqrt(2); an odd width lacks the last cosine.
        return table_WD[:, : self.config.d_model] * (SINUSOID_RMS * 2**0.5 / self.stream_scale)

    def _look_at_previous_tokens(self) -> None:
        """Let the first block's heads 1, 2, … attend to the token 1, 2, … places back.

        In a pair of position columns, sin(f t) and cos(f t), the query is the key of `back` places
        before: a rotation by -f back, so that a logit is a sum of cos(f (distance - back)). Token
        embeddings start at zero in these columns. Small models learn such heads late, which costs
        a small budget much (docs/results/laptop-sweep.md); on initialising attention by the form
        that it takes in trained models see Trockman & Kolter 2023, "Mimetic initialization of
        self-attention layers".
        """
        width, heads = self.config.d_model, self.config.n_heads
        head_width = width // heads
        pairs = min(PREVIOUS_TOKEN_PAIRS, head_width // 2, width // 12)
        if pairs == 0:
            return
        apart = max(1, width // 128)  # pairs, so that frequencies go from 1 to about 0.3
        places = [2 * apart * i for i in range(pairs)]
        frequencies = [10_000.0 ** (-place / width) for place in places]
        energy = 2 * SINUSOID_RMS**2 / (1 + SINUSOID_RMS**2)  # of a normalised pair
        drop = energy * sum(1 - math.cos(frequency) for frequency in frequencies)
        gain = (PREVIOUS_TOKEN_GAP * head_width**0.5 / drop) ** 0.5
        block = self.blocks[0]
        assert isinstance(block, Block)
        weight = block.attention.qkv.weight
        queries, keys = weight[:width], weight[width : 2 * width]
        for head in range(heads):
            first = head * head_width
            for own in (queries, keys):
                own[first : first + 2 * pairs] = 0
            for i, (place, frequency) in enumerate(zip(places, frequencies, strict=True)):
                row, angle = first + 2 * i, frequency * (head + 1)
                keys[row, place] = keys[row + 1, place + 1] = gain
                queries[row, place] = queries[row + 1, place + 1] = gain * math.cos(angle)
                queries[row + 1, place] = gain * math.sin(angle)
                queries[row, place + 1] = -gain * math.sin(angle)
        for place in places:
            self.embedding.weight[:, place : place + 2] = 0

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.output(self.norm(self._stream(ids_BT)))

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.last_logits`."""
        return self.output(self.norm(self._stream(ids_BT)[:, -1]))

    def _stream(self, ids_BT: Tensor) -> Tensor:
        """The output of the last block, (B, T, D)."""
        self._check_room(ids_BT.shape[1])
        x_BTD = self.dropout(self._embed(ids_BT, 0))
        for block in self.blocks:
            x_BTD = block(x_BTD)
        return x_BTD

    def units(self) -> Sequence[nn.Module]:
        """See `LanguageModel.units`."""
        return list(self.blocks)

    def _check_room(self, tokens: int) -> None:
        if tokens > self.config.context_tokens:
            raise ValueError(f"{tokens} tokens exceed the context of {self.config.context_tokens}")

    def position_rows(self) -> Tensor:
        """One row (D,) per position of the context, learned or sinusoidal."""
        rows_WD = (
            self.positions.weight if self.config.positions == "learned" else self.position_table_WD
        )
        assert isinstance(rows_WD, Tensor)
        return rows_WD

    def _embed(self, ids_BT: Tensor, read: int | Sequence[int]) -> Tensor:
        """Embed tokens (B, T, D) that follow `read` others (one number, or one per row)."""
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

        In a sequence of T a token sees (T + 1)/2 keys on average; the score and the weighted sum
        cost 2 D per key each.
        """
        d_model, d_ff = self.config.d_model, self.config.d_ff
        matrices = 2 * (4 * d_model**2 + 2 * d_model * d_ff)
        attention = 4 * d_model * (context_tokens + 1) / 2
        return self.config.n_layers * (matrices + attention) + 2.0 * d_model * self.vocab_size

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """See `LanguageModel.saved_bytes`.

        The stream and what norms save of it are fp32; the rest is in the format of the products.
        Per token, a block saves the inputs of its norms (2 · 4 D) and their statistics (2 · 8), the
        inputs of attention and feed-forward (2 a D), query, key, value (3 a D), the input of the
        output projection (a D), the hidden layer before and after GELU (2 a F), and two masks.
        Fused attention saves a log-sum-exp per head (4 N); `causal_attention` its weights (a N
        keys, the mean over blocks of queries) and, with dropout, their mask.
        """
        config, a = self.config, setting.bytes_each
        D, F, N, T = config.d_model, config.d_ff, config.n_heads, window_tokens
        mask = setting.mask_bytes(a) * D if config.dropout else 0
        norm = FP32_BYTES * D + 2 * FP32_BYTES  # mean and 1/deviation
        block = 2 * norm + 6 * a * D + 2 * a * F + 2 * mask
        keys = sum((end - start) * end for start, end in query_blocks(T)) / T
        if setting.device == "cuda" or (a == FP32_BYTES and not config.attention_dropout):
            block += FP32_BYTES * N
        else:
            block += a * N * keys
            if config.attention_dropout:
                block += setting.mask_bytes(a) * N * keys
        ids = 8
        embedding_mask = setting.mask_bytes(FP32_BYTES) * D if config.dropout else 0
        token = ids + embedding_mask + config.n_layers * block + norm + a * D
        copies = 0 if a == FP32_BYTES else a * linear_weights(self)
        return SavedBytes(T * token, copies, usual_block=T * a * D)


def _visible(lengths: Sequence[int], tokens: int, like: Tensor) -> Tensor:
    """Mask (0 or -inf) of tokens after `lengths` others, from the longest row's: (B, 1, T, S)."""
    longest = max(lengths)
    columns_S = torch.arange(longest + tokens)
    begins_B11 = (longest - torch.tensor(lengths)).view(-1, 1, 1)
    seen_TS = columns_S <= longest + torch.arange(tokens).unsqueeze(1)
    seen_BTS = (columns_S >= begins_B11) & seen_TS
    mask_BTS = torch.zeros(seen_BTS.shape).masked_fill(~seen_BTS, -torch.inf)
    return mask_BTS.to(like.device, like.dtype).unsqueeze(1)
