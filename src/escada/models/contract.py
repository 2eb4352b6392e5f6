"""The interface of every model of the ladder, all that the rest of escada knows of one.

A training checks it before its first step (`escada.generation.contract_check`).

Shapes, here and in every model file:
    B  sequences in a batch        T  tokens in a sequence       V  vocabulary
    D  width of the model          N  heads                      H  width of a head or hidden state
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.models.activation_memory import SavedBytes, Setting, counted
from escada.spec import MODELS, ModelConfig


class DecodingState(Protocol):
    """What a model remembers of the tokens it has read, one row per sequence.

    Rows may have read different numbers of tokens. `LanguageModel.advance` updates it in place.
    """

    @property
    def batch_size(self) -> int:
        """The number of rows."""
        ...

    def select(self, rows: Tensor) -> Self:
        """A copy with the rows of this index: int64, (B',); it may repeat or drop rows."""
        ...

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """Concatenate states to one batch, in order."""
        ...


class LanguageModel(nn.Module, ABC):
    """A causal language model: the logits at t depend only on ids up to t.

    `context_tokens` is the maximum input length; None: unlimited (recurrent state).
    """

    vocab_size: int
    context_tokens: int | None
    decodes_in_bf16: ClassVar[bool] = False
    """Whether `advance` also works with weights and norms in bf16."""

    @abstractmethod
    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits of the next token at every position, from a fresh state: (B, T, V).

        T is at most `context_tokens`. Logits are fp32 unless autocast is on.
        """

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """Logits after the last position only, `forward(ids_BT)[:, -1]`: shape (B, V).

        Models override this to apply the output matrix at one position instead of T, which is most
        of the cost of the window protocol.
        """
        return self(ids_BT)[:, -1]

    @property
    def device(self) -> torch.device:
        """The device of the weights, of input ids and of states.

        A model must use this and not a layer's device: layers packed for decoding have no
        parameters and are on the CPU.
        """
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @abstractmethod
    def fresh_state(self, batch_size: int) -> DecodingState:
        """The state before the first token, on `device`."""

    @abstractmethod
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """Read T more tokens per row without gradients, updating `state`; logits (B, T, V).

        Raises:
            ValueError: a row would exceed `context_tokens`.
        """

    @abstractmethod
    def forward_flops_per_token(self, context_tokens: int) -> float:
        """FLOPs of the forward pass for one token of a sequence of that length.

        Matrix multiplications only (2 per multiply-add), as in Kaplan et al. 2020: with attention
        over the mean causal length, without embedding look-ups. Training costs three times that.
        """

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """Memory kept for the backward pass of a training step, without logits.

        Models state it in closed form; the default measures forward passes of one and two
        sequences.
        """
        return counted(self, window_tokens, setting)

    def units(self) -> Sequence[nn.Module]:
        """Its large modules, in order, called as a whole by `forward` with positional arguments.

        They share no parameter. A sharded training gathers the weights of one at a time, and
        `train.recompute` repeats one at a time; neither saves much memory outside them.
        """
        return ()

    def parts(self) -> Mapping[str, LanguageModel]:
        """The components of a mixture, each evaluated on its own; empty for other models."""
        return {}

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """Resize buffers to those in `weights`, which are loaded afterwards.

        Only needed by models whose buffers depend on the training text.
        """

    def parameter_count(self) -> int:
        """The number of parameters, tied ones counted once."""
        return sum(parameter.numel() for parameter in self.parameters())


class ReadsTrainingText(ABC):
    """Added interface of models that use their training text beyond gradients, such as counts."""

    @abstractmethod
    def read_training_text(self, ids_N: NDArray[np.int64], groups_N: NDArray[np.int64]) -> None:
        """Read the training text; called before the first step, and again on resume.

        Args:
            ids_N: the whole text, `BOS text EOS BOS …`.
            groups_N: the group number of each token.

        Raises:
            EscadaError: the text is unsuitable for the model.
        """

    @abstractmethod
    def training_nats(self, ids_BT: Tensor, starts_B: Tensor) -> Tensor:
        """Nats of the targets (B, T), the loss in place of the cross-entropy of `forward`.

        Also called before `read_training_text`, to measure time and memory.

        Args:
            ids_BT: windows and the token after each, (B, T + 1).
            starts_B: offsets in the text, which wraps around.
        """


def build_model(config: ModelConfig, vocab_size: int, seed: int) -> LanguageModel:
    """Make a model whose weights depend on the seed only; global random state is unchanged.

    Raises:
        EscadaError: the module's `Model` is not a language model, or lacks a method of one.
    """
    offered = MODELS.load(config.kind).Model
    if not (isinstance(offered, type) and issubclass(offered, LanguageModel)):
        raise EscadaError(
            "Model is no LanguageModel",
            where=config.kind,
            fix="derive it from escada.models.contract.LanguageModel",
        )
    if missing := sorted(offered.__abstractmethods__):
        raise EscadaError(
            f"Model lacks {', '.join(missing)}",
            where=config.kind,
            fix="write what escada.models.contract.LanguageModel asks for",
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return offered(config, vocab_size)
