"""What peers written in torch share: FLOP by a walk over the modules, scoring, weights.

T  tokens of a window     V  vocabulary
"""

from __future__ import annotations

import os
import platform
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from harness import Peer
from scoring import slide
from torch import Tensor, nn

BACKWARD_OVER_FORWARD = 2
FLOP_RULE = (
    "closed form: 2 per weight of every Linear and Conv1D module and per attended key, "
    "3 times for forward and backward, and the products of Muon; steps x tokens"
)


def matmul_flops_per_token(model: nn.Module) -> float:
    """Forward: 2 per weight that is multiplied with a token. A tied output is a Linear: once."""
    # transformers' GPT-2 has Conv1D, a Linear with the transposed weight.
    matrices = [m for m in model.modules() if isinstance(m, nn.Linear) or _is_conv1d(m)]
    return 2.0 * sum(m.weight.numel() for m in matrices)  # type: ignore[union-attr]


def _is_conv1d(module: nn.Module) -> bool:
    return type(module).__name__ == "Conv1D"


def attention_flops_per_token(n_layers: int, width: int, window: int) -> float:
    """Forward: (T + 1) / 2 keys on average, 2 per entry for the score and 2 for the sum."""
    return n_layers * 4 * width * (window + 1) / 2


def muon_flops(matrices: Sequence[Tensor], iterations: int) -> float:
    """Products of a step: X X', its square and the product with X, for each matrix r <= c."""
    sides = [sorted(matrix.shape) for matrix in matrices]
    return iterations * sum(2.0 * (2 * r * r * c + r**3) for r, c in sides)


class TorchPeer(Peer):
    """A decoder-only model of fixed context, in fp32 on the CPU."""

    protocol = "document/half-window"
    model: nn.Module
    context_tokens: int

    @abstractmethod
    def logits(self, ids_BT: Tensor) -> Tensor:
        """Of every position."""

    def prepare(self, threads_facts: Mapping[str, Any]) -> None:
        """Facts; call when the model is built."""
        self.facts = {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "precision": "fp32",
            "flop_rule": FLOP_RULE,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **threads_facts,
        }

    def nats(self, sequences: Sequence[np.ndarray]) -> np.ndarray:
        was_training = self.model.training
        self.model.eval()
        nats = slide(sequences, self.context_tokens, self._nats_of)
        self.model.train(was_training)
        return nats

    @torch.inference_mode()
    def _nats_of(self, ids_BT: np.ndarray, targets_BT: np.ndarray) -> np.ndarray:
        logits_BTV = self.logits(torch.from_numpy(ids_BT)).double()
        targets_BT1 = torch.from_numpy(targets_BT)[..., None]
        return (logits_BTV.logsumexp(-1) - logits_BTV.gather(-1, targets_BT1)[..., 0]).numpy()

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in self.model.state_dict().items()}

    def load(self, weights: Mapping[str, np.ndarray]) -> None:
        self.model.load_state_dict({n: torch.from_numpy(value) for n, value in weights.items()})


def start(seed: int) -> torch.Generator:
    """Set threads and seeds; returns a generator for the batches."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)
