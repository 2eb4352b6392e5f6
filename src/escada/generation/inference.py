"""Exact inference, for evaluation and sampling."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import torch

from escada.models.contract import LanguageModel
from escada.runs.device import memory_errors

LOGITS_AT_ONCE = 2**25
"""Logits per forward pass: 128 MiB in fp32."""


def tokens_at_once(vocab_size: int) -> int:
    """Tokens (rows times positions) per forward pass that stay within `LOGITS_AT_ONCE`."""
    return max(1, LOGITS_AT_ONCE // vocab_size)


@contextlib.contextmanager
def exact_inference(model: LanguageModel) -> Generator[None]:
    """No gradients, no dropout, no autocast, no TF32; all restored afterwards.

    cuDNN's recurrent kernels use TF32 by default, which costs three decimal digits. A model already
    in evaluation mode is not touched, since decoding enters this for every token.
    """
    training = model.training
    device = model.device.type
    if training:
        model.eval()
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(
                memory_errors(device, fix="use --device cpu, or a machine with more of it")
            )
            stack.enter_context(torch.inference_mode())
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
            if device == "cuda":
                stack.enter_context(_no_tf32())
            yield
    finally:
        if training:
            model.train()


@contextlib.contextmanager
def _no_tf32() -> Generator[None]:
    # torch replaces this module by an object on import, which type checkers cannot see
    switches: list[Any] = [torch.backends.cudnn, torch.backends.cuda.matmul]
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = False
        yield
    finally:
        for switch, allowed in zip(switches, before, strict=True):
            switch.allow_tf32 = allowed
