"""The weight format that a model decodes with: as trained, or narrower to save memory traffic.

    decoding = with_weights(model, "int8")

returns a model of the same kind whose linear layers are packed for products of few rows
(`escada.models.packed_linear`); other tensors are shared with the original. `fp32` is exact; `bf16`
and `int8` change the figures a little: docs/generation.md has the loss in bits per byte,
`benchmarks/generation.py --run` measures it for a run. There are no fallbacks: a format that a
device lacks is an error.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from escada.choices import WEIGHTS
from escada.errors import EscadaError, nearest
from escada.models.contract import LanguageModel
from escada.models.layers import RecurrentLayer
from escada.models.packed_linear import Int8Linear, PackedLinear, PackedNorm, onednn_packs

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "int8": torch.bfloat16}


def with_weights(model: LanguageModel, weights: str) -> LanguageModel:
    """A copy of a model for decoding, in evaluation mode.

    A model without linear layers (a table of counts) is returned itself. Packed layers do not
    follow later changes of the weights, so pack after training.

    Raises:
        EscadaError: unknown weights, or weights that this device or model does not support.
    """
    if weights not in WEIGHTS:
        raise EscadaError(
            f"unknown weights {weights!r}", where="--weights", fix=nearest(weights, WEIGHTS)
        )
    device = model.device
    if weights != "fp32":
        _check_offered(model, weights, device)
    if not any(isinstance(module, nn.Linear) for module in model.modules()):
        return model
    twin = _twin(model)
    dtype = _TYPES[weights]
    if device.type == "cpu" and onednn_packs(dtype):
        _pack(twin, weights)
    if dtype != torch.float32:
        _narrow(twin, dtype)
    return twin.eval()


def _check_offered(model: LanguageModel, weights: str, device: torch.device) -> None:
    """Refuse narrower weights where they are slower or unavailable."""
    what, fix = None, "use --weights fp32"
    if any(isinstance(module, RecurrentLayer) for module in model.modules()):
        what = f"{weights} weights are for Transformers; this model is recurrent"
    elif device.type == "cpu" and not onednn_packs(torch.bfloat16):
        what = f"{weights} weights need a CPU whose torch multiplies bf16 through oneDNN"
    elif device.type != "cpu" and weights == "int8":
        what, fix = "int8 weights are for the CPU", "use bf16 or fp32 on a GPU"
    elif device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        what = "this GPU has no bf16"
    if what is not None:
        raise EscadaError(what, where="--weights", fix=fix)


def _twin(model: LanguageModel) -> LanguageModel:
    """A copy with its own modules and shared tensors."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.parameters()}
    shared |= {id(tensor): tensor for tensor in model.buffers()}
    return copy.deepcopy(model, shared)


def _pack(model: nn.Module, weights: str) -> None:
    dtype = _TYPES[weights]
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                packed = Int8Linear(child) if weights == "int8" else PackedLinear(child, dtype)
                setattr(parent, name, packed)
            elif type(child) is nn.LayerNorm:
                setattr(parent, name, PackedNorm(child, dtype))


def _narrow(model: nn.Module, dtype: torch.dtype) -> None:
    """Convert everything not packed, into new tensors: the original is not changed."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            narrow = nn.Parameter(parameter.detach().to(dtype), requires_grad=False)
            setattr(module, name, narrow)
        for name, buffer in list(module.named_buffers(recurse=False)):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(dtype))
