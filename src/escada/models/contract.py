"""What every model of the ladder promises, and all that the rest of escada knows of one.

A training tries the promises before its first step: `escada.generation.contract_check`.

Shapes, here and in every model file:
    B  sequences in a batch        T  tokens in a sequence       V  vocabulary
    D  width of the model          N  heads                      H  width of a head or hidden state
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from escada.errors import EscadaError
from escada.models.saved import SavedBytes, Setting, counted
from escada.spec import MODELS, ModelConfig


class DecodingState(Protocol):
    """What a model remembers of the tokens it has read, one row per sequence.

    Rows may have read different numbers of tokens. `LanguageModel.advance` advances it in place.
    """

    @property
    def batch_size(self) -> int:
        """Rows."""
        ...

    def select(self, rows: Tensor) -> Self:
        """A state of its own with the rows of that index: int64, (B',); may repeat or drop rows."""
        ...

    @classmethod
    def concatenate(cls, states: Sequence[Self]) -> Self:
        """Several states as one batch, in that order."""
        ...


class LanguageModel(nn.Module, ABC):
    """A causal language model: the logits at t depend on ids up to t only.

    Attributes:
        vocab_size: V.
        context_tokens: the most tokens that it reads at once; None: its state carries any length.
    """

    vocab_size: int
    context_tokens: int | None

    @abstractmethod
    def forward(self, ids_BT: Tensor) -> Tensor:
        """Logits of the token after each position, from a fresh state.

        Args:
            ids_BT: int64. T is at most `context_tokens`, if that is set.

        Returns:
            Logits, shape (B, T, V); fp32 unless autocast is on.
        """

    def last_logits(self, ids_BT: Tensor) -> Tensor:
        """Logits of the token after the last position only, from a fresh state.

        A model file may do better than this: with the output matrix at one position instead of T,
        the window protocol saves most of its largest product.

        Args:
            ids_BT: as for `forward`.

        Returns:
            Logits, shape (B, V): `forward(ids_BT)[:, -1]`.
        """
        return self(ids_BT)[:, -1]

    @property
    def device(self) -> torch.device:
        """Where the weights are: ids go there, and states are made there.

        A model file asks this, and no layer of its own, since decoding packs layers: a packed one
        is no parameter, and is on the CPU.
        """
        tensors = itertools.chain(self.parameters(), self.buffers())
        return next((tensor.device for tensor in tensors), torch.device("cpu"))

    @abstractmethod
    def fresh_state(self, batch_size: int) -> DecodingState:
        """The state before the first token, on `device`."""

    @abstractmethod
    def advance(self, ids_BT: Tensor, state: DecodingState) -> Tensor:
        """Read T more tokens a row, in place, and return their logits (B, T, V), without gradients.

        Raises:
            ValueError: a row would exceed `context_tokens`.
        """

    @abstractmethod
    def forward_flops_per_token(self, context_tokens: int) -> float:
        """Floating-point operations of the forward pass for one token of a sequence of that length.

        Counts matrix multiplications only (2 per multiply-add), as in Kaplan et al. 2020: attention
        over the mean causal length included, embedding look-ups excluded. Training is three times
        that.
        """

    def saved_bytes(self, window_tokens: int, setting: Setting) -> SavedBytes:
        """What the forward pass of a training step keeps for the backward pass, without logits.

        A model file states it in closed form; this one counts, on forward passes of one and of two
        sequences.
        """
        return counted(self, window_tokens, setting)

    def parts(self) -> Mapping[str, LanguageModel]:
        """Of a mixture, the models that it mixes, each to be measured alone; else nothing."""
        return {}

    def make_room(self, weights: Mapping[str, Tensor]) -> None:
        """Give every buffer the size that it has in `weights`, which are copied in afterwards.

        Only a model whose buffers grow with its training text has anything to do here.
        """

    def parameter_count(self) -> int:
        """Parameters, tied ones once."""
        return sum(parameter.numel() for parameter in self.parameters())


class ReadsTrainingText(ABC):
    """What a model adds to the contract that takes more from its training text than gradients."""

    @abstractmethod
    def read_training_text(self, ids_N: NDArray[np.int64], groups_N: NDArray[np.int64]) -> None:
        """Take what the model wants, before its first step and before a resumed one.

        Args:
            ids_N: the whole text, `BOS text EOS BOS …`.
            groups_N: the number of the group that each token belongs to.

        Raises:
            EscadaError: the text does not suit the model.
        """

    @abstractmethod
    def training_nats(self, ids_BT: Tensor, starts_B: Tensor) -> Tensor:
        """Nats of the targets of windows of that text, in place of the cross-entropy of `forward`.

        Before `read_training_text` too, where only time and memory are asked for.

        Args:
            ids_BT: windows with the token after each, (B, T + 1).
            starts_B: where they begin in the text, which is read in a circle.

        Returns:
            Shape (B, T).
        """


def build_model(config: ModelConfig, vocab_size: int, seed: int) -> LanguageModel:
    """A model with fresh weights: the same seed gives the same weights, whatever ran before.

    The global random state is left as it was.

    Raises:
        EscadaError: the model file's `Model` is no language model, or lacks a method of one.
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
