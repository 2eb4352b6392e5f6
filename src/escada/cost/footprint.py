"""Peak memory of a training by part, predicted; and the largest micro-batch that fits.

    parts = footprint(model, spec.train, sequences=8, setting=Setting("bf16", "cpu"))
    parts.total_bytes                       # resident set on a CPU, allocated memory on a GPU
    largest_micro_batch(model, spec.train, memory_bytes, setting)

Models may be on the meta device: only shapes are read. The peak is the maximum over three moments
of a step: the start of a backward pass (all activations, logits, gradients of earlier
micro-batches), just after it (no logits, but a kernel's full workspace), and its end (all
gradients, no activations). docs/planner.md derives every part.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

from escada.models.activation_memory import FP32_BYTES, SavedBytes, Setting, recomputed
from escada.models.contract import LanguageModel
from escada.models.roles import parameter_roles
from escada.spec import OPTIMIZERS, TrainSpec

ADAM_MOMENTS = 2
LOGITS_COPIES = 3
"""fp32 arrays of logits at the start of the backward pass: the saved log-softmax, its gradient, and
the gradient of the logits. Label smoothing adds one."""

RUNTIME_BYTES = 390 * 2**20
"""Resident set of `escada train` on a CPU before its first step (Python, torch, Arrow, tokenizer).
Measured with CPU torch 2.13.0 on Linux, November 2026."""
KERNEL_BYTES = 22 * 2**20
"""Added by the first step on a CPU: oneDNN kernels and scratch memory. Measured as resident set
minus torch's allocations, with nothing kept by the allocator."""
LARGE_BLOCK_BYTES = 32 * 2**20
"""Size from which glibc mmaps blocks and unmaps freed ones; smaller blocks come from the heap."""
HEAP_HOLES = 0.75
"""Heap fragmentation on a CPU, relative to activations and logits in smaller blocks. Fitted to
peaks of whole trainings with validations and checkpoints, v1 to v_final, where it was 0.5 to 0.8;
0.3 to 0.5 in steps alone (November 2026)."""
HEAP_HOLES_ALL_KEPT = 0.5
"""The same if large blocks are kept too: smaller blocks fill their holes."""
LARGE_HOLES = 0.2
"""Fragmentation relative to kept large blocks (LSTM workspaces, logits) and to data that exist once
for all sequences, such as copies of matrices. Measured 0 to 0.3 (November 2026)."""
ROOM_FOR_LARGE = 0.5
"""Large blocks are kept if the footprint is then at most this share of the available memory."""
TOUCHED = {"forward": 0.35, "backward": 0.95}
"""Resident share of a kernel's workspace that is a large block of its own, after each pass; pages
never written are not resident. Fitted to v1, v2 and v4 with 16 to 256 sequences, where it was 0.2
to 0.5 and 0.85 to 1 (2026-11)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes at the peak, by part.

    Attributes:
        weights: fp32 parameters and buffers; these and the next two, if sharded, of one process.
        gradients: fp32; none at the peak if a step has one micro-batch, since they are freed
            before it.
        optimizer: its state, such as Adam's two moments.
        activations: saved for the backward pass, including copies of weights in lower precision.
        logits: log-softmax and its gradients.
        workspace: on a CPU, kernels and their scratch memory, and heap fragmentation; if sharded,
            gathered weights and gradients.
        runtime: the process itself; 0 on a GPU, where only allocated memory counts.
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
        """The sum of all parts."""
        return sum(asdict(self).values())

    def to_json(self) -> dict[str, int]:
        """Bytes by part."""
        return asdict(self)


def footprint(
    model: LanguageModel, train: TrainSpec, *, sequences: int, setting: Setting
) -> Footprint:
    """Predict the peak memory of a training with micro-batches of `sequences`."""
    return _footprint(model, train, _saved_bytes(model, train, setting), sequences, setting)


def _saved_bytes(model: LanguageModel, train: TrainSpec, setting: Setting) -> SavedBytes:
    saved = model.saved_bytes(train.window_tokens, setting)
    return recomputed(saved, model, train.window_tokens) if train.recompute else saved


def gathered_bytes(model: LanguageModel) -> int:
    """Whole weights and gradients in a sharded step, at most: those outside the model's units, and
    of two units (one is gathered while another computes) weights, and of one gradients."""
    units = [sum(p.numel() for p in unit.parameters()) for unit in model.units()]
    rest = model.parameter_count() - sum(units)
    return FP32_BYTES * (2 * rest + 3 * max(units, default=0))


def _footprint(
    model: LanguageModel, train: TrainSpec, saved: SavedBytes, sequences: int, setting: Setting
) -> Footprint:
    shards = setting.shards
    parameters = FP32_BYTES * model.parameter_count() // shards
    optimizer = optimizer_bytes(model, train) // shards
    own_gradients = gradient_bytes(model, train) // shards
    gathered = gathered_bytes(model) if shards > 1 else 0
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    accumulated = own_gradients if sequences < train.batch_sequences else 0
    tables = _logits_bytes(model.vocab_size, train, sequences, setting)
    on_cpu = setting.device == "cpu"
    held = saved.of(sequences)
    # Gradients, activations, logits, and gathered weights at each candidate moment.
    moments = [
        (
            accumulated,
            held - _unwritten_bytes(saved, sequences, "forward", setting),
            tables,
            gathered,
        ),
        (accumulated, held - _unwritten_bytes(saved, sequences, "backward", setting), 0, gathered),
        (own_gradients, 0, 0, gathered),
    ]
    gradients, activations, logits, copies = max(moments, key=sum)
    scratch = copies + (
        KERNEL_BYTES + _heap_holes(saved, sequences, tables, setting) if on_cpu else 0
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
    """Optimizer state, as stated by its module; else two moments, as for Adam."""
    stated = getattr(OPTIMIZERS.load(train.optimizer), "state_entries", None)
    entries = ADAM_MOMENTS * model.parameter_count() if stated is None else stated(model)
    return FP32_BYTES * int(entries)


def gradient_bytes(model: LanguageModel, train: TrainSpec) -> int:
    """Gradients of a whole step; of a sparse table, the rows read and their indices."""
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
    """The part of the kernels' workspaces not yet resident after a pass."""
    block = saved.kernel_block * sequences
    if setting.device != "cpu" or setting.keeps_large or not _is_large(block):
        return 0.0
    written = TOUCHED["forward"] * saved.kernel_blocks
    if after == "backward":  # it has run the last layer, where most memory is still held
        written += TOUCHED["backward"] - TOUCHED["forward"]
    return block * (saved.kernel_blocks - written)


