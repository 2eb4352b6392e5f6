"""The model of v_next_counts: `modern` mixed with n-gram counts of training text and document.

    p(w) = sum over k of g_k p_k(w)  +  g_network softmax(logits)(w)

p_1 … p_K are Kneser-Ney with training n-grams of up to k tokens; p_(K+1) … p_(K+C) extend them by
what followed the last 1 … C tokens earlier in the document. The gates g are a softmax over a
function of the network's last hidden state and, for each length, of the count of the context and
its backoff weight.

In training, a token's counts exclude its own group (`ngrams.left_out`) and later parts of its
document, and only the target's probability is computed. A network is better on text it has trained
on, and gates trained there would trust it too much. So the gates train on every 16th piece of the
text, and the network on the others only. The network's loss combines its own and the mixture's.

The counts are saved with the weights, as buffers of sorted keys and adjusted counts per length.

    N  positions, B x T     K, C  lengths of n-grams     G  gates, K + C + 1     E  n-grams
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from escada.errors import EscadaError
from escada.models import modern
from escada.models.activation_memory import SavedBytes, Setting
from escada.models.contract import DecodingState, LanguageModel, ReadsTrainingText
from escada.models.ngrams import document
from escada.models.ngrams.counting import NOT_SEEN, Integers, Level, count_ngrams
from escada.models.ngrams.document import NO_TOKEN, Successors
from escada.models.ngrams.kneser_ney import KneserNey, NgramTable, single_tokens
from escada.models.ngrams.leave_group_out import left_out

_NO_LOOK_UP = "nothing there looks up the counts of the training text; v_next has this form"
NOT_EXPORTED = {
    "transformers": _NO_LOOK_UP,
    "onnx": _NO_LOOK_UP,
    "gguf": modern.NOT_EXPORTED["gguf"],
}
LOG_TOTAL_SCALE = 1 / 3
"""Scale of log(1 + count) as a gate input, to match the other inputs."""
PIECE_TOKENS, PIECES = 256, 16
"""The gates train on one of `PIECES` pieces of this length, the network on the others."""


class Config(modern.Config):
    """The `[model]` table of `kind = "modern_counts"`."""

    document_start_id: int = Field(ge=0)  # pyright: ignore[reportIncompatibleVariableOverride]
    """BOS; resets all state, and no n-gram crosses it."""
    count_tokens: int = Field(default=6, ge=2, le=8)
    """K: the longest n-grams of the training text."""
    document_tokens: int = Field(default=3, ge=0, le=3)
    """C: the longest context looked up in the document so far."""
    document_window: int = Field(default=1024, ge=1)
    """Tokens of the document that are remembered."""
    gate_width: int = Field(default=32, ge=1)
    network_share: float = Field(default=0.5, ge=0, le=1)
    """Weight of the network's own cross-entropy in its loss; the rest is the mixture's."""

    @property
    def lengths(self) -> int:
        """K + C."""
        return self.count_tokens + self.document_tokens


@dataclass(slots=True)
class MixedState:
    """The decoding state.

    Attributes:
        rows_BK: rows of the n-grams of 1, 2, … K - 1 tokens that end at the last token.
        ids_BW: the last tokens, `NO_TOKEN` before the first.
    """

    network: modern.ModernState
    rows_BK: Tensor
    ids_BW: Tensor

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        return len(self.rows_BK)

    def select(self, rows: Tensor) -> Self:
        """See `DecodingState.select`."""
        at = rows.to(self.rows_BK.device)
        return type(self)(self.network.select(rows), self.rows_BK[at], self.ids_BW[at])

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """See `DecodingState.concatenate`."""
        return cls(
            modern.ModernState.concatenate([state.network for state in states]),
            torch.cat([state.rows_BK for state in states]),
            torch.cat([state.ids_BW for state in states]),
        )


class Counts(nn.Module):
    """The n-grams of one length, as saved with the weights.

    Attributes:
        keys_E: see `escada.models.ngrams.counting`.
        counts_E: int32, adjusted for Kneser-Ney.
    """

    keys_E: Tensor
    counts_E: Tensor

    def __init__(self, n_ngrams: int) -> None:
        super().__init__()  # placeholder until a text is read: the first n-grams, seen once
        self.register_buffer("keys_E", torch.arange(n_ngrams))
        self.register_buffer("counts_E", torch.ones(n_ngrams, dtype=torch.int32))

    def level(self) -> Level:
        """The counts as a `Level`, whose counts are already adjusted."""
        counts_E: NDArray[np.int32] = self.counts_E.cpu().numpy()
        return Level(self.keys_E.cpu().numpy(), counts_E, np.zeros_like(counts_E))


@dataclass(frozen=True, slots=True)
class CountTable:
    """What follows each context of a length in the training text: `kneser_ney.Table` in tensors."""

    tokens_E: Tensor
    probabilities_E: Tensor
    starts_C: Tensor
    rests_C: Tensor
    totals_C: Tensor

    @classmethod
    def of(cls, levels: Sequence[Level], length: int, device: torch.device) -> Self:
        """Build the table of the n-grams of a length, at least 2."""
        table = NgramTable.of(levels, length, longest=True)
        return cls(
            torch.from_numpy(table.tokens_E).to(device, torch.int64),
            torch.from_numpy(table.probabilities_E).to(device, torch.float32),
            torch.from_numpy(table.starts_C).to(device),
            torch.from_numpy(table.rests_C).to(device, torch.float32),
            torch.from_numpy(table.totals_C).to(device, torch.float32),
        )

    def after(self, contexts_N: Tensor, vocab_size: int) -> Successors:
        """Successors of contexts, given by their rows."""
        seen_N = contexts_N != NOT_SEEN
        at_N = contexts_N.clamp_min(0)
        firsts_N = self.starts_C[at_N]
        sizes_N = torch.where(seen_N, self.starts_C[at_N + 1] - firsts_N, 0)
        position_E = torch.repeat_interleave(sizes_N)
        begin_N = sizes_N.cumsum(0) - sizes_N
        entries_E = torch.arange(len(position_E), device=at_N.device)
        entries_E = entries_E + (firsts_N - begin_N)[position_E]
        return Successors(
            position_E * vocab_size + self.tokens_E[entries_E],
            self.probabilities_E[entries_E],
            torch.where(seen_N, self.rests_C[at_N], 1.0),
            torch.where(seen_N, self.totals_C[at_N], 0.0),
        )


@dataclass(frozen=True, slots=True)
class Mixing:
    """What a mixture consists of at each token, for a look inside.

    Attributes:
        network_TV: the network's probabilities.
        gates_TG: weights of the mixture, the network's last.
        totals_TK: how often the contexts of 1, 2, … K - 1 tokens were counted.
    """

    network_TV: Tensor
    gates_TG: Tensor
    totals_TK: Tensor


class Gate(nn.Linear):
    """A layer of the gates. Not trained by Muon, whose steps do not scale with the gradient: they
    would close the network's gate before it has learned anything."""

    role = "vectors"


