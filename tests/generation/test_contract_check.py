"""A model that breaks its contract is told so before its first step, in one line."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import torch

from escada.errors import EscadaError
from escada.extensions import trust
from escada.generation.contract_check import check_contract
from escada.spec import MODELS, load_spec, rung_names

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-rung.md"
V = 70

SUMS = '''
"""The mean of all embeddings up to a token: the least model whose state matters."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from escada.models.contract import LanguageModel
from escada.spec import ModelConfig


class Config(ModelConfig):
    d: int = 16


@dataclass
class State:
    sums_BD: torch.Tensor
    read: torch.Tensor

    @property
    def batch_size(self):
        return len(self.read)

    def select(self, rows):
        return State(self.sums_BD[rows], self.read[rows])

    @classmethod
    def concatenate(cls, states):
        return cls(torch.cat([s.sums_BD for s in states]), torch.cat([s.read for s in states]))


class Model(LanguageModel):
    def __init__(self, config, vocab_size):
        super().__init__()
        self.d, self.vocab_size, self.context_tokens = config.d, vocab_size, None
        self.embedding = nn.Embedding(vocab_size, config.d)
        self.output = nn.Linear(config.d, vocab_size)

    def forward(self, ids_BT):
        return self._read(ids_BT, self.fresh_state(len(ids_BT)))

    def fresh_state(self, batch_size):
        weight = self.output.weight  # where decoding packs it, too
        return State(weight.new_zeros(batch_size, self.d), weight.new_zeros(batch_size, 1))

    @torch.no_grad()
    def advance(self, ids_BT, state):
        return self._read(ids_BT, state)

    def _read(self, ids_BT, state):
        x_BTD = torch.tanh(self.embedding(ids_BT))
        sums_BTD = state.sums_BD[:, None] + x_BTD.cumsum(1)
        counts_BT = state.read + 1 + torch.arange(ids_BT.shape[1], device=ids_BT.device)
        state.sums_BD, state.read = sums_BTD[:, -1], counts_BT[:, -1:]
        return self.output(sums_BTD / counts_BT.sqrt()[..., None])

    def forward_flops_per_token(self, context_tokens):
        return 2.0 * self.d * self.vocab_size
