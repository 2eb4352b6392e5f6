"""Small models whose inside is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from escada.inside.cells import own_text
from escada.models import modern_counts, recurrent, transformer
from escada.models.contract import build_model
from escada.models.layers import CausalSelfAttention, RecurrentLayer
from escada.text.tokenizers.characters import CharacterTokenizer

TEXTS = [own_text(), "“Bom dia”, disse Ana (a médica). «Chove?», perguntou o João."] * 3


@pytest.fixture(scope="session")
def characters() -> CharacterTokenizer:
    return CharacterTokenizer.train(TEXTS)


def lstm(tokenizer, **values: Any) -> recurrent.Model:
    sizes: dict[str, Any] = {"d_embedding": 8, "d_hidden": 12, "n_layers": 2, **values}
    config = recurrent.Config(kind="recurrent", **sizes)
    model = build_model(config, tokenizer.vocab_size, seed=3)
    assert isinstance(model, recurrent.Model)
    return model.eval()


def gpt(vocab_size: int, **values: Any) -> transformer.Model:
    sizes: dict[str, Any] = {"context_tokens": 64, "d_model": 128, "n_heads": 2, "d_ff": 8}
    config = transformer.Config(
        kind="transformer", n_layers=2, positions="learned", **{**sizes, **values}
    )
    model = build_model(config, vocab_size, seed=4)
    assert isinstance(model, transformer.Model)
    return model.eval()


@torch.no_grad()
def with_quote_cell(tokenizer: CharacterTokenizer, layer: int, cell: int) -> recurrent.Model:
    """An LSTM whose other cells are random, and one opens at “ and closes at ”."""
    model = lstm(tokenizer, n_layers=1)
    opening, closing = tokenizer.encode("“”").tolist()
    model.embedding.weight[:, :2] = 0
    model.embedding.weight[opening, :2] = torch.tensor([10.0, 10.0]) / model.input_scale
    model.embedding.weight[closing, :2] = torch.tensor([10.0, -10.0]) / model.input_scale
    found = model.layers[layer]
    assert isinstance(found, RecurrentLayer)
    w_ih, w_hh, b_ih, b_hh = found.cell.parameters()
    H = w_hh.shape[1]
    w_ih[:, :2] = 0
    w_hh[:, cell] = 0  # the others do not read it
    for gate, weights, bias in (
        (0, [2.0, 0.0], -10.0),  # written at a quotation mark
        (1, [-2.0, 0.0], 10.0),  # kept otherwise
        (2, [0.0, 2.0], 0.0),  # +1 at an opening one, -1 at a closing one
        (3, [0.0, 0.0], 5.0),
    ):
        row = gate * H + cell
        w_ih[row] = torch.tensor([*weights, *[0.0] * 6])
        w_hh[row] = 0
        b_ih[row], b_hh[row] = bias, 0.0
    return model


@torch.no_grad()
def with_induction_head(vocab_size: int) -> transformer.Model:
    """Head (0, 0) looks at the previous token, head (1, 1) at what followed the same one.

    Of the 128 numbers of the stream 0 to 31 are the token, 32 to 95 its position, 96 to 127 what
    head (0, 0) wrote: the token before. All other heads look at everything alike.
    """
    assert vocab_size <= 32
    model = gpt(vocab_size)
    model.embedding.weight.zero_()
    model.embedding.weight[:, :vocab_size] = torch.eye(vocab_size)
    assert isinstance(model.positions, nn.Embedding)
    model.positions.weight.zero_()
    model.positions.weight[:, 32:96] = torch.eye(64)
    for block in model.blocks:
        attention = block.attention
        assert isinstance(attention, CausalSelfAttention)
        for part in (attention.qkv, attention.out, block.ff.up, block.ff.down):
            part.weight.zero_()
            part.bias.zero_()
    first, second = (block.attention for block in model.blocks)
    q, k, v = first.qkv.weight.view(3, 2, 64, 128)[:, 0]
    q[torch.arange(64), torch.arange(32, 96)] = 5  # the position
    k[torch.arange(1, 64), torch.arange(32, 95)] = 5  # the position after it
    v[torch.arange(32), torch.arange(32)] = 1
    first.out.weight[torch.arange(96, 128), torch.arange(32)] = 20
    q, k, _ = second.qkv.weight.view(3, 2, 64, 128)[:, 1]
    q[torch.arange(32), torch.arange(32)] = 20
    k[torch.arange(32), torch.arange(96, 128)] = 20
    return model


@pytest.fixture(scope="session")
def mixture(characters) -> modern_counts.Model:
    return new_mixture(characters)


def new_mixture(characters: CharacterTokenizer) -> modern_counts.Model:
    """A mixture that has read a text, with gates that differ by place."""
    config = modern_counts.Config(
        kind="modern_counts",
        document_start_id=characters.bos_id,
        d_model=8,
        d_ff=16,
        n_layers=1,
        table_rows=64,
        count_tokens=4,
        gate_width=4,
    )
    model = build_model(config, characters.vocab_size, seed=0)
    assert isinstance(model, modern_counts.Model)
    parts = [
        [characters.bos_id, *characters.encode(text).tolist(), characters.eos_id] for text in TEXTS
    ]
    groups = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    model.read_training_text(np.concatenate(parts).astype(np.int64), groups)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(1))
    return model.eval()
