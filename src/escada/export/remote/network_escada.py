"""The network of escada's v_next in plain torch.

    ids -> E + sum over n of table_n[hash of the last n ids] -> rms
        -> [+ a share of it, x + mixer(conv(rms(x))), x + feed-forward(conv(rms(x)))] L times
        -> rms -> logits

The mixer is a gated linear recurrence, h_t = a h_(t-1) + (1 - a) u with a = sigmoid(z + b), then
W (rms(h) silu(g)). Convolutions are causal, depthwise and residual; the feed-forward is a squared
ReLU. A document's first token resets everything.

    B  sequences     T  tokens     V  vocabulary     L  layers     D  width
    K  tokens that a convolution looks back     N  tokens that anything looks back     M  2 L
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EPSILON = 1e-6
NO_ID = -1
"""The id of positions before the first token."""
HASH_FACTOR = 0x9E3779B97F4A7C15 - 2**64


class Convolution(nn.Module):
    """A short causal convolution plus its input."""

    def __init__(self, width: int, tokens: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(tokens, 1, width))

    def forward(
        self,
        x_BTD: Tensor,
        taps_BKD: Tensor,
        same_NBT1: Sequence[Tensor] | None,
        lengths_B: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Outputs of the same shape, and the last K inputs; `taps_BKD` are the K inputs before."""
        T, back = x_BTD.shape[1], len(self.weight) - 1
        x_BSD = torch.cat([taps_BKD, x_BTD], dim=1)
        y_BTD = x_BTD * (1 + self.weight[0])
        for k in range(1, back + 1):
            tap_BTD = x_BSD[:, back - k : back - k + T]
            if same_NBT1 is not None:
                tap_BTD = tap_BTD * same_NBT1[k - 1].to(tap_BTD.dtype)
            y_BTD = y_BTD + tap_BTD * self.weight[k]
        return y_BTD, last_of(x_BSD, back, lengths_B)


class Mixer(nn.Module):
    """The gated linear recurrence."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.zug = nn.Linear(width, 3 * width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.out = nn.Linear(width, width, bias=False)
        self.recurrence = recurrence

    def forward(
        self,
        x_BTD: Tensor,
        value_BTD: Tensor | None,
        goes_on_BT1: Tensor | None,
        read_BT1: Tensor | None,
        h_BD: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """The output, and h after the last token; tokens without `read_BT1` leave h alone."""
        z_BTD, u_BTD, g_BTD = self.zug(x_BTD).float().chunk(3, dim=-1)
        if value_BTD is not None:
            u_BTD = u_BTD + value_BTD
        a_BTD = torch.sigmoid(z_BTD + self.bias)
        added_BTD = (1 - a_BTD) * u_BTD
        if goes_on_BT1 is not None:
            a_BTD = a_BTD * goes_on_BT1.float()
        if read_BT1 is not None:
            a_BTD = torch.where(read_BT1, a_BTD, 1.0)
            added_BTD = torch.where(read_BT1, added_BTD, 0.0)
        h_BTD = self.recurrence(a_BTD, added_BTD, h_BD)
        y_BTD = rms(h_BTD) * g_BTD * torch.sigmoid(g_BTD)
        return self.out(y_BTD.to(x_BTD.dtype)), h_BTD[:, -1]


class FeedForward(nn.Module):
    """Two linear layers with a squared ReLU between them."""

    def __init__(self, width: int, d_ff: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, d_ff, bias=False)
        self.down = nn.Linear(d_ff, width, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply both layers; same shape."""
        positive = torch.relu(self.up(x_BTD))
        return self.down(positive * positive)


class Block(nn.Module):
    """A mixer and a feed-forward, each with a convolution."""

    def __init__(self, width: int, d_ff: int, convolution_tokens: int) -> None:
        super().__init__()
        self.embedding_share = nn.Parameter(torch.zeros(1))
        self.mixer_convolution = Convolution(width, convolution_tokens)
        self.mixer = Mixer(width)
        self.ff_convolution = Convolution(width, convolution_tokens)
        self.ff = FeedForward(width, d_ff)


