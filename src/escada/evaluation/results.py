"""When a result about a run need not be made again: its key, and whether it is there.

A result carries a key: a hash of the weights, of what it was made from and of the code that made
it.
"""

from __future__ import annotations

from pathlib import Path

from escada.code_hash import code_hash
from escada.files import content_hash, read_json
from escada.runs.checkpoint import Which, checkpoint_path
from escada.runs.layout import read_whole
from escada.runs.run import Run
from escada.spec import model_module

MEASURES = tuple(
    f"escada.{name}"
    for name in ("evaluation", "guardrails", "judge", "generation", "models", "text")
)
"""Where the code lies that figures depend on."""
MAKES_DOCUMENTS = tuple(
    f"escada.text.{name}"
    for name in ("corpus", "sources", "reading", "dedup", "splitting", "decontamination", "tables")
)
"""Code whose work the hash of the documents stands for."""


def result_key(run: Run, which: Which, module: str, **of: object) -> str:
    """Hash of the weights, of `of`, and of the code that makes the result.

    Args:
        run: with a checkpoint.
        which: of its checkpoints.
        module: name of the one that makes the result; its code counts, and what it imports.
        of: JSON values that the result depends on: hashes of documents, settings.
    """
    model = model_module(run.spec.model.kind).__name__
    return content_hash(
        {
            "weights": weights_hash(run, which),
            "tokenizer": run.tokenizer.hash,
            "context_tokens": ruler_context(run),
            "code": code_hash(module, model, within=MEASURES, without=MAKES_DOCUMENTS),
            **of,
        }
    )


def weights_hash(run: Run, which: Which) -> str:
    """SHA-256 of a checkpoint's weights, as it was when they were written."""
    folder = checkpoint_path(run.layout.checkpoints, which)
    return str(read_whole(folder / "checkpoint.json", ("sha256",))["sha256"]["model.safetensors"])


def is_done(path: Path, key: str) -> bool:
    """Whether the result with that key lies at `path`."""
    return path.exists() and read_json(path).get("key") == key


def ruler_context(run: Run) -> int:
    """The window that the ruler slides over documents for a model without a state."""
    return run.spec.evaluation.context_tokens or run.spec.train.window_tokens
