"""A plain GPT-2 of transformers, trained by its Trainer with the defaults of TrainingArguments."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from harness import Settings, main
from texts import ByteLevelBpe
from torch import Tensor
from torch_peer import (
    BACKWARD_OVER_FORWARD,
    TorchPeer,
    attention_flops_per_token,
    matmul_flops_per_token,
    start,
)

TRAINER = "TrainingArguments' default"
CONFIG = "GPT2Config's default"
SHRUNK = "chosen: GPT2Config's 12 layers of 768 are too large for the budget"
RECIPES: dict[str, Settings] = {
    "trainer": {
        "vocab_size": (2048, "chosen: byte-level BPE of the training text for GPT-2's 50,257"),
        "n_layer": (4, SHRUNK),
        "n_head": (4, SHRUNK),
        "n_embd": (128, SHRUNK),
        "n_positions": (128, "chosen: an eighth of 1,024"),
        "dropout": (0.1, CONFIG),
        "batch_sequences": (8, TRAINER),
        "learning_rate": (5e-5, TRAINER),
        "weight_decay": (0.0, TRAINER),
        "warmup_ratio": (0.0, TRAINER),
    }
}


class _AfterStep(transformers.TrainerCallback):
    def __init__(self, after: Callable[[int], None]) -> None:
        self._after = after

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._after(state.global_step)


class TrainerGpt2(TorchPeer):
    def __init__(
        self, texts: list[str], settings: dict[str, Any], seed: int, checkout: Path | None
    ) -> None:
        self.text = ByteLevelBpe(texts, settings["vocab_size"])
        self._settings, self._seed = settings, seed
        start(seed)
        window = self.context_tokens = settings["n_positions"]
        rate = settings["dropout"]
        config = transformers.GPT2Config(
            vocab_size=self.text.vocab_size,
            n_positions=window,
            n_embd=settings["n_embd"],
            n_layer=settings["n_layer"],
            n_head=settings["n_head"],
            resid_pdrop=rate,
            embd_pdrop=rate,
            attn_pdrop=rate,
            bos_token_id=self.text.separator,
            eos_token_id=self.text.separator,
            use_cache=False,
        )
        self.model: Any = transformers.GPT2LMHeadModel(config)
        ids = self.text.stream(texts)
        # As its example for language models does: documents in a row, cut into blocks.
        blocks = torch.from_numpy(ids[: len(ids) // window * window]).view(-1, window)
        self._blocks = [{"input_ids": block, "labels": block} for block in blocks]
        per_token = matmul_flops_per_token(self.model) + attention_flops_per_token(
            settings["n_layer"], settings["n_embd"], window
        )
        self.tokens_per_step = settings["batch_sequences"] * window
        self.flop_per_step = (1 + BACKWARD_OVER_FORWARD) * per_token * self.tokens_per_step
        self.prepare({"vocab_size": self.text.vocab_size, "transformers": transformers.__version__})

    def logits(self, ids_BT: Tensor) -> Tensor:
        return self.model(input_ids=ids_BT).logits

    def train(self, steps: int, after: Callable[[int], None]) -> None:
        settings = self._settings
        with tempfile.TemporaryDirectory() as folder:
            arguments = transformers.TrainingArguments(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=settings["batch_sequences"],
                learning_rate=settings["learning_rate"],
                weight_decay=settings["weight_decay"],
                warmup_steps=round(settings["warmup_ratio"] * steps),
                seed=self._seed,
                use_cpu=True,
                bf16=False,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
                dataloader_drop_last=True,
            )
            trainer = transformers.Trainer(
                self.model, arguments, train_dataset=self._blocks, callbacks=[_AfterStep(after)]
            )
            trainer.train()


if __name__ == "__main__":
    transformers.logging.set_verbosity_error()
    main(RECIPES, TrainerGpt2)
