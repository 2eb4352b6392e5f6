"""Where things lie in a run's folder, and what each file is called.

runs/2026-11-23-v5-laptop-3fa9c1/
  spec.toml  record.json  env.json  data.json  tokenizer/
  metrics.jsonl  metrics.csv  tensorboard/
  checkpoints/  samples/  evaluation/  cost.json  README.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one run."""

    path: Path

    @property
    def spec(self) -> Path:
        """The resolved spec."""
        return self.path / "spec.toml"

    @property
    def record(self) -> Path:
        """Status, identity and totals."""
        return self.path / "record.json"

    @property
    def lock(self) -> Path:
        """Held by the process that trains the run: see `escada.files.exclusive`."""
        return self.path / ".training.lock"

    @property
    def environment(self) -> Path:
        """Versions and machine."""
        return self.path / "env.json"

    @property
    def data(self) -> Path:
        """Hashes of the corpus, the tokenizer and the shards."""
        return self.path / "data.json"

    @property
    def tokenizer(self) -> Path:
        """The tokenizer's folder."""
        return self.path / "tokenizer"

    @property
    def metrics(self) -> Path:
        """One JSON object a line; the CSV beside it holds the same rows."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """Event files."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Weights and training states."""
        return self.path / "checkpoints"

    @property
    def samples(self) -> Path:
        """The texts that the run wrote for the default prompts."""
        return self.path / "samples" / "samples.json"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "README.md"

    @property
    def cost(self) -> Path:
        """What the training cost."""
        return self.path / "cost.json"

    def evaluation(self, split: str) -> Path:
        """The ruler's figures on a split."""
        return self.path / "evaluation" / f"{split}.json"

    def document_scores(self, split: str) -> Path:
        """The ruler's sums, one line a document."""
        return self.path / "evaluation" / f"{split}-documents.jsonl"
