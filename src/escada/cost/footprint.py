"""The memory of a training at its peak, by part, before it begins; and what fits into a memory.

    parts = footprint(model, spec.train, sequences=8, setting=Setting("bf16", "cpu"))
    parts.total_bytes                       # resident set on a CPU, allocated memory on a GPU
    largest_micro_batch(model, spec.train, memory_bytes, setting)

The model may lie on the meta device: only shapes are read. A step has three moments that can be its
peak, and the greatest is taken: the beginning of a backward pass (all activations, the logits, and
the gradients of the earlier micro-batches), just after it (no logits, but a kernel's workspace in
full), and its end (all gradients, no activations). On a CPU there is a fourth, the saving of a
checkpoint: the heap of the steps stays, and the optimizer's state is serialised beside it.
docs/planner.md derives every part.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from escada.models.contract import LanguageModel
from escada.models.roles import parameter_roles
from escada.models.saved import FP32_BYTES, SavedBytes, Setting
from escada.spec import OPTIMIZERS, TrainSpec

ADAM_MOMENTS = 2
LOGITS_COPIES = 3
"""fp32 tables of logits at the beginning of the backward pass: the log-softmax that was saved, its
gradient, and the logits'. Label smoothing adds one."""

RUNTIME_BYTES = 390 * 2**20
"""Resident set of `escada train` on a CPU before its first step: Python, torch, Arrow, the
tokenizer, an optimizer's imports. Measured with torch 2.13.0 for CPUs on Linux, November 2026."""
KERNEL_BYTES = 22 * 2**20
"""What the first step adds on a CPU: oneDNN's compiled kernels and their scratch memory. Measured
as the rest between resident set and torch's allocations, with nothing kept by the allocator."""
LARGE_BLOCK_BYTES = 32 * 2**20
"""From here on glibc takes a block from the system and gives it back; smaller ones come from a
heap, whose holes are the next constant's business."""
HEAP_HOLES = 0.75
"""Of activations and logits in smaller blocks, on a CPU: blocks of many sizes come and go, between
them validations and checkpoints, and no order of them leaves no holes. Fitted to peaks of whole
trainings, v1 to v_final, where it was 0.5 to 0.8; steps alone leave 0.3 to 0.5 (November 2026)."""
HEAP_HOLES_ALL_KEPT = 0.5
"""The same where large blocks are kept too, whose holes the smaller ones fill."""
LARGE_HOLES = 0.2
"""Of large blocks (an LSTM's workspaces, logits) where they are kept, and of what is there once for
all sequences, such as copies of matrices, which fit into each other's places: 0 to 0.3 (November
2026)."""
ROOM_FOR_LARGE = 0.5
"""Of the memory that a training may have, what it may need for large blocks to be kept."""
TOUCHED = {"forward": 0.35, "backward": 0.95}
"""Of a kernel's workspace that is a large block of its own, by the pass that has gone through it:
what was never written is not resident. Fitted to peaks of v1, v2 and v4 with 16 to 256 sequences,
where it was 0.2 to 0.5 and 0.85 to 1 (2026-11)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes at the peak; the parts add up to it.

    Attributes:
        weights: fp32 parameters and buffers.
        gradients: fp32; none at the peak when one micro-batch makes a step, since they are freed
            before it begins.
        optimizer: what it keeps of every parameter, such as Adam's two moments.
        activations: what the forward pass keeps for the backward pass, copies of weights in the
            narrower format included.
        logits: log-softmax and its gradients.
        workspace: on a CPU, kernels' code and scratch memory, holes in the heap, and the bytes of
            a checkpoint if saving one is the peak.
        runtime: the process itself; none on a GPU, where only allocated memory is counted.
    """

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    workspace: int
    runtime: int

    @property
    def total_bytes(self) -> int:
        """The peak."""
        return sum(asdict(self).values())

    def to_json(self) -> dict[str, int]:
        """As JSON: bytes by part."""
        return asdict(self)


def footprint(
    model: LanguageModel, train: TrainSpec, *, sequences: int, setting: Setting
) -> Footprint:
    """Memory of a training at its peak.

    Args:
        model: on any device.
        train: of its spec.
        sequences: of a micro-batch.
        setting: precision and device.
    """
    saved = model.saved_bytes(train.window_tokens, setting)
    return _footprint(model, train, saved, sequences, setting)


def _footprint(
    model: LanguageModel, train: TrainSpec, saved: SavedBytes, sequences: int, setting: Setting
) -> Footprint:
    parameters = FP32_BYTES * model.parameter_count()
    optimizer = optimizer_bytes(model, train)
    own_gradients = gradient_bytes(model, train)
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    accumulated = own_gradients if sequences < train.batch_sequences else 0
    tables = _logits_bytes(model.vocab_size, train, sequences, setting)
    on_cpu = setting.device == "cpu"
    held = saved.of(sequences)
    # Gradients, activations, logits and a checkpoint at the moments that can be the peak.
    moments = [
        (accumulated, held - _unwritten_bytes(saved, sequences, "forward", setting), tables, 0),
        (accumulated, held - _unwritten_bytes(saved, sequences, "backward", setting), 0, 0),
        (own_gradients, 0, 0, 0),
    ]
    serialised = max(optimizer, parameters)
    if on_cpu and _is_large(serialised):
        heap = held if setting.keeps_large else saved.once + _small_bytes(saved, sequences)
        returned = _is_large(tables / LOGITS_COPIES) and not setting.keeps_large
        heap_tables = 0 if returned else tables
        moments.append((own_gradients, heap, heap_tables, serialised))
    gradients, activations, logits, checkpoint = max(moments, key=sum)
    scratch = (
        KERNEL_BYTES + _heap_holes(saved, sequences, tables, setting) + checkpoint if on_cpu else 0
    )
    return Footprint(
        weights=parameters + buffers,
        gradients=gradients,
        optimizer=optimizer,
        activations=round(activations),
        logits=round(logits),
        workspace=round(scratch),
        runtime=RUNTIME_BYTES if on_cpu else 0,
    )


