"""Whether the training step is compiled (`torch.compile`), and why.

Only the training's forward and backward pass are compiled. Evaluation, decoding and checkpoints use
the plain model, with unchanged parameter names. Measurements: docs/decisions/0007.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import nn

from escada.errors import EscadaError
from escada.spec import MODELS, Spec

SHORTEST_BUDGET_SECONDS = 600.0
"""Shortest time budget for which `auto` compiles; compiling takes most of a minute."""


@dataclass(frozen=True, slots=True)
class ResolvedCompile:
    """Whether to compile and the reason, recorded in the run."""

    on: bool
    reason: str

    def apply(self, module: nn.Module) -> nn.Module:
        """The module, compiled if `on`; weights are shared with the original."""
        if not self.on:
            return module
        compiled = torch.compile(module, dynamic=False)
        assert isinstance(compiled, nn.Module)
        return compiled


def resolve_compile(spec: Spec, device: torch.device, *, dry_run: bool = False) -> ResolvedCompile:
    """Resolve `train.compile` for this model and device."""
    wanted, budget = spec.train.compile, spec.train.budget
    if wanted != "auto":
        return ResolvedCompile(wanted, "asked for")
    if device.type != "cuda":
        return ResolvedCompile(False, f"auto: on a {device.type} only when asked for")
    if reason := getattr(MODELS.load(spec.model.kind), "SLOW_COMPILED", None):
        return ResolvedCompile(False, f"auto: {reason}")
    if dry_run or (budget.unit == "seconds" and budget.amount < SHORTEST_BUDGET_SECONDS):
        return ResolvedCompile(False, "auto: too short a training to pay for compiling")
    if importlib.util.find_spec("triton") is None:
        return ResolvedCompile(False, "auto: triton is not installed")
    if torch.cuda.get_device_capability(device) < (7, 0):
        return ResolvedCompile(False, "auto: triton needs compute capability 7.0")
    return ResolvedCompile(True, "auto: fewer and larger kernels on a GPU")


@contextlib.contextmanager
def compile_errors() -> Generator[None]:
    """Turn a failed compilation into an `EscadaError` that names the workaround."""
    try:
        yield
    except RuntimeError as error:
        # torch has no common base class for these; all come from its compiler packages.
        if not type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise EscadaError(
            f"the model could not be compiled: {lines[0] if lines else type(error).__name__}",
            where="train.compile",
            fix="train without: --set train.compile=false",
        ) from error
