"""nanoGPT: its model and optimizer, imported from a checkout, with two of its recipes.

`char` is its README's recipe for a CPU, `gpt2` its config/train_gpt2.py shrunk. The loop has what
its train.py has: random windows of the stream, warm-up and cosine, clipping, AdamW.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness import Settings, UsageError, main
from texts import ByteLevelBpe, Characters
from torch import Tensor
from torch_peer import (
    BACKWARD_OVER_FORWARD,
    TorchPeer,
    attention_flops_per_token,
    matmul_flops_per_token,
    start,
)

README = "nanoGPT's README, CPU"
CHAR = "config/train_shakespeare_char.py"
GPT2 = "config/train_gpt2.py and train.py's defaults"
SHRUNK = (
    "chosen: GPT-2's 12 layers of 768 are too large for the budget; the shape of the CPU recipe"
)
RECIPES: dict[str, Settings] = {
    "char": {
        "vocab_size": (0, "0: characters of the training text, UNK, a separator between documents"),
        "n_layer": (4, README),
        "n_head": (4, README),
        "n_embd": (128, README),
        "block_size": (64, README),
        "batch_size": (12, README),
        "dropout": (0.0, README),
        "bias": (False, "train.py"),
        "learning_rate": (1e-3, CHAR),
        "min_lr": (1e-4, CHAR),
        "beta2": (0.99, CHAR),
        "warmup_steps": (100, CHAR),
        "weight_decay": (0.1, "train.py"),
    },
    "gpt2": {
        "vocab_size": (2048, "chosen: byte-level BPE of the training text for GPT-2's 50,257"),
        "n_layer": (4, SHRUNK),
        "n_head": (4, SHRUNK),
        "n_embd": (128, SHRUNK),
        "block_size": (128, "chosen: an eighth of 1,024"),
        "batch_size": (12, GPT2 + "; chosen: one micro-batch a step in place of 40"),
        "dropout": (0.0, GPT2),
        "bias": (False, GPT2),
        "learning_rate": (6e-4, GPT2),
        "min_lr": (6e-5, GPT2),
        "beta2": (0.95, GPT2),
        "warmup_steps": (2000, GPT2),
        "weight_decay": (0.1, GPT2),
    },
}
BETA1, CLIP_NORM = 0.9, 1.0  # train.py
MOST_WARMUP = 0.1
"""Chosen: the warm-up is at most this share of the steps."""


def rate(step: int, steps: int, settings: dict[str, Any]) -> float:
    """Linear warm-up, then a cosine to `min_lr` at the last step; `step` from 0."""
    warmup = min(settings["warmup_steps"], int(MOST_WARMUP * steps))
    if step < warmup:
        return settings["learning_rate"] * (step + 1) / (warmup + 1)
    done = (step - warmup) / max(1, steps - warmup)
    span = settings["learning_rate"] - settings["min_lr"]
    return settings["min_lr"] + span * (1 + math.cos(math.pi * done)) / 2


class NanoGpt(TorchPeer):
    def __init__(
        self, texts: list[str], settings: dict[str, Any], seed: int, checkout: Path | None
    ) -> None:
        if checkout is None or not (checkout / "model.py").is_file():
            raise UsageError(f"no nanoGPT at {checkout}: give a checkout with --nanogpt DIR")
        sys.path.insert(0, str(checkout))
        from model import GPT, GPTConfig

        size = settings["vocab_size"]
        self.text = ByteLevelBpe(texts, size) if size else Characters(texts)
        self._batches = start(seed)
        self._settings = settings
        shape = {n: settings[n] for n in ("n_layer", "n_head", "n_embd", "block_size")}
        config = GPTConfig(
            vocab_size=self.text.vocab_size,
            dropout=settings["dropout"],
            bias=settings["bias"],
            **shape,
        )
        self.model: Any = GPT(config)
        window = self.context_tokens = settings["block_size"]
        self._stream = torch.from_numpy(self.text.stream(texts))
        per_token = matmul_flops_per_token(self.model) + attention_flops_per_token(
            settings["n_layer"], settings["n_embd"], window
        )
        self.tokens_per_step = settings["batch_size"] * window
        self.flop_per_step = (1 + BACKWARD_OVER_FORWARD) * per_token * self.tokens_per_step
        self.prepare({"vocab_size": self.text.vocab_size})

    def logits(self, ids_BT: Tensor) -> Tensor:
        # Without targets nanoGPT gives the last position's logits alone.
        return self.model(ids_BT, ids_BT)[0]

    def train(self, steps: int, after: Callable[[int], None]) -> None:
        settings = self._settings
        adamw = self.model.configure_optimizers(
            settings["weight_decay"], settings["learning_rate"], (BETA1, settings["beta2"]), "cpu"
        )
        self.model.train()
        for step in range(steps):
            for group in adamw.param_groups:
                group["lr"] = rate(step, steps, settings)
            ids_BT = self._windows()
            self.model(ids_BT[:, :-1], ids_BT[:, 1:].contiguous())[1].backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), CLIP_NORM)
            adamw.step()
            adamw.zero_grad(set_to_none=True)
            after(step + 1)

    def _windows(self) -> Tensor:
        """Windows of block_size + 1 tokens that begin anywhere in the stream."""
        length, rows = self.context_tokens + 1, self._settings["batch_size"]
        starts = torch.randint(len(self._stream) - length + 1, (rows, 1), generator=self._batches)
        return self._stream[starts + torch.arange(length)]


if __name__ == "__main__":
    main(RECIPES, NanoGpt)
