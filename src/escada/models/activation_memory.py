"""Memory that a forward pass keeps for the backward pass.

Models give it in closed form (`LanguageModel.saved_bytes`), tested against `count_saved_bytes`,
which measures a real forward pass and is the default for models without a closed form.

    saved = model.saved_bytes(window_tokens, setting)
    saved.of(sequences)         # bytes after the forward pass of a micro-batch, without logits

Symbols, here and in the models' formulas: D, H, F widths, V vocabulary, G gates, T tokens of a
window; a = 4 bytes in fp32, 2 in bf16 or fp16.
"""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from escada.errors import EscadaError

if TYPE_CHECKING:
    from escada.models.contract import LanguageModel

FP32_BYTES = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """The parts of a training's setup that affect its memory."""

    precision: Literal["fp32", "bf16", "fp16"]
    device: Literal["cpu", "cuda"]
    keeps_large: bool = False
    """On a CPU: the allocator keeps freed blocks of any size, not only small ones."""
    shards: int = 1
    """Processes that divide weights, gradients and optimizer state among them."""

    @property
    def bytes_each(self) -> int:
        """a: bytes per entry of the operands of matrix products."""
        return FP32_BYTES if self.precision == "fp32" else 2

    def mask_bytes(self, bytes_each: int) -> int:
        """Bytes per entry of a dropout mask; on a CPU it has the tensor's own type."""
        return 1 if self.device == "cuda" else bytes_each

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context for forward passes."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(self.device, dtype=dtype)


def setting_of(precision: Literal["fp32", "bf16", "fp16"], device: torch.device) -> Setting:
    """The setting for a device; an Apple GPU, with its shared memory, counts as a CPU."""
    return Setting(precision, "cuda" if device.type == "cuda" else "cpu")


@dataclass(frozen=True, slots=True)
class SavedBytes:
    """Memory between forward and backward pass, without weights and logits.

    Attributes:
        per_sequence: proportional to the micro-batch.
        once: independent of the micro-batch: lower-precision copies and masks of weights.
        kernel_blocks: number of layers whose kernel has its own workspace.
        kernel_block: bytes of such a workspace, per sequence; included in `per_sequence`.
        usual_block: bytes that one other operation saves, per sequence.
    """

    per_sequence: float
    once: float = 0.0
    kernel_blocks: int = 0
    kernel_block: float = 0.0
    usual_block: float = 0.0

    def of(self, sequences: int) -> float:
        """Bytes for a micro-batch."""
        return self.per_sequence * sequences + self.once


def recomputed(saved: SavedBytes, model: LanguageModel, window_tokens: int) -> SavedBytes:
    """What remains of `saved` if the model's units are repeated in the backward pass.

    Each unit keeps its fp32 input, and one at a time all that it saves; units count as equal. The
    last norm keeps as much as another input. The width of the inputs is that of the embedding; they
    count as nothing if there is none.

    Raises:
        EscadaError: the model names no units.
    """
    units = len(model.units())
    if not units:
        raise EscadaError(
            f"the model {type(model).__module__.rpartition('.')[2]} names no units to repeat",
            where="train.recompute",
            fix="give it a method `units`, or leave train.recompute out",
        )
    widths = (part.embedding_dim for part in model.modules() if isinstance(part, nn.Embedding))
    width = max(widths, default=0)
    inputs = FP32_BYTES * window_tokens * width * (units + 1)
    return replace(
        saved,
        per_sequence=min(saved.per_sequence, saved.per_sequence / units + inputs),
        kernel_blocks=min(saved.kernel_blocks, 1),
    )


def counted(model: LanguageModel, window_tokens: int, setting: Setting) -> SavedBytes:
    """Measure saved bytes on one and two sequences; a meta model gets zeros on the CPU first."""
    if next(model.parameters()).is_meta:
        model = copy.deepcopy(model).to_empty(device="cpu")
        with torch.no_grad():
            for tensor in (*model.parameters(), *model.buffers()):
                tensor.zero_()
    one, two = (count_saved_bytes(model, n, window_tokens, setting) for n in (1, 2))
    return SavedBytes(per_sequence=two - one, once=2 * one - two)


def count_saved_bytes(
    model: LanguageModel, sequences: int, window_tokens: int, setting: Setting
) -> int:
    """Bytes of the storages that autograd saves in one forward pass.

    Excludes parameters, buffers, and what only follows the logits' matrix product.
    """
    device = next(model.parameters()).device
    own = {
        tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
    }
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage().data_ptr()
        if address not in own:
            kept[address] = tensor
        return tensor

    ids_BT = torch.zeros((sequences, window_tokens), dtype=torch.int64, device=device)
    was_training = model.training
    model.train()
    with (
        torch.random.fork_rng(devices=[]),
        torch.autograd.graph.saved_tensors_hooks(keep, _as_is),
        setting.autocast(),
    ):
        logits_BTV = model(ids_BT)  # held, so that storages are not freed and counted twice
    model.train(was_training)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del logits_BTV
    return found


def _as_is(tensor: Tensor) -> Tensor:
    return tensor


def linear_weights(model: nn.Module) -> int:
    """Entries of the matrices of linear layers, tied ones once; autocast copies these."""
    matrices = {id(m.weight): m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear)}
    return sum(matrices.values())