def optimizer_bytes(model: LanguageModel, train: TrainSpec) -> int:
    """What the optimizer keeps: what its own file says; else two moments, as Adam."""
    stated = getattr(OPTIMIZERS.load(train.optimizer), "state_entries", None)
    entries = ADAM_MOMENTS * model.parameter_count() if stated is None else stated(model)
    return FP32_BYTES * int(entries)


def gradient_bytes(model: LanguageModel, train: TrainSpec) -> int:
    """Of a whole step; of a sparse table the rows that it reads, with their numbers."""
    tables = parameter_roles(model)["tables"]
    dense = model.parameter_count() - sum(table.numel() for table in tables)
    read = train.window_tokens * train.batch_sequences
    sparse = sum(read * (FP32_BYTES * table.shape[1] + 8) for table in tables)
    return FP32_BYTES * dense + sparse


def _is_large(block_bytes: float) -> bool:
    return block_bytes >= LARGE_BLOCK_BYTES


def _unwritten_bytes(
    saved: SavedBytes, sequences: int, after: Literal["forward", "backward"], setting: Setting
) -> float:
    """Of the kernels' workspaces, what is not resident when a pass has gone through them."""
    block = saved.kernel_block * sequences
    if setting.device != "cpu" or setting.keeps_large or not _is_large(block):
        return 0.0
    written = TOUCHED["forward"] * saved.kernel_blocks
    if after == "backward":  # it has gone through the last layer, where most is still held
        written += TOUCHED["backward"] - TOUCHED["forward"]
    return block * (saved.kernel_blocks - written)


def _small_bytes(saved: SavedBytes, sequences: int) -> float:
    """Activations in blocks of the heap, which stay with the process when they are freed."""
    block = saved.kernel_block * sequences
    if _is_large(saved.usual_block * sequences):
        return 0.0
    workspaces = block * saved.kernel_blocks if _is_large(block) else 0.0
    return saved.per_sequence * sequences - workspaces


def _heap_holes(saved: SavedBytes, sequences: int, tables: float, setting: Setting) -> float:
    """Holes between the blocks that stay with the process, on a CPU."""
    small = _small_bytes(saved, sequences)
    if small and not _is_large(tables / LOGITS_COPIES):
        small += tables
    if not setting.keeps_large:
        return HEAP_HOLES * small
    large = saved.of(sequences) + tables - small
    return HEAP_HOLES_ALL_KEPT * small + LARGE_HOLES * large


def _logits_bytes(vocab_size: int, train: TrainSpec, sequences: int, setting: Setting) -> float:
    """Logits of a micro-batch and what the cross-entropy makes of them, at their most."""
    copies = LOGITS_COPIES + (train.label_smoothing > 0)
    if train.objective == "all":
        return copies * FP32_BYTES * vocab_size * train.window_tokens * sequences
    # All positions have logits, and a gradient that is zero but for the last.
    everywhere = 2 * setting.bytes_each * vocab_size * train.window_tokens * sequences
    return everywhere + copies * FP32_BYTES * vocab_size * sequences


def with_large_kept(
    model: LanguageModel,
    train: TrainSpec,
    memory_bytes: float | None,
    setting: Setting,
    *,
    sequences: int,
) -> Setting:
    """The setting, with large freed blocks kept on a CPU where there is room for their holes.

    An LSTM's step then takes two thirds of the time: its workspaces need not be cleared and mapped
    anew (docs/planner.md).

    Args:
        model: on any device.
        train: of its spec.
        memory_bytes: that the training may take; None: not known.
        setting: precision and device.
        sequences: of a micro-batch.
    """
    if setting.device != "cpu" or memory_bytes is None:
        return setting
    kept = replace(setting, keeps_large=True)
    needed = footprint(model, train, sequences=sequences, setting=kept).total_bytes
    return kept if needed <= ROOM_FOR_LARGE * memory_bytes else setting


def largest_micro_batch(
    model: LanguageModel,
    train: TrainSpec,
    memory_bytes: float,
    setting: Setting,
    *,
    batch_sequences: int | None = None,
) -> int | None:
    """The largest divisor of the batch whose footprint fits; None when a single sequence does not.

    Args:
        model: on any device.
        train: of its spec.
        memory_bytes: that the training may take.
        setting: precision and device.
        batch_sequences: of one process, where several share the step's.
    """
    saved = model.saved_bytes(train.window_tokens, setting)
    batch = batch_sequences or train.batch_sequences
    for parts in range(1, batch + 1):
        sequences, rest = divmod(batch, parts)
        if rest:
            continue
        found = _footprint(model, train, saved, sequences, setting)
        if found.total_bytes <= memory_bytes:
            return sequences
    return None


def to_table(found: Footprint) -> dict[str, int]:
    """Parts and their sum, as a plan and a cost sheet show them."""
    return {**found.to_json(), "total": found.total_bytes}