class Model(LanguageModel, ReadsTrainingText):
    """The network, the counts and the gates that mix them."""

    context_tokens = None

    def __init__(self, config: Config, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.vocab_size = vocab_size
        self.network = modern.Model(config, vocab_size)
        K, gates = config.count_tokens, config.lengths + 1
        self.gate = Gate(config.d_model, gates)
        self.counts_in = Gate(2 * (config.lengths - 1), config.gate_width)
        self.counts_out = Gate(config.gate_width, gates, bias=False)
        for matrix in (self.gate, self.counts_out):
            nn.init.zeros_(matrix.weight)
        with torch.no_grad():
            self.gate.bias.copy_(torch.linspace(-1, 1, gates))
        self.counts = nn.ModuleList(Counts(vocab_size if k == 0 else 1) for k in range(K))
        self._tables: tuple[Tensor, list[CountTable]] | None = None
        self._charged: tuple[Tensor, Tensor] | None = None

    @property
    def _counts(self) -> list[Counts]:
        """Of n-grams of 1, 2, … K tokens."""
        return cast("list[Counts]", list(self.counts))

    # Training

    def read_training_text(self, ids_N: Integers, groups_N: Integers) -> None:
        """See `ReadsTrainingText.read_training_text`."""
        bos_id = self.config.document_start_id
        levels = count_ngrams(ids_N, self.vocab_size, bos_id, self.config.count_tokens)
        if len(levels) < self.config.count_tokens:
            raise EscadaError(
                f"the training text has too many n-grams of {len(levels) + 1} tokens",
                where="model.count_tokens",
                fix=f"lower it to {len(levels)}",
            )
        for level, counts in zip(levels, self._counts, strict=True):
            adjusted_E = level.adjusted()
            counts.keys_E = torch.from_numpy(level.keys_N).to(self.device)
            counts.counts_E = torch.from_numpy(adjusted_E).to(self.device)
        charged = left_out(levels, ids_N, groups_N, bos_id)
        charged = charged.with_document(levels, ids_N, bos_id, self.config.document_tokens)
        features_NF = _features(
            torch.from_numpy(charged.totals_TK[:, 1:]), torch.from_numpy(charged.rests_TK[:, 1:])
        )
        self._charged = torch.from_numpy(charged.probabilities_TK).log(), features_NF
        self._tables = None

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """See `LanguageModel.make_room`."""
        for k, counts in enumerate(self._counts):
            for name in ("keys_E", "counts_E"):
                if (found := weights.get(f"counts.{k}.{name}")) is not None:
                    setattr(counts, name, torch.empty_like(found, device=self.device))
        self._tables = None

    def training_nats(self, ids_BT: Tensor, starts_B: Tensor) -> Tensor:
        """See `ReadsTrainingText.training_nats`."""
        inputs_BT, targets_BT = ids_BT[:, :-1], ids_BT[:, 1:]
        hidden_BTD = self.network.read(inputs_BT, self.network.fresh_state(len(ids_BT)))
        logits_BTV = self.network.output(hidden_BTD)
        network_BT = functional.cross_entropy(
            logits_BTV.flatten(0, 1).float(), targets_BT.flatten(), reduction="none"
        ).view_as(targets_BT)
        steps_T = torch.arange(1, ids_BT.shape[1], device=starts_B.device)
        places_BT = (starts_B[:, None] + steps_T).cpu()
        if self._charged is None:  # called only to measure time and memory
            none_BTK = torch.zeros(*targets_BT.shape, self.config.lengths, device=self.device)
            log_p_BTK = none_BTK - math.log(self.vocab_size)
            features_BTF = _features(none_BTK[..., 1:], none_BTK[..., 1:] + 1)
        else:
            log_p_NK, features_NF = self._charged
            places_BT = places_BT % len(log_p_NK)
            log_p_BTK = log_p_NK[places_BT].to(self.device)
            features_BTF = features_NF[places_BT].to(self.device)
        log_gates_BTG = self._log_gates(hidden_BTD.detach(), features_BTF)
        log_counts_BT = torch.logsumexp(log_gates_BTG[..., :-1] + log_p_BTK, dim=-1)
        gates_BT = -torch.logaddexp(log_counts_BT, log_gates_BTG[..., -1] - network_BT.detach())
        mixture_BT = -torch.logaddexp(
            log_counts_BT.detach(), log_gates_BTG[..., -1].detach() - network_BT
        )
        learned_BT = torch.lerp(mixture_BT, network_BT, self.config.network_share)
        gates_learn_BT = (places_BT // PIECE_TOKENS % PIECES == 0).to(self.device)
        return torch.where(gates_learn_BT, gates_BT, learned_BT)

    # Inference

    def forward(self, ids_BT: Tensor) -> Tensor:
        """See `LanguageModel.forward`."""
        return self._mix(ids_BT, self.fresh_state(len(ids_BT)))

    def fresh_state(self, batch_size: int) -> MixedState:
        """See `LanguageModel.fresh_state`."""
        config, device = self.config, self.device
        rows_BK = torch.full((batch_size, config.count_tokens - 1), NOT_SEEN, device=device)
        ids_BW = torch.full((batch_size, config.document_window), NO_TOKEN, device=device)
        return MixedState(self.network.fresh_state(batch_size), rows_BK, ids_BW)

    @torch.no_grad()
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """See `LanguageModel.advance`."""
        assert isinstance(state, MixedState)
        return self._mix(ids_BT, state)

    def _mix(self, ids_BT: Tensor, state: MixedState) -> Tensor:
        """Logits (B, T, V); updates `state`."""
        hidden_BTD = self.network.read(ids_BT, state.network)
        network_NV = self.network.output(hidden_BTD).flatten(0, 1).float().softmax(dim=1)
        single_V, _ = self._count_tables()
        lengths, gates_NG = self._looked_up(ids_BT, hidden_BTD, state)
        p_NV = gates_NG[:, -1:] * network_NV
        p_M = p_NV.view(-1)
        factor_N = torch.zeros_like(gates_NG[:, 0])
        for k, length in reversed(list(enumerate(lengths, start=1))):
            factor_N = gates_NG[:, k] + factor_N
            at_E = length.places_E // self.vocab_size
            p_M.index_add_(0, length.places_E, length.probabilities_E * factor_N[at_E])
            factor_N = length.rests_N * factor_N
        p_NV.addr_(gates_NG[:, 0] + factor_N, single_V)
        return p_NV.log_().view(*ids_BT.shape, self.vocab_size)

    def _looked_up(
        self, ids_BT: Tensor, hidden_BTD: Tensor, state: MixedState
    ) -> tuple[list[Successors], Tensor]:
        """What follows the context of each length from 2 on, and the gates (N, G)."""
        _, tables = self._count_tables()
        contexts_KN = self._rows(ids_BT, state)
        lengths = [
            table.after(contexts_N, self.vocab_size)
            for table, contexts_N in zip(tables, contexts_KN, strict=True)
        ]
        read_BS = torch.cat([state.ids_BW, ids_BT], dim=1)
        state.ids_BW = read_BS[:, -self.config.document_window :]
        lengths += document.successors(
            read_BS,
            ids_BT.shape[1],
            self.config.document_tokens,
            self.vocab_size,
            self.config.document_start_id,
        )
        features_NF = _features(
            torch.stack([length.totals_N for length in lengths], dim=-1),
            torch.stack([length.rests_N for length in lengths], dim=-1),
        )
        return lengths, self._log_gates(hidden_BTD.flatten(0, 1), features_NF).exp()

    def mixing(self, ids_T: Tensor) -> Mixing:
        """What is mixed at each token of one sequence, from a fresh state."""
        ids_1T, state = ids_T[None], self.fresh_state(1)
        hidden_1TD = self.network.read(ids_1T, state.network)
        lengths, gates_TG = self._looked_up(ids_1T, hidden_1TD, state)
        training = lengths[: self.config.count_tokens - 1]
        return Mixing(
            network_TV=self.network.output(hidden_1TD)[0].float().softmax(dim=1),
            gates_TG=gates_TG,
            totals_TK=torch.stack([length.totals_N for length in training], dim=-1),
        )

    def units(self) -> Sequence[nn.Module]:
        """See `LanguageModel.units`."""
        return self.network.units()

    def parts(self) -> dict[str, LanguageModel]:
        """See `LanguageModel.parts`."""
        levels = [counts.level() for counts in self._counts]
        order = self.config.count_tokens
        counts = KneserNey(levels, self.config.document_start_id, order)
        return {"network": self.network, "counts": counts}

    def _rows(self, ids_BT: Tensor, state: MixedState) -> list[Tensor]:
        """Rows of the n-grams of 1, 2, … K - 1 tokens that end at each token, (N,) each."""
        rows_BT, found = ids_BT, [ids_BT]
        for k, counts in enumerate(self._counts[1:-1]):
            contexts_BT = torch.cat([state.rows_BK[:, k, None], rows_BT[:, :-1]], dim=1)
            keys_BT = torch.where(
                contexts_BT == NOT_SEEN, NOT_SEEN, contexts_BT * self.vocab_size + ids_BT
            )
            places_BT = torch.searchsorted(counts.keys_E, keys_BT)
            places_BT = places_BT.clamp_max(len(counts.keys_E) - 1)
            rows_BT = torch.where(counts.keys_E[places_BT] == keys_BT, places_BT, NOT_SEEN)
            found.append(rows_BT)
        state.rows_BK = torch.stack([rows_BT[:, -1] for rows_BT in found], dim=1)
        return [rows_BT.flatten() for rows_BT in found]

    def _log_gates(self, hidden_XD: Tensor, features_XF: Tensor) -> Tensor:
        """log g, (X, G): lengths from 1 on, then the network."""
        counts_XG = self.counts_out(torch.tanh(self.counts_in(features_XF)))
        return functional.log_softmax((self.gate(hidden_XD) + counts_XG).float(), dim=-1)

    def _count_tables(self) -> tuple[Tensor, list[CountTable]]:
        """Unigram probabilities (V,), and the tables of the lengths from 2 on."""
        if self._tables is None or self._tables[0].device != self.device:
            levels = [counts.level() for counts in self._counts]
            single_V = torch.from_numpy(single_tokens(levels[0], self.config.document_start_id))
            self._tables = (
                single_V.float().to(self.device),
                [CountTable.of(levels, k, self.device) for k in range(2, len(levels) + 1)],
            )
        return self._tables

    # Cost

    def forward_flops_per_token(self, context_tokens: int) -> float:
        """See `LanguageModel.forward_flops_per_token`; counts are look-ups."""
        linear = (self.gate, self.counts_in, self.counts_out)
        gates = sum(2.0 * layer.in_features * layer.out_features for layer in linear)
        return self.network.forward_flops_per_token(context_tokens) + gates

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """See `LanguageModel.saved_bytes`: the network's, and what the gates save."""
        network = self.network.saved_bytes(window_tokens, setting)
        K, width = self.config.lengths, self.config.gate_width
        gates = 4 * (2 * (K - 1) + 2 * width + 4 * (K + 1) + 2)
        return replace(network, per_sequence=network.per_sequence + window_tokens * gates)


def _features(totals_XK: Tensor, rests_XK: Tensor) -> Tensor:
    """Gate inputs from the counts: (X, 2 (K - 1))."""
    return torch.cat([totals_XK.log1p() * LOG_TOTAL_SCALE, rests_XK], dim=-1)