'''

BROKEN = {
    "no Model of ours": (
        "class Model(LanguageModel)",
        "class Model(nn.Module)",
        "no LanguageModel",
    ),
    "a method is missing": ("def fresh_state", "def fresh_stat", "lacks fresh_state"),
    "vocab_size": ("self.vocab_size, ", "self.vocab, ", "vocab_size is not set"),
    "context_tokens": (", self.context_tokens =", ", self.context =", "context_tokens is not set"),
    "forward's shape": (
        "return self._read(ids_BT, self.fresh_state(len(ids_BT)))",
        "return self._read(ids_BT, self.fresh_state(len(ids_BT)))[:, -1]",
        "forward gives (3, 70) for ids (3, 16)",
    ),
    "half precision": ("[..., None])\n", "[..., None]).half()\n", "forward gives torch.float16"),
    "it looks ahead": ("x_BTD.cumsum(1)", "x_BTD.flip(1).cumsum(1).flip(1)", "looks ahead"),
    "rows mixed": (
        "x_BTD = torch.tanh(self.embedding(ids_BT))",
        "x_BTD = self.embedding(ids_BT); x_BTD = torch.tanh(x_BTD - x_BTD.mean(0))",
        "mixes rows",
    ),
    "dropout always on": ("torch.tanh(self.", "functional.dropout(self.", "the second time"),
    "not finite": ("counts_BT.sqrt()", "(counts_BT - 1).sqrt()", "not finite"),
    "a parameter forgotten": (
        "self.d, self.vocab_size,",
        "self.gain = nn.Parameter(torch.ones(3)); self.d, self.vocab_size,",
        "no gradient reaches gain",
    ),
    "detached": (
        "torch.tanh(self.embedding(ids_BT))",
        "torch.tanh(self.embedding(ids_BT)).detach()",
        "no gradient reaches embedding.weight",
    ),
    "advance forgets": (
        "sums_BTD[:, -1], counts",
        "state.sums_BD, counts",
        "advance gives other logits than forward",
    ),
    "advance raises": (
        "        return self._read(ids_BT, state)\n\n",
        "        return self.nothing\n\n",
        "advance fails with AttributeError",
    ),
    "fresh_state of one row": (
        "weight.new_zeros(batch_size, self.d), weight.new_zeros(batch_size",
        "weight.new_zeros(batch_size, self.d), weight.new_zeros(1",
        "fresh_state gives a state of batch_size 1, not",
    ),
    "select keeps the order": (
        "self.sums_BD[rows]",
        "self.sums_BD[rows.sort()[0]]",
        "after select",
    ),
    "concatenate turns rows": (
        "[s.sums_BD for s in states]",
        "[s.sums_BD for s in states[::-1]]",
        "after concatenate",
    ),
    "concatenate loses rows": (
        "torch.cat([s.read for s in states])",
        "states[0].read",
        "concatenate gives a state of batch_size 1, not 3",
    ),
    "no operations": (
        "return 2.0 * self.d * self.vocab_size",
        "return 0.0",
        "forward_flops_per_token",
    ),
    "packed layers": (
        "weight = self.output.weight",
        "weight = next(p for p in self.output.parameters())",
        "fresh_state with packed layers fails with StopIteration",
    ),
    "last_logits": (
        "    def _read(",
        "    def last_logits(self, ids_BT):\n        return self(ids_BT)[:, 0]\n\n    def _read(",
        "last_logits gives other logits",
    ),
}


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Write a model file and check it."""
    monkeypatch.syspath_prepend(tmp_path)
    number = iter(range(9))

    def check(source: str, **config: object) -> None:
        name = f"tried_{abs(hash((source, next(number))))}"
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.py").write_text(source, encoding="utf-8")
        trust(f"{name}.model")
        module = MODELS.load(f"{name}.model")
        table = {"kind": f"{name}.model"} | config
        check_contract(
            module.Config.model_validate(table), V, window_tokens=16, device=torch.device("cpu")
        )

    return check


@pytest.mark.parametrize("preset", ["laptop"])
@pytest.mark.parametrize("rung", rung_names())
def test_every_rung_keeps_its_contract(rung, preset):
    spec = load_spec(rung, preset=preset)
    before = torch.random.get_rng_state()
    check_contract(
        spec.model, 300, window_tokens=spec.train.window_tokens, device=torch.device("cpu")
    )
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_pages_model_keeps_its_contract(tried):
    page = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    tried(page, d_embedding=64)


def test_a_state_made_on_the_device_of_a_layers_weight_decodes(tried):
    """As the contract once said: "on the device of the weights"."""
    tried(SUMS)


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_promise_is_told_in_one_line(tried, fault):
    right, wrong, said = BROKEN[fault]
    assert right in SUMS
    with pytest.raises(EscadaError) as told:
        tried(SUMS.replace(right, wrong))
    message = str(told.value)
    assert said in message
    assert "tried_" in message  # where
    assert told.value.fix
    assert "\n" not in message


def test_the_line_of_the_model_file_that_failed_is_named(tried):
    with pytest.raises(EscadaError) as told:
        tried(
            SUMS.replace("        return self._read(ids_BT, state)\n\n", "        return 1 / 0\n\n")
        )
    line = next(
        n
        for n, text in enumerate(SUMS.splitlines(), 1)
        if "return self._read(ids_BT, state)" in text
    )
    assert f"model.py:{line}" in str(told.value)


def test_a_window_longer_than_the_models_context_is_told(tried):
    with pytest.raises(EscadaError, match="exceeds the model's context_tokens 8"):
        tried(
            SUMS.replace(
                "self.vocab_size, self.context_tokens = config.d, vocab_size, None",
                "self.vocab_size, self.context_tokens = config.d, vocab_size, 8",
            )
        )
    assert "tried" not in sys.modules