class ModernNetwork(nn.Module):
    """The whole network; its weights have the names that they have in escada."""

    def __init__(
        self,
        vocab_size: int,
        d_model: int,
        d_ff: int,
        n_layers: int,
        convolution_tokens: int,
        table_ngrams: Sequence[int],
        table_rows: int,
        value_embedding: bool,
        document_start_id: int | None,
    ) -> None:
        super().__init__()
        self.table_ngrams, self.table_rows = tuple(table_ngrams), table_rows
        self.document_start_id = document_start_id
        self.convolution_back = convolution_tokens - 1
        self.ids_back = max(convolution_tokens, *table_ngrams, 1) - 1
        self.embedding = nn.Embedding(vocab_size, d_model)
        self.tables = nn.ModuleList(nn.Embedding(table_rows, d_model) for _ in table_ngrams)
        self.blocks = nn.ModuleList(
            Block(d_model, d_ff, convolution_tokens) for _ in range(n_layers)
        )
        self.values = nn.Embedding(vocab_size, d_model) if value_embedding else None
        self.output = nn.Linear(d_model, vocab_size, bias=False)

    def fresh_state(self, rows: int) -> tuple[Tensor, Tensor, Tensor]:
        """The last ids (B, N), last inputs of the convolutions (M, B, K, D), and h (L, B, D)."""
        L, (_, D) = len(self.blocks), self.embedding.weight.shape
        like = self.embedding.weight
        return (
            torch.full((rows, self.ids_back), NO_ID, device=like.device),
            like.new_zeros(2 * L, rows, self.convolution_back, D),
            torch.zeros(L, rows, D, device=like.device),
        )

    def forward(
        self,
        ids_BT: Tensor,
        last_ids_BN: Tensor,
        taps_MBKD: Tensor,
        h_LBD: Tensor,
        lengths_B: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits (B, T, V), and the state after the last token.

        Args:
            last_ids_BN, taps_MBKD, h_LBD: the state, see `fresh_state`.
            lengths_B: only so many tokens of each row are read; None: all.
        """
        T, N, start = ids_BT.shape[1], self.ids_back, self.document_start_id
        before_BS = torch.cat([last_ids_BN, ids_BT], dim=1)
        tokens: list[Tensor] = [ids_BT]
        same_NBT1: list[Tensor] = []
        same_BT = torch.ones_like(ids_BT, dtype=torch.bool)
        for k in range(1, N + 1):
            earlier_BT = before_BS[:, N - k : N - k + T]
            inside_BT = earlier_BT != NO_ID
            if start is not None:
                starts_BT = before_BS[:, N - k + 1 : N - k + 1 + T] == start
                inside_BT = same_BT = inside_BT & same_BT & ~starts_BT
            same_NBT1.append(inside_BT.unsqueeze(-1))
            tokens.append(torch.where(inside_BT, earlier_BT, NO_ID))
        goes_on_BT1 = None if start is None else (ids_BT != start).unsqueeze(-1)
        read_BT1 = None
        if lengths_B is not None:
            read_BT1 = (torch.arange(T, device=ids_BT.device) < lengths_B[:, None]).unsqueeze(-1)

        x_BTD = self.embedding(ids_BT)
        for length, table in zip(self.table_ngrams, self.tables, strict=True):
            x_BTD = x_BTD + table(hashed(tokens[:length], self.table_rows))
        x_BTD = first_BTD = rms(x_BTD)
        same = None if start is None else same_NBT1
        taps, h = list(taps_MBKD), list(h_LBD)
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            last = index == len(self.blocks) - 1
            value_BTD = self.values(ids_BT) if last and self.values is not None else None
            x_BTD = x_BTD + block.embedding_share * first_BTD
            mixed_BTD, taps[2 * index] = block.mixer_convolution(
                rms(x_BTD), taps[2 * index], same, lengths_B
            )
            added_BTD, h[index] = block.mixer(mixed_BTD, value_BTD, goes_on_BT1, read_BT1, h[index])
            x_BTD = x_BTD + added_BTD
            mixed_BTD, taps[2 * index + 1] = block.ff_convolution(
                rms(x_BTD), taps[2 * index + 1], same, lengths_B
            )
            x_BTD = x_BTD + block.ff(mixed_BTD)
        return (
            self.output(rms(x_BTD)),
            last_of(before_BS, N, lengths_B),
            torch.stack(taps),
            torch.stack(h),
        )


def rms(x: Tensor) -> Tensor:
    """RMS norm without weights, computed in fp32."""
    wide = x.float()
    scale = torch.rsqrt((wide * wide).mean(dim=-1, keepdim=True) + EPSILON)
    return (wide * scale).to(x.dtype)


def recurrence(a_BTD: Tensor, x_BTD: Tensor, h_BD: Tensor) -> Tensor:
    """h_t = a_t h_(t-1) + x_t, in log2(T) steps that each join spans of twice the length."""
    T = a_BTD.shape[1]
    span = 1
    while span < T:
        before_BTD = torch.cat([torch.zeros_like(x_BTD[:, :span]), x_BTD[:, : T - span]], dim=1)
        x_BTD = x_BTD + a_BTD * before_BTD
        gates_BTD = torch.cat([torch.ones_like(a_BTD[:, :span]), a_BTD[:, : T - span]], dim=1)
        a_BTD = a_BTD * gates_BTD
        span = 2 * span
    return x_BTD + a_BTD * h_BD.unsqueeze(1)


def hashed(tokens: Sequence[Tensor], rows: int) -> Tensor:
    """Table rows of the n-grams ending at each position, from the ids shifted by 0, 1, … tokens."""
    hash_BT = torch.zeros_like(tokens[0])
    for ids_BT in tokens:
        hash_BT = exclusive_or(hash_BT, ids_BT + 1) * HASH_FACTOR
        # A shift to the right by 29 bits, as a division: ONNX shifts unsigned numbers only.
        hash_BT = exclusive_or(hash_BT, torch.div(hash_BT, 2**29, rounding_mode="floor"))
    return hash_BT.remainder(rows)


def exclusive_or(a: Tensor, b: Tensor) -> Tensor:
    """a ^ b of integers, which torch cannot write to ONNX."""
    return a + b - 2 * torch.bitwise_and(a, b)


def last_of(x_BS: Tensor, count: int, lengths_B: Tensor | None) -> Tensor:
    """The last `count` of (B, S, …); with lengths, those before the first `count` + length end."""
    if lengths_B is None:
        return x_BS[:, x_BS.shape[1] - count :]
    at_BC = lengths_B[:, None] + torch.arange(count, device=x_BS.device)
    return x_BS[torch.arange(len(x_BS), device=x_BS.device)[:, None], at_BC]
