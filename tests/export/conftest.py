"""Runs of every shape, with weights that nobody trained, and who may read their exports.

What needs another library is marked slow, and skipped where the library is not installed: `make
test-export` makes an environment that has them all.
"""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import torch

from escada.models.contract import build_model
from escada.runs.checkpoint import Checkpoint, save_checkpoint, weights_of
from escada.runs.run import Run, create_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.text.tokenizers import Tokenizer, train_tokenizer

TRANSFORMER = ["d_model=24", "n_heads=3", "d_ff=40", "n_layers=2", "context_tokens=48"]
RECORDED = {
    "dry_run": False,
    "precision": {"name": "fp32"},
    "setup": {
        "device": "cpu",
        "threads": 1,
        "precision": "fp32",
        "micro_batch_sequences": 1,
        "torch": "2.13.0",
        "cpu_capability": "AVX2",
    },
}
MODERN = ["d_model=16", "d_ff=24", "n_layers=2"]
RECURRENT = ["d_embedding=12", "d_hidden=20"]
SHAPES = {
    "v1": ("v1", RECURRENT),
    "v3": ("v3", [*RECURRENT, "n_layers=3", "layer_norm=true", "residual=true"]),
    "tied": ("v4", [*RECURRENT, "n_layers=2", "tie_embeddings=true"]),
    "v4": ("v4", [*RECURRENT, "n_layers=2"]),
    "gru": ("v4_gru", [*RECURRENT, "n_layers=2", "residual=true"]),
    "v5": ("v5", TRANSFORMER),
    "v_final": ("v_final", TRANSFORMER),
    "untied": ("v_final", [*TRANSFORMER, "tie_embeddings=false"]),
    "v_next": ("v_next", [*MODERN, "table_rows=53"]),
    "bare": (
        "v_next",
        [*MODERN, "convolution_tokens=1", "table_ngrams=[]", "value_embedding=false"],
    ),
}
"""Rung and overrides of each run."""
GPT2 = ("v5", "v_final", "untied")
STATEFUL = tuple(name for name in SHAPES if name not in GPT2)


def needs(*libraries: str) -> pytest.MarkDecorator:
    """Skip where a library is missing."""
    missing = [name for name in libraries if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(
        bool(missing), reason=f"needs {', '.join(missing)}: run `make test-export`"
    )


class Runs:
    """Makes a run when it is first asked for."""

    def __init__(self, folder: Path, corpus: Corpus, corpus_path: Path) -> None:
        self.folder, self.corpus, self.corpus_path = folder, corpus, corpus_path
        self._made: dict[str, Run] = {}
        self._tokenizers: dict[str, Tokenizer] = {}

    def __call__(self, name: str) -> Run:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def tokenizer(self, kind: str) -> Tokenizer:
        if kind not in self._tokenizers:
            spec = load_spec("v4", preset="laptop").tokenizer
            spec = spec.model_copy(update={"kind": kind, "vocab_size": 400})
            texts = [document.text for document in self.corpus.documents("train")]
            self._tokenizers[kind] = train_tokenizer(spec, texts)
        return self._tokenizers[kind]

    def _make(self, name: str) -> Run:
        rung, overrides = SHAPES[name]
        model_overrides = [f"model.{override}" for override in overrides]
        spec = load_spec(
            rung, preset="laptop", overrides=[*model_overrides, "train.window_tokens=48"]
        )
        tokenizer = self.tokenizer("characters" if rung in ("v1", "v3") else "bpe")
        data = {"path": str(self.corpus_path), "corpus_hash": self.corpus.hash}
        run = create_run(
            self.folder,
            spec,
            tokenizer,
            seed=7,
            key=name.ljust(6, "0"),
            data=data,
            recorded=RECORDED,
        )
        model = build_model(spec.model, tokenizer.vocab_size, seed=7)
        torch.manual_seed(7)
        with torch.no_grad():  # biases and norms too: fresh ones are 0 and 1, and would hide a slip
            for parameter in model.parameters():
                parameter += (
                    0.1 * parameter.std(correction=0).clamp(min=0.5) * (torch.randn_like(parameter))
                )
        checkpoint = Checkpoint(
            step=1, weights=weights_of(model), training={}, scalars={}, spec_hash=spec.hash
        )
        save_checkpoint(run.layout.checkpoints, checkpoint, best=True)
        return run


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, corpus_path: Path) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"), Corpus.open(corpus_path), corpus_path)


AWKWARD = [
    "",
    " ",
    "  dois  espaços  ",
    "\n\nlinhas\n\n\nvazias\n",
    "\tguia\t",
    "👍🏽🎉 e 日本 ≠ ▁ a▁b ▁c",
    "e\u0301 é ﬁ \0 \ufeff \u2028",
    "<s>três</s> <unk> <bos> <0x41> \ufffd",
    "x" * 2500 + " " + "y" * 1999 + "\n" + "z" * 1001,
    "é" * 1500 + "▁" + "a" * 3000,
    "O carteiro perdeu o mapa da cidade.",
]
"""Texts that tokenizers trip over."""


def run_python_of(card):
    """Run the one block of Python of a card."""
    (block,) = re.findall(r"```python\n(.*?)```", card.read_text(encoding="utf-8"), re.DOTALL)
    found = {}
    exec(block.replace("max_new_tokens=60", "max_new_tokens=8"), found)
    return found


def greedy_of_ours(run, ids, tokens):
    """The most probable text tokens, one at a time, by `advance`."""
    model, tokenizer = run.load_model(), run.tokenizer
    state = model.fresh_state(1)
    logits = model.advance(torch.tensor([ids]), state)[0, -1]
    found = []
    while len(found) < tokens and tokenizer.eos_id not in found:
        logits[tokenizer.bos_id] = -torch.inf
        if tokenizer.unk_id is not None:
            logits[tokenizer.unk_id] = -torch.inf
        found.append(int(logits.argmax()))
        logits = model.advance(torch.tensor([[found[-1]]]), state)[0, -1]
    return found
