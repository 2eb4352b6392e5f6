"""The memory of a training at its peak, by part, before it begins; and what fits into a memory.

    parts = footprint(model, spec.train, sequences=8, setting=Setting("bf16", "cpu"))
    parts.total_bytes                       # resident set on a CPU, allocated memory on a GPU
    largest_micro_batch(model, spec.train, memory_bytes, setting)

The model may lie on the meta device: only shapes are read. A step has two moments that can be its
peak, and the greater one is taken: the beginning of a backward pass (all activations, and the
gradients of the earlier micro-batches), and its end (all gradients, no activations). docs/planner.md
derives every part.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from escada.models.contract import LanguageModel
from escada.models.saved import FP32_BYTES, SavedBytes, Setting
from escada.spec import TrainSpec

ADAM_MOMENTS = 2
LOGITS_COPIES = 3
"""fp32 tables of logits at the beginning of the backward pass: the log-softmax that was saved, its
gradient, and the logits'. Label smoothing adds one."""

RUNTIME_BYTES = 325 * 2**20
"""Resident set of a CPU process that has imported all that a training needs, opened the tokenizer
and made an optimizer. Measured with torch 2.13.0 for CPUs on Linux, November 2026."""
KERNEL_BYTES = 22 * 2**20
"""What the first step adds: oneDNN's compiled kernels and their scratch memory. Measured as the rest
between resident set and torch's own allocations, with the allocator's reuse switched off."""
ALLOCATOR_SHARE = 1 / 3
"""Of activations and logits, on a CPU: holes in the heap. Blocks of many sizes come and go, and freed
memory is kept for the next step, which saves 15-25 % of a step's time. Fitted to the peaks of v1 to
v_final, where it was 0.2 to 0.45 (November 2026)."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes at the peak; the parts add up to it.

    Attributes:
        weights: fp32 parameters and buffers.
        gradients: fp32; none at the peak when one micro-batch makes a step, since they are freed
            before it begins.
        optimizer: Adam's two moments.
        activations: what the forward pass keeps for the backward pass, copies of weights in the
            narrower format included.
        logits: log-softmax and its gradients.
        workspace: kernels' scratch memory and, on a CPU, holes in the heap.
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

    def to_facts(self) -> dict[str, int]:
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
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())
    logits = _logits_bytes(model.vocab_size, train, sequences, setting)
    accumulating = sequences < train.batch_sequences
    growing = saved.per_sequence * sequences + logits
    if setting.device == "cpu":
        workspace, runtime = KERNEL_BYTES + ALLOCATOR_SHARE * growing, RUNTIME_BYTES
    else:
        workspace, runtime = 0, 0
    transient = saved.of(sequences) + logits
    at_the_end = not accumulating and transient < parameters
    if at_the_end:  # the gradients take the place of the activations
        gradients, activations, logits = parameters, 0, 0
    else:
        gradients, activations = (parameters if accumulating else 0), saved.of(sequences)
    return Footprint(
        weights=parameters + buffers,
        gradients=gradients,
        optimizer=ADAM_MOMENTS * parameters,
        activations=round(activations),
        logits=round(logits),
        workspace=round(workspace),
        runtime=runtime,
    )


def _logits_bytes(vocab_size: int, train: TrainSpec, sequences: int, setting: Setting) -> float:
    """Logits of a micro-batch and what the cross-entropy makes of them, at their most."""
    copies = LOGITS_COPIES + (train.label_smoothing > 0)
    if train.objective == "all":
        return copies * FP32_BYTES * vocab_size * train.window_tokens * sequences
    # All positions have logits, and a gradient that is zero but for the last.
    everywhere = 2 * setting.bytes_each * vocab_size * train.window_tokens * sequences
    return everywhere + copies * FP32_BYTES * vocab_size * sequences


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


def to_table(found: Footprint) -> dict[str, Any]:
    """Parts and their sum, as a plan and a cost sheet show them."""
    return {**found.to_facts(), "total": found.total_bytes}
