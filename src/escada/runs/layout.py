"""Where things lie in a run's folder, and what each file is called.

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
"""What can be done about a file of a run that is damaged."""


def read_whole(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """A JSON object of a run that must have these keys.

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
        """The resolved spec."""
        self.record = path / "record.json"
        """Status, identity and totals: see `escada.runs.record`."""
        self.lock = path / ".training.lock"
        """Held by the process that trains the run: see `escada.files.exclusive`."""
        self.environment = path / "env.json"
        """Versions and machine."""
        self.data = path / "data.json"
        """Hashes of the corpus, the tokenizer and the shards."""
        self.tokenizer = path / "tokenizer"
        self.metrics = path / "metrics.jsonl"
        """One JSON object a line; the CSV beside it holds the same rows."""
        self.tensorboard = path / "tensorboard"
        self.checkpoints = path / "checkpoints"
        """Weights and training states."""
        self.samples = path / "samples" / "samples.json"
        """The texts that the run wrote for the default prompts."""
        self.card = path / "README.md"
        self.cost = path / "cost.json"

    def evaluation(self, split: str) -> Path:
        """The ruler's figures on a split, or a task's of that name."""
        return self.path / "evaluation" / f"{split}.json"

    def document_scores(self, split: str) -> Path:
        """The ruler's sums, one line a document."""
        return self.path / "evaluation" / f"{split}-documents.jsonl"
