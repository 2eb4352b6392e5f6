"""The model of v_next: gated linear recurrences, short convolutions and hashed n-gram embeddings.

    ids -> E + sum over n of table_n[hash of the last n ids] -> rms
        -> [+ a share of it, x + mixer(conv(rms(x))), x + feed-forward(conv(rms(x)))] L times
        -> rms -> logits

- Mixer: a gated linear recurrence with an output gate, as in Griffin (De et al. 2024) and minGRU
  (Feng et al. 2024): h_t = a h_(t-1) + (1 - a) u with a = sigmoid(z + b), then W (rms(h) silu(g)).
  The biases b start between -1 and 3, memories of 1 to 20 tokens.
- Convolution: causal, depthwise, a few tokens wide, residual, initially zero (Allen-Zhu 2025,
  "Canon layers").
- Feed-forward: squared ReLU (So et al. 2021).
- Block outputs and logits start at zero; norms have no weights and linear layers no bias.
- Tables map each n-gram to a row by a hash, with collisions; their gradients are sparse. The last
  block's mixer has a value embedding, added to u for each token.
- At `document_start_id` states, convolutions and n-grams are reset, also within a packed window.

K is the width of a convolution minus one: the number of tokens it looks back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from escada.models.activation_memory import FP32_BYTES, SavedBytes, Setting, linear_weights
from escada.models.contract import DecodingState, LanguageModel
from escada.models.fused import convolution, gated_recurrence, rms, squared_relu
from escada.spec import ModelConfig

EXPORTS = ("transformers", "onnx")
NOT_EXPORTED = {"gguf": "llama.cpp has no model with this recurrence and n-gram tables"}
FIRST_BIASES = (-1.0, 3.0)
"""Initial gate biases of the first and the last channel."""
NO_ID = -1
"""The id of positions before the first token."""
HASH_FACTOR = 0x9E3779B97F4A7C15 - 2**64
"""2^64 over the golden ratio, as int64: multiplicative hashing (Knuth, TAOCP 3, 6.4)."""


class Config(ModelConfig):
    """The `[model]` table of `kind = "modern"`."""

    d_model: int = Field(ge=2)
    d_ff: int = Field(ge=1)
    n_layers: int = Field(ge=1)
    convolution_tokens: int = Field(default=3, ge=1)
    """Width of the convolutions; 1 sees the current token only."""
    table_ngrams: tuple[Annotated[int, Field(ge=2, le=8)], ...] = (2, 3)
    """Lengths of the n-grams with an embedding table."""
    table_rows: int = Field(default=65_536, ge=1)
    table_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Share of the n-grams that are left out in training, with their whole row."""
    value_embedding: bool = True
    document_start_id: int | None = Field(default=None, ge=0)
    """BOS; resets all state."""

    def shape(self) -> dict[str, Any]:
        """What the network computes: all but the kind's name and dropout."""
        return self.model_dump(exclude={"kind", "table_dropout"})


@dataclass(slots=True)
class ModernState:
    """The decoding state.

    Attributes:
        ids_BN: the last tokens, `NO_ID` before the first.
        taps_MBKD: last inputs of the M = 2 L convolutions.
        h_LBD: states of the recurrences.
    """

    ids_BN: Tensor
    taps_MBKD: Tensor
    h_LBD: Tensor

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return self.ids_BN.shape[0]

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        rows = rows.to(self.ids_BN.device)
        return type(self)(
            self.ids_BN.index_select(0, rows),
            self.taps_MBKD.index_select(1, rows),
            self.h_LBD.index_select(1, rows),
        )

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(
            torch.cat([state.ids_BN for state in states]),
            torch.cat([state.taps_MBKD for state in states], dim=1),
            torch.cat([state.h_LBD for state in states], dim=1),
        )


BlockState = tuple[Tensor, Tensor, Tensor]
"""The taps of a block's two convolutions, (B, K, D) each, and its recurrence's state, (B, D)."""


class Convolution(nn.Module):
    """A short causal convolution plus its input; see `fused.convolution`."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, 1, width))  # 3-D: not a matrix for Muon

    def forward(
        self, x_BTD: Tensor, taps_BKD: Tensor, same_KBT1: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Outputs of the same shape, and the last K inputs; `taps_BKD` are the K inputs before."""
        before_BSD = torch.cat([taps_BKD, x_BTD], dim=1)
        last_BKD = before_BSD.detach()[:, before_BSD.shape[1] - taps_BKD.shape[1] :]
        return convolution(before_BSD, self.weight.squeeze(1), same_KBT1), last_BKD


