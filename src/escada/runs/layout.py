"""The files of a run's folder.

runs/2026-11-23-v5-laptop-3fa9c1/
  spec.toml  record.json  env.json  data.json  tokenizer/
  metrics.jsonl  metrics.csv  tensorboard/
  checkpoints/  samples/  evaluation/  cost.json  README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from escada.errors import EscadaError
from escada.files import read_json

RESTORE = "restore it from a copy, or train the run again"
"""Advice for a damaged file of a run."""


def read_whole(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """Read a JSON object of a run that must have these keys.

    Raises:
        EscadaError: missing or damaged.
    """
    table = read_json(path)
    for key in keys:
        if key not in table:
            raise EscadaError(f"damaged: it has no {key!r}", where=path, fix=RESTORE)
    return table


class Layout:
    """The paths of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.toml"
        self.record = path / "record.json"
        self.lock = path / ".training.lock"
        """Held by the process that trains the run: see `escada.locks.exclusive`."""
        self.results = path / "evaluation"
        self.environment = path / "env.json"
        self.data = path / "data.json"
        """Hashes of the corpus, the tokenizer and the shards."""
        self.tokenizer = path / "tokenizer"
        self.metrics = path / "metrics.jsonl"
        """One JSON object per line; metrics.csv has the same rows."""
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / "checkpoints"
        self.samples = path / "samples" / "samples.json"
        """Samples for the default prompts."""
        self.card = path / "README.md"
        self.cost = path / "cost.json"

    def evaluation(self, split: str) -> Path:
        """The ruler's figures on a split, or the results of a task of that name."""
        return self.results / f"{split}.json"

    def document_scores(self, split: str) -> Path:
        """The ruler's sums, one line per document."""
        return self.results / f"{split}-documents.jsonl"
