"""nanochat: its tokenizer, model and optimizer (Muon and AdamW), imported from a checkout.

Sizes come from its one dial, the depth; rates, batch scaling, weight decay, momentum and schedule
follow its scripts/base_train.py with `--target-flops`. Documents begin with BOS, and the next one's
BOS ends a document: so it is trained, so it is scored. Rows are cut from the packed stream, as its
data loader did at first and as it still advises for few and long documents.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Its fused steps are compiled for a GPU; on a CPU they run as they are written.
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import numpy as np
import torch
from harness import Settings, UsageError, main
from texts import TextIds
from torch import Tensor
from torch_peer import (
    BACKWARD_OVER_FORWARD,
    TorchPeer,
    attention_flops_per_token,
    matmul_flops_per_token,
    muon_flops,
    start,
)

BASE = "scripts/base_train.py"
CPU = "runs/runcpu.sh"
RECIPES: dict[str, Settings] = {
    "base": {
        "vocab_size": (2048, "chosen: 32,768 in " + BASE),
        "depth": (2, "chosen: 6 in " + CPU),
        "aspect_ratio": (64, BASE),
        "head_dim": (64, CPU),
        "sequence_len": (256, "chosen: 512 in " + CPU),
        "batch_sequences": (8, "chosen: 32 in " + CPU),
        "matrix_lr": (0.02, BASE),
        "embedding_lr": (0.3, BASE),
        "unembedding_lr": (0.008, BASE),
        "scalar_lr": (0.5, BASE),
        "weight_decay": (0.28, BASE),
        "warmup_steps": (40, BASE),
        "warmdown_ratio": (0.65, BASE),
        "final_lr_frac": (0.05, BASE),
        "tokens_per_parameter": (12.0, BASE),
        "rate_factor": (1.0, "chosen: 1; multiplies the rates that its rule for the batch gives"),
    }
}
REFERENCE_DEPTH, REFERENCE_BATCH = 12, 2**19  # base_train.py: rates and decay are tuned there
MOST_WARMUP = 0.1
"""Chosen: warm-up and the momentum's rise are at most this share, and half, of the steps."""
MOMENTUM_STEPS, MOMENTA = 400, (0.85, 0.97, 0.90)  # base_train.py: first, middle, last


class NanochatBpe(TextIds):
    """Its own tokenizer, trained on the training text."""

    def __init__(self, texts: list[str], vocab_size: int) -> None:
        from nanochat.tokenizer import RustBPETokenizer

        self._own = RustBPETokenizer.train_from_iterator(iter(texts), vocab_size)
        self.separator, self.vocab_size = self._own.get_bos_token_id(), self._own.get_vocab_size()

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._own.encode(text), dtype=np.int64)


class Nanochat(TorchPeer):
    def __init__(
        self, texts: list[str], settings: dict[str, Any], seed: int, checkout: Path | None
    ) -> None:
        if checkout is None or not (checkout / "nanochat").is_dir():
            raise UsageError(f"no nanochat at {checkout}: give a checkout with --nanochat DIR")
        sys.path.insert(0, str(checkout))
        self._settings = settings
        self.text = NanochatBpe(texts, settings["vocab_size"])
        order = torch.randperm(len(texts), generator=start(seed)).tolist()
        self._stream = torch.from_numpy(self.text.stream([texts[number] for number in order]))
        self.model: Any = self._gpt(settings["depth"])
        self.model.to_empty(device="cpu")
        self.model.init_weights()
        window = self.context_tokens = settings["sequence_len"]
        self.tokens_per_step = settings["batch_sequences"] * window
        self._optimizer = self._build_optimizer()
        muon = [g for g in self._optimizer.param_groups if g["kind"] == "muon"]
        config = self.model.config
        per_token = matmul_flops_per_token(self.model) + attention_flops_per_token(
            config.n_layer, config.n_embd, window
        )
        self._passes = (1 + BACKWARD_OVER_FORWARD) * per_token * self.tokens_per_step
        products = sum(muon_flops(group["params"], group["ns_steps"]) for group in muon)
        self.flop_per_step = self._passes + products
        self.prepare({"vocab_size": config.vocab_size, "muon_share": products / self.flop_per_step})

    def _gpt(self, depth: int) -> Any:
        """A model of that depth without weights, as its build_model_meta sizes it."""
        from nanochat.gpt import GPT, GPTConfig

        head_dim = self._settings["head_dim"]
        heads = -(-depth * self._settings["aspect_ratio"] // head_dim)
        with torch.device("meta"):
            return GPT(
                GPTConfig(
                    sequence_len=self._settings["sequence_len"],
                    vocab_size=self.text.vocab_size,
                    n_layer=depth,
                    n_head=heads,
                    n_kv_head=heads,
                    n_embd=heads * head_dim,
                    window_pattern="L",  # runcpu.sh
                )
            )

    def _build_optimizer(self) -> Any:
        """Rates grow with the root of the batch, the decay as its base_train.py derives it."""
        settings = self._settings
        batch = self.tokens_per_step / REFERENCE_BATCH
        horizon = _scaling_parameters(self._gpt(REFERENCE_DEPTH)) / _scaling_parameters(self.model)
        scale = settings["rate_factor"] * math.sqrt(batch)
        self._decay = settings["weight_decay"] * math.sqrt(batch) * horizon
        names = ("matrix_lr", "embedding_lr", "unembedding_lr", "scalar_lr")
        rates = {name: settings[name] * scale for name in names}
        return self.model.setup_optimizer(weight_decay=self._decay, **rates)

    def logits(self, ids_BT: Tensor) -> Tensor:
        if ids_BT.shape[1] > 1:
            return self.model(ids_BT)
        # It refuses a single token; a second one changes nothing of what comes before it.
        return self.model(ids_BT.expand(-1, 2))[:, :1]

    def train(self, steps: int, after: Callable[[int], None]) -> None:
        self.model.train()
        for step in range(steps):
            self._schedule(step, steps)
            ids_BT = self._rows(step)
            self.model(ids_BT[:, :-1], ids_BT[:, 1:].contiguous()).backward()
            self._optimizer.step()
            self.model.zero_grad(set_to_none=True)
            after(step + 1)

    def _schedule(self, step: int, steps: int) -> None:
        settings = self._settings
        warmup = min(settings["warmup_steps"], int(MOST_WARMUP * steps))
        warmdown = round(settings["warmdown_ratio"] * steps)
        left = min(1.0, (steps - step) / max(1, warmdown))
        factor = left + (1 - left) * settings["final_lr_frac"]
        if step < warmup:
            factor = (step + 1) / warmup
        rising = min(MOMENTUM_STEPS, steps // 2)
        first, middle, last = MOMENTA
        momentum = middle * left + last * (1 - left)
        if step < rising:
            momentum = first + (middle - first) * step / rising
        for group in self._optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
            if group["kind"] == "muon":
                group["momentum"] = momentum
                group["weight_decay"] = self._decay * (1 + math.cos(math.pi * step / steps)) / 2

    def _rows(self, step: int) -> Tensor:
        """The next rows of the stream, which begins again at its end."""
        rows, window = self._settings["batch_sequences"], self.context_tokens
        starts = step * self.tokens_per_step + window * torch.arange(rows)[:, None]
        return self._stream[(starts + torch.arange(window + 1)) % len(self._stream)]


def _scaling_parameters(model: Any) -> int:
    """Matrices of the blocks and the output: what its horizon of tokens is a multiple of."""
    counts = model.num_scaling_params()
    return counts["transformer_matrices"] + counts["lm_head"]


if __name__ == "__main__":
    main(RECIPES, Nanochat)