class Mixer(nn.Module):
    """The gated linear recurrence; see `fused.gated_recurrence`."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.zug = nn.Linear(width, 3 * width, bias=False)
        self.bias = nn.Parameter(torch.linspace(*FIRST_BIASES, width))
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self,
        x_BTD: Tensor,
        value_BTD: Tensor | None,
        goes_on_BT1: Tensor | None,
        h_BD: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The output to add to the stream, and h after the last token."""
        y_BTD, h_BD = gated_recurrence(self.zug(x_BTD), self.bias, value_BTD, goes_on_BT1, h_BD)
        return self.out(y_BTD), h_BD


class FeedForward(nn.Module):
    """Two linear layers with a squared ReLU between them."""

    def __init__(self, width: int, d_ff: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, d_ff, bias=False)
        self.down = nn.Linear(d_ff, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply both layers; same shape."""
        return self.down(squared_relu(self.up(x_BTD)))


class Block(nn.Module):
    """A mixer and a feed-forward, each with a convolution."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, tokens = config.d_model, config.convolution_tokens
        self.embedding_share = nn.Parameter(torch.zeros(1))
        self.mixer_convolution = Convolution(width, tokens)
        self.mixer = Mixer(width)
        self.ff_convolution = Convolution(width, tokens)
        self.ff = FeedForward(width, config.d_ff)

    def forward(
        self,
        x_BTD: Tensor,
        first_BTD: Tensor,
        value_BTD: Tensor | None,
        same_KBT1: Tensor | None,
        goes_on_BT1: Tensor | None,
        state: BlockState,
    ) -> tuple[Tensor, BlockState]:
        """Apply the block, same shape; also the state after the last token.

        Args:
            first_BTD: the input of the first block.
        """
        mixer_taps_BKD, ff_taps_BKD, h_BD = state
        x_BTD = x_BTD + self.embedding_share * first_BTD
        mixed_BTD, mixer_taps_BKD = self.mixer_convolution(rms(x_BTD), mixer_taps_BKD, same_KBT1)
        added_BTD, h_BD = self.mixer(mixed_BTD, value_BTD, goes_on_BT1, h_BD)
        x_BTD = x_BTD + added_BTD
        mixed_BTD, ff_taps_BKD = self.ff_convolution(rms(x_BTD), ff_taps_BKD, same_KBT1)
        return x_BTD + self.ff(mixed_BTD), (mixer_taps_BKD, ff_taps_BKD, h_BD)


class Model(LanguageModel):
    """The whole model, with fp32 weights."""

    context_tokens = None

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        width = config.d_model
        self.embedding = nn.Embedding(vocab_size, width)
        self.tables = nn.ModuleList(
            nn.Embedding(config.table_rows, width, sparse=True) for _ in config.table_ngrams
        )
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.values = nn.Embedding(vocab_size, width) if config.value_embedding else None
        self.output = nn.Linear(width, vocab_size, bias=False)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
        nn.init.normal_(self.embedding.weight)
        zeros: list[nn.Module] = [*self.tables, self.output]
        if self.values is not None:
            zeros.append(self.values)
        for block in self.blocks:
            assert isinstance(block, Block)
            zeros += [block.mixer.out, block.ff.down]
        for module in zeros:
            assert isinstance(module, nn.Embedding | nn.Linear)
            nn.init.zeros_(module.weight)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self.output(self.read(ids_BT, self.fresh_state(len(ids_BT))))

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.last_logits`."""
        return self.output(self.read(ids_BT, self.fresh_state(len(ids_BT)))[:, -1])

    def fresh_state(self, batch_size: int) -> ModernState:
        """See `LanguageModel.fresh_state`."""
        config, like = self.config, self.embedding.weight
        back = config.convolution_tokens - 1
        return ModernState(
            torch.full((batch_size, self._ids_back), NO_ID, device=like.device),
            torch.zeros(2 * config.n_layers, batch_size, back, config.d_model, device=like.device),
            torch.zeros(config.n_layers, batch_size, config.d_model, device=like.device),
        )

    @property
    def _ids_back(self) -> int:
        return max(self.config.convolution_tokens, *self.config.table_ngrams, 1) - 1

    @torch.no_grad()
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, ModernState)
        return self.output(self.read(ids_BT, state))

    def read(self, ids_BT: Tensor, state: ModernState) -> Tensor:
        """The input of the output layer (B, T, D); updates `state`."""
        config, T = self.config, ids_BT.shape[1]
        back = config.convolution_tokens - 1
        before_BS = torch.cat([state.ids_BN, ids_BT], dim=1)
        tokens_BT, same_BT = [ids_BT], [torch.ones_like(ids_BT, dtype=torch.bool)]
        for k in range(1, self._ids_back + 1):
            end = before_BS.shape[1] - k
            tokens_BT.append(before_BS[:, end - T : end])
            same = tokens_BT[-1] != NO_ID
            if config.document_start_id is not None:
                begins_BT = before_BS[:, end - T + 1 : end + 1] == config.document_start_id
                same = same & same_BT[-1] & ~begins_BT
            same_BT.append(same)
            tokens_BT[-1] = torch.where(same, tokens_BT[-1], NO_ID)
        masked = config.document_start_id is not None
        same_KBT1 = torch.stack(same_BT[1:]).unsqueeze(-1).float() if masked and back else None
        goes_on_BT1 = (ids_BT != config.document_start_id).unsqueeze(-1).float() if masked else None

        x_BTD = self.embedding(ids_BT)
        for length, table in zip(config.table_ngrams, self.tables, strict=True):
            rows_BTD = table(hashed(tokens_BT[:length], config.table_rows))
            if self.training and config.table_dropout:
                whole_BT1 = rows_BTD.new_ones(*ids_BT.shape, 1)
                rows_BTD = rows_BTD * functional.dropout(whole_BT1, config.table_dropout)
            x_BTD = x_BTD + rows_BTD
        x_BTD = first_BTD = rms(x_BTD)
        taps, h = list(state.taps_MBKD), list(state.h_LBD)
        for index, block in enumerate(self.blocks):
            last = index == config.n_layers - 1
            value_BTD = self.values(ids_BT) if last and self.values is not None else None
            before = taps[2 * index], taps[2 * index + 1], h[index]
            x_BTD, after = block(x_BTD, first_BTD, value_BTD, same_KBT1, goes_on_BT1, before)
            taps[2 * index], taps[2 * index + 1], h[index] = after
        state.ids_BN = before_BS[:, before_BS.shape[1] - self._ids_back :]
        state.taps_MBKD, state.h_LBD = torch.stack(taps), torch.stack(h)
        return rms(x_BTD)

    def units(self) -> Sequence[nn.Module]:
        """See `LanguageModel.units`."""
        return list(self.blocks)

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """See `LanguageModel.forward_flops_per_token`; independent of the length."""
        width, d_ff = self.config.d_model, self.config.d_ff
        return self.config.n_layers * 2.0 * (4 * width**2 + 2 * width * d_ff) + (
            2.0 * width * self.vocab_size
        )

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """See `LanguageModel.saved_bytes`.

        A norm saves its result and a factor (4 D + 4), a convolution its input (4 D, plus K
        tokens). A block has two of each, and saves the inputs of its four matrices (3 a D + a F),
        the positive part in the squared ReLU (a F), z, u, g of the recurrence (12 D) and its gate,
        state and sigmoid of g (12 D). A value embedding makes another u (4 D), dropout of a table a
        factor (4).
        """
        config, a, T = self.config, setting.bytes_each, window_tokens
        D, F, L = config.d_model, config.d_ff, config.n_layers
        back, f = config.convolution_tokens - 1, FP32_BYTES
        norm, convolution = f * D + f, f * D
        block = 2 * (norm + convolution) + 3 * a * D + 2 * a * F + 6 * f * D + f
        ids = (8 + (f if config.table_dropout else 0)) * len(self.tables) + 8
        masks = 0 if config.document_start_id is None else f * (back + 1)
        value = 0 if self.values is None else f * D
        last = 0 if a == f else a * D  # in fp32 the output layer reads the last norm's saved result
        token = ids + masks + 2 * norm + L * block + value + last
        sequence = T * token + 2 * L * back * convolution + f * L * D
        copies = 0 if a == f else a * linear_weights(self)
        return SavedBytes(sequence, copies, usual_block=T * f * D)


def hashed(tokens_BT: Sequence[Tensor], rows: int) -> Tensor:
    """Table rows of the n-grams ending at each position, from the ids shifted by 0, 1, … tokens."""
    hashed_BT = torch.zeros_like(tokens_BT[0])
    for ids_BT in tokens_BT:
        hashed_BT = (hashed_BT ^ (ids_BT + 1)) * HASH_FACTOR
        hashed_BT = hashed_BT ^ (hashed_BT >> 29)
    return hashed_BT.remainder(rows)
