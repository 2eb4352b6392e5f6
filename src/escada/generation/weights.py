"""The weight format that a model decodes with: as trained, or narrower to save memory traffic.

    decoding = with_weights(model, "int8")

returns a model of the same kind whose linear layers are packed for products of few rows
(`escada.models.packed_linear`); other tensors are shared with the original. `fp32` is exact; the
others change the figures a little: docs/generation.md has the loss in bits per byte,
`benchmarks/generation.py --run` measures it for a run. There are no fallbacks: a format that a
device lacks is an error.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from escada.choices import WEIGHTS, Weights
from escada.cost.processor import bf16_pays, fastest_weights
from escada.errors import EscadaError, nearest
from escada.models.contract import LanguageModel
from escada.models.layers import RecurrentLayer
from escada.models.onednn import onednn_packs
from escada.models.packed_linear import PackedNorm, packed


def with_weights(model: LanguageModel, weights: str) -> LanguageModel:
    """A copy of a model for decoding, in evaluation mode.

    A model without linear layers (a table of counts) is returned itself. Packed layers do not
    follow later changes of the weights, so pack after training.

    Raises:
        EscadaError: unknown weights, or weights that this device or model does not support.
    """
    if weights not in WEIGHTS:
        known = ("auto", *WEIGHTS)
        raise EscadaError(
            f"unknown weights {weights!r}", where="--weights", fix=nearest(weights, known)
        )
    if refusal := _refusal(model, weights):
        raise EscadaError(refusal, where="--weights", fix="use --weights fp32")
    if not any(isinstance(module, nn.Linear) for module in model.modules()):
        return model
    twin = _twin(model)
    dtype = _activations(model, weights)
    if model.device.type == "cpu" and (onednn_packs(dtype) or weights == "int8"):
        _pack(twin, weights, dtype)
    if dtype != torch.float32:
        _narrow(twin, dtype)
    return twin.eval()


def choose_weights(wanted: str, model: LanguageModel, rows: int) -> str:
    """`wanted`, or for `auto` what decodes that many rows fastest on the model's device.

    On a CPU by measurement (`escada.cost.processor`), on a GPU bf16 where it has it.
    """
    if wanted != "auto":
        return wanted
    offered: list[Weights] = [one for one in WEIGHTS if _refusal(model, one) is None]
    if offered == ["fp32"]:
        return "fp32"
    if model.device.type != "cpu":
        return "bf16" if "bf16" in offered else "fp32"
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    if not linear:
        return "fp32"
    width = sorted(layer.in_features for layer in linear)[len(linear) // 2]
    return fastest_weights(rows, width, offered)


def _refusal(model: LanguageModel, weights: str) -> str | None:
    """Why a model has no such weights where it is, if so; else they are slow or do not exist."""
    kind = model.device.type
    if weights == "fp32":
        return None
    if any(isinstance(module, RecurrentLayer) for module in model.modules()):
        return f"{weights} weights are for Transformers; this model is recurrent"
    if weights in ("int8", "w8a8") and kind != "cpu":
        return f"{weights} weights are for the CPU"
    if weights == "bf16" and not model.decodes_in_bf16:
        return "bf16 weights are for Transformers; this model decodes in fp32"
    if weights == "bf16" and kind == "cpu" and not onednn_packs(torch.bfloat16):
        return "bf16 weights need a CPU whose torch multiplies bf16 through oneDNN"
    if weights == "w8a8" and not onednn_packs(torch.float32):
        return "w8a8 weights need a torch that multiplies int8 through oneDNN"
    if kind == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "this GPU has no bf16"
    return None


def _activations(model: LanguageModel, weights: str) -> torch.dtype:
    """What flows between the layers; with int8 weights bf16 where its products are fast."""
    if weights == "bf16" or (weights == "int8" and model.decodes_in_bf16 and bf16_pays()):
        return torch.bfloat16
    return torch.float32


def _twin(model: LanguageModel) -> LanguageModel:
    """A copy with its own modules and shared tensors."""
    shared: dict[int, Any] = {id(tensor): tensor for tensor in model.parameters()}
    shared |= {id(tensor): tensor for tensor in model.buffers()}
    return copy.deepcopy(model, shared)


def _pack(model: nn.Module, weights: str, dtype: torch.dtype) -> None:
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Linear:
                setattr(parent, name, packed(child, weights, dtype))
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
