"""A training as `escada train` makes it, without a run's folder: only its steps are of interest."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from escada.models.contract import LanguageModel, build_model
from escada.spec import Spec
from escada.text.batches import WindowBatches
from escada.text.shards import TokenStream
from escada.training.distributed import ALONE
from escada.training.loop import Training
from escada.training.memory import keep_freed_memory
from escada.training.setup import resolve_setup

MANY_STEPS = 1_000_000
"""The schedule's length where nobody trains to its end."""


def training_of(
    spec: Spec,
    stream: TokenStream,
    device: torch.device,
    *,
    total_steps: int = MANY_STEPS,
    seed: int = 0,
) -> Training:
    """A training at its first step, with the precision and compilation that the spec asks for."""
    batches = WindowBatches(
        stream,
        window_tokens=spec.train.window_tokens,
        stride_tokens=spec.train.stride_tokens,
        batch_sequences=spec.train.batch_sequences,
        seed=seed,
        objective=spec.train.objective,
    )
    model: LanguageModel = build_model(spec.model, stream.vocab_size, seed).to(device)
    keep_freed_memory(large_too=True)
    # All that a step asks of a run.
    run: Any = SimpleNamespace(spec=spec, seed=seed, path=Path("benchmark"))
    return Training(
        run, model, batches, resolve_setup(spec, device, ALONE), total_steps=total_steps
    )
