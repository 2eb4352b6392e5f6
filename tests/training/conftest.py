"""Small trainings, and one that is stopped at a step."""

from __future__ import annotations

from pathlib import Path

import pytest

from escada.budget import Budget
from escada.files import sha256_file
from escada.runs.checkpoint import checkpoint_path
from escada.runs.run import Run, open_run
from escada.spec import load_spec
from escada.text.corpus import Corpus
from escada.training import loop
from escada.training.loop import Interrupted
from escada.training.run import start

SIZES = ("model.d_hidden=8", "model.d_embedding=4", "train.batch_sequences=2")
SMALL = [
    *SIZES,
    "train.schedule=constant",
    "train.warmup=0 %",
    "train.window_tokens=16",
    "train.validations=2",
    "train.validation_bytes=500",
]


def spec_of(rung: str, steps: int, *overrides: str):
    spec = load_spec(rung, preset="laptop", overrides=[*SMALL, *overrides])
    return spec.with_budget(Budget.parse(f"{steps} steps"))


def train_until(corpus_path: Path, out: Path, monkeypatch, steps: int, spec=None) -> Run:
    step = loop.Training.step

    def stopping(self: loop.Training) -> None:
        if self.state.step == steps:
            raise Interrupted(self.run.path)
        step(self)
        if self.state.step == steps:
            self._save(best=False)

    corpus = Corpus.open(corpus_path)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Training, "step", stopping)
        with pytest.raises(Interrupted) as stop:
            start(spec or spec_of("v1", 8), corpus, out, device="cpu")
    return open_run(stop.value.path)


def last_hashes(run: Run) -> list[str]:
    """Of the last weights, and of the optimizer's state beside them."""
    last = checkpoint_path(run.layout.checkpoints, "last")
    return [sha256_file(last / f"{name}.safetensors") for name in ("model", "training")]
