"""Sharded training: each process keeps its part of the weights, gradients and optimizer state.

    sharding = resolve_sharding(spec, shape, device, world)
    objective = shard(objective, model.units(), device, world)

FSDP2 (`torch.distributed.fsdp.fully_shard`; Zhao et al. 2023, "PyTorch FSDP") gathers the weights
of one unit of the model before its forward and its backward pass and frees them after it, and sums
each gradient to the process that owns its part. The rest of the model (embeddings, logits, last
norm) is one more unit, which stays gathered from the forward to the backward pass. Weights are
gathered in fp32, and autocast narrows them as it does in one process.

Checkpoints hold whole tensors, written by rank 0 (`escada.runs.sharded_tensors`); validation runs
on a whole copy of the model on rank 0. docs/decisions/0024.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from escada.cost.footprint import optimizer_bytes
from escada.errors import EscadaError
from escada.models.activation_memory import FP32_BYTES
from escada.models.contract import LanguageModel
from escada.models.roles import parameter_roles
from escada.runs.checkpoint import load_weights, weights_of
from escada.runs.run import Run
from escada.runs.sharded_tensors import gathered
from escada.spec import OPTIMIZERS, Spec
from escada.training.compilation import ResolvedCompile
from escada.training.distributed import World
from escada.training.precision import ResolvedPrecision

SHARED_ABOVE = 0.5
"""Share of a device's memory: training state above it is sharded by `train.shard = "auto"`. The
rest is for activations, logits and gathered weights."""


@dataclass(frozen=True, slots=True)
class ResolvedSharding:
    """Whether the training state is sharded and the reason, recorded in the run."""

    on: bool
    reason: str


NOT_SHARDED = ResolvedSharding(False, "one process")


def resolve_sharding(
    spec: Spec,
    model: LanguageModel,
    device: torch.device,
    world: World,
    *,
    precision: ResolvedPrecision,
    compiling: ResolvedCompile,
) -> ResolvedSharding:
    """Resolve `train.shard`, the same on every process.

    `auto` depends on the size of the memory, not on how much of it is free, so that a resume on the
    same machines resolves it in the same way.

    Args:
        model: of the spec; may be on the meta device.

    Raises:
        EscadaError: sharding is asked for, and something else in the spec rules it out.
    """
    wanted = spec.train.shard
    if world.size == 1:
        return NOT_SHARDED
    if wanted is False:
        return ResolvedSharding(False, "asked for")
    state = 2 * FP32_BYTES * model.parameter_count() + optimizer_bytes(model, spec.train)
    large = world.from_first(state > SHARED_ABOVE * _memory_bytes(device, world))
    if wanted == "auto" and not large:
        return ResolvedSharding(False, "auto: weights, gradients and optimizer fit each device")
    obstacle = _obstacle(spec, model, precision, compiling)
    if obstacle is None:
        reason = "asked for" if wanted is True else "auto: too large for each device"
        return ResolvedSharding(True, reason)
    if wanted is True:
        what, fix = obstacle
        raise EscadaError(what, where="train.shard", fix=f"{fix}, or set train.shard=false")
    return ResolvedSharding(False, f"auto: {obstacle[0]}")


def _memory_bytes(device: torch.device, world: World) -> float:
    """The memory of a device, for one process."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return psutil.virtual_memory().total / world.local_size


def _obstacle(
    spec: Spec,
    model: LanguageModel,
    precision: ResolvedPrecision,
    compiling: ResolvedCompile,
) -> tuple[str, str] | None:
    """What rules sharding out, and the fix; None if nothing does."""
    optimizer = spec.train.optimizer
    if not getattr(OPTIMIZERS.load(optimizer), "SHARDABLE", False):
        return f"{optimizer} needs whole matrices, which sharding divides", "use adamw"
    if parameter_roles(model)["tables"]:
        return (
            "n-gram tables have sparse gradients, which cannot be sharded",
            "set model.table_ngrams=[]",
        )
    if precision.name == "fp16":
        return "fp16's loss scaling is not shared by sharded processes", "use bf16 or fp32"
    if compiling.on and spec.train.compile is True:
        return "a compiled step cannot gather weights part by part", "set train.compile=false"
    return None


def shard(
    objective: nn.Module, units: Sequence[nn.Module], device: torch.device, world: World
) -> nn.Module:
    """Shard a module and move it to the device unit by unit; its parameters become `DTensor`s."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world.size,))
    for unit in units:
        fully_shard(unit, mesh=mesh)
    fully_shard(objective, mesh=mesh)
    return objective


def whole_copy(
    sharded: LanguageModel, run: Run, device: torch.device, *, keep: bool
) -> LanguageModel | None:
    """A whole copy of a sharded model, to validate it; all processes must call this together.

    Args:
        keep: False for a process that only takes part in gathering; it gets None.
    """
    weights = dict(gathered(weights_of(sharded), keep=keep))
    if not keep:
        return None
    model = run.new_model()
    load_weights(model, weights, run.path)
    return model.to(device)
