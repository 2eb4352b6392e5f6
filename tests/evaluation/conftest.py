"""Small models and tokenizers of every kind, and documents that are awkward to measure."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from escada.evaluation.ruler import DocumentScores
from escada.models import recurrent, transformer
from escada.models.contract import LanguageModel, build_model
from escada.spec import TokenizerSpec
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer, train_tokenizer

TRAINING_TEXTS = [
    "O vento levou o chapéu do carteiro até a margem do rio.",
    "A menina correu, mas o chapéu já descia a corrente.\n\nNinguém o viu mais.",
    "— E agora? — perguntou o carteiro.\n— Agora compra-se outro, custa 30 reais.",
    "Choveu três dias; no quarto, o sol voltou e a roupa secou no varal.",
] * 4

TEXTS = [
    "",
    "a",
    "O chapéu.",
    "O vento levou a roupa do varal.\nNinguém viu: nem a menina, nem o carteiro.",
    "Preço: 日本 ≠ 30 reais 🙂 — ▁ e  dois espaços",
    "  Texto longo que passa da janela várias vezes. " * 4,
    "O rio.",
]

CONFIGS = {
    "lstm": recurrent.Config(
        kind="recurrent",
        cell="lstm",
        d_embedding=12,
        d_hidden=20,
        n_layers=2,
        dropout=0.5,
        recurrent_dropout=0.3,
        layer_norm=True,
    ),
    "gru": recurrent.Config(kind="recurrent", cell="gru", d_embedding=12, d_hidden=20),
    "sinusoidal": transformer.Config(
        kind="transformer",
        context_tokens=16,
        d_model=24,
        n_heads=3,
        d_ff=48,
        n_layers=2,
        positions="sinusoidal",
        dropout=0.5,
        attention_dropout=0.5,
    ),
    "learned": transformer.Config(
        kind="transformer",
        context_tokens=9,
        d_model=24,
        n_heads=2,
        d_ff=48,
        n_layers=1,
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


@pytest.fixture(scope="session")
def tokenizers() -> dict[str, Tokenizer]:
    specs = {
        "characters": TokenizerSpec(kind="characters"),
        "bytes": TokenizerSpec(kind="bytes"),
        "bpe": TokenizerSpec(kind="bpe", vocab_size=320),
        "unigram": TokenizerSpec(kind="unigram", vocab_size=310),
    }
    return {kind: train_tokenizer(spec, TRAINING_TEXTS) for kind, spec in specs.items()}


@pytest.fixture
def documents() -> list[Document]:
    return [
        Document(id=f"d{i}", source="abc"[i % 3], group=f"g{i // 2}", text=text)
        for i, text in enumerate(TEXTS)
    ]


def make_scores(nats, n_bytes, groups=None, sources=None) -> DocumentScores:
    n = len(nats)
    return DocumentScores(
        ids=[f"d{i}" for i in range(n)],
        sources=list(sources or ["s"] * n),
        groups=list(groups or [f"g{i}" for i in range(n)]),
        nats=np.array(nats, dtype=np.float64),
        bytes=np.array(n_bytes, dtype=np.int64),
        tokens=np.array(n_bytes, dtype=np.int64) + 1,
        correct=np.zeros(n, dtype=np.int64),
        unknown=np.zeros(n, dtype=np.int64),
        protocol="document/carried-state",
        context_tokens=None,
        seconds=1.0,
    )


@pytest.fixture
def scores_of() -> Callable[..., DocumentScores]:
    return make_scores