def _small_bytes(saved: SavedBytes, sequences: int) -> float:
    """Activations in heap blocks, which stay resident when freed."""
    block = saved.kernel_block * sequences
    if _is_large(saved.usual_block * sequences):
        return 0.0
    workspaces = block * saved.kernel_blocks if _is_large(block) else 0.0
    return saved.per_sequence * sequences - workspaces


def _heap_holes(saved: SavedBytes, sequences: int, tables: float, setting: Setting) -> float:
    """Fragmentation of the memory that stays resident on a CPU."""
    small = _small_bytes(saved, sequences)
    if small and not _is_large(tables / LOGITS_COPIES):
        small += tables
    if not setting.keeps_large:
        return HEAP_HOLES * small
    large = saved.of(sequences) + tables - small
    return HEAP_HOLES_ALL_KEPT * small + LARGE_HOLES * large


def _logits_bytes(vocab_size: int, train: TrainSpec, sequences: int, setting: Setting) -> float:
    """Peak of a micro-batch's logits and the cross-entropy's copies of them."""
    copies = LOGITS_COPIES + (train.label_smoothing > 0)
    if train.objective == "all":
        return copies * FP32_BYTES * vocab_size * train.window_tokens * sequences
    # All positions have logits, and a gradient that is zero except at the last.
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
    """Decide whether large freed blocks are kept on a CPU, if there is memory for fragmentation.

    This cuts the step time of an LSTM by a third, since its workspaces need not be mapped and
    cleared again (docs/planner.md). `memory_bytes` None: unknown.
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
    """The largest divisor of the batch whose footprint fits; None if a single sequence does not.

    Args:
        memory_bytes: available to the training.
        batch_sequences: those of one process, if several share a step; None: the whole batch.
    """
    saved = _saved_bytes(model, train, setting)
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
    """Parts and their sum, as in a plan or a cost sheet."""
    return {**found.to_json(), "total": found.total_bytes}
