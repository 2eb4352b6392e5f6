"""Small models for decoding: the real architectures, and a table that is a language model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from escada.models import recurrent, transformer
from escada.models.contract import LanguageModel, build_model


@dataclass
class NoState:
    batch_size: int

    def select(self, rows):
        return NoState(len(rows))

    @classmethod
    def concatenate(cls, states):
        return cls(sum(state.batch_size for state in states))


class TableModel(LanguageModel):
    """A bigram model: the logits of the next token are a row of its table (V, V)."""

    context_tokens = None

    def __init__(self, table_VV: torch.Tensor) -> None:
        super().__init__()
        self.table = torch.nn.Parameter(table_VV.float())
        self.vocab_size = len(table_VV)

    def forward(self, ids_BT):
        return self.table[ids_BT]

    def fresh_state(self, batch_size):
        return NoState(batch_size)

    def advance(self, ids_BT, state):
        assert state.batch_size == len(ids_BT)
        return self.table[ids_BT]

    def forward_flops_per_token(self, context_tokens):
        return 0.0


CONFIGS = {
    "lstm": recurrent.Config(
        kind="recurrent",
        cell="lstm",
        d_embedding=12,
        d_hidden=24,
        n_layers=2,
        dropout=0.3,
        recurrent_dropout=0.3,
        layer_norm=True,
        residual=True,
    ),
    "gru": recurrent.Config(kind="recurrent", cell="gru", d_embedding=12, d_hidden=24),
    "sinusoidal": transformer.Config(
        kind="transformer",
        context_tokens=16,
        d_model=24,
        n_heads=3,
        d_ff=48,
        n_layers=2,
        positions="sinusoidal",
        dropout=0.3,
        attention_dropout=0.3,
    ),
    "learned": transformer.Config(
        kind="transformer",
        context_tokens=7,
        d_model=24,
        n_heads=2,
        d_ff=48,
        n_layers=2,
        positions="learned",
    ),
}


def tiny_model(name: str, vocab_size: int, seed: int = 0) -> LanguageModel:
    """An untrained model with an opinion: its output matrix is scaled until logits differ by 2."""
    model = build_model(CONFIGS[name], vocab_size, seed).eval()
    with torch.no_grad():
        spread = model(torch.arange(vocab_size)[:, None]).std(dim=-1).mean()
        model.output.weight.mul_(2 / spread)
    return model.train()


@pytest.fixture
def tiny() -> Callable[..., LanguageModel]:
    return tiny_model


@pytest.fixture
def table_model() -> type[TableModel]:
    return TableModel
