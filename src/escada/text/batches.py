"""Windows of the token stream, shuffled and repeatable: batch number s depends on s alone.

The stream of N tokens is circular. Each epoch draws an offset below the window size, a multiple of
the stride, and lays windows end to end from there, so every token is a target once; over the epochs
every offset is used. When the window does not divide N, the last window of an epoch overlaps the
first one, and fewer than `window_tokens` targets are seen twice. The windows are visited in the
order of a permutation that is computed, not stored.

With `objective="last"` only the last target of a window is trained. Windows then start at every
multiple of the stride, N / stride of them per epoch.

There is no state between batches: the step number is all that resuming needs.

Shapes: B sequences in a batch, T tokens in a window.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError, counted
from escada.text.permutation import Permutation
from escada.text.shards import TokenStream

_MOST_AT_ONCE = 4096
"""Block size for computing window starts; large blocks make the permutation cheap."""
_WINDOWS, _OFFSETS = 0, 1
"""Permutation keys: one for the order of the windows, one for the offsets."""


class WindowBatches:
    """Batches of training windows.

    Args:
        stride_tokens: grid of the offsets (of the window starts when `objective` is "last").

    Raises:
        EscadaError: the stream is not longer than a window.
    """

    def __init__(
        self,
        stream: TokenStream,
        *,
        window_tokens: int,
        stride_tokens: int,
        batch_sequences: int,
        seed: int,
        objective: Literal["all", "last"] = "all",
    ) -> None:
        if stream.n_tokens <= window_tokens:
            raise EscadaError(
                f"the training text has {counted(stream.n_tokens, 'token')}, a window needs "
                f"{window_tokens + 1}",
                where=stream.path,
                fix="prepare more text or choose a smaller train.window_tokens",
            )
        self.stream = stream
        self.window_tokens = window_tokens
        self.stride_tokens = stride_tokens
        self.batch_sequences = batch_sequences
        self.seed = seed
        self.objective = objective
        self.spacing_tokens = window_tokens if objective == "all" else stride_tokens
        self.windows_per_epoch = -(-stream.n_tokens // self.spacing_tokens)
        self.targets_per_step = batch_sequences * (window_tokens if objective == "all" else 1)
        # A block larger than an epoch would compute epochs that may never be used.
        self._block_windows = max(batch_sequences, min(_MOST_AT_ONCE, self.windows_per_epoch))
        self._block_starts = lru_cache(maxsize=1)(self._starts_of_block)

    @property
    def steps_per_epoch(self) -> float:
        """Steps to visit every window once; not always a whole number."""
        return self.windows_per_epoch / self.batch_sequences

    def epoch_of(self, step: int) -> int:
        """The epoch of a step's first window, from 0."""
        return step * self.batch_sequences // self.windows_per_epoch

    def offset_of(self, epoch: int) -> int:
        """Start of an epoch's first window, in tokens; 0 when `objective` is "last"."""
        if self.objective == "last":
            return 0
        n_offsets = -(-self.window_tokens // self.stride_tokens)
        cycle, turn = divmod(epoch, n_offsets)
        order = Permutation(n_offsets, self.seed, _OFFSETS, cycle)
        return int(order(np.array([turn]))[0]) * self.stride_tokens

    def batch(self, step: int) -> NDArray[np.int64]:
        """int64, (B, T + 1): inputs [:, :-1] and targets [:, 1:] of a step, from 0."""
        first = step * self.batch_sequences
        return self.stream.windows(self.starts(first, self.batch_sequences), self.window_tokens + 1)

    def starts(self, first: int, count: int) -> NDArray[np.int64]:
        """Start positions of `count` windows; `first` counts from epoch 0. Shape (count,)."""
        parts: list[NDArray[np.int64]] = []
        number, end = first, first + count
        while number < end:
            block, place = divmod(number, self._block_windows)
            part = self._block_starts(block)[place : place + end - number]
            parts.append(part)
            number += len(part)
        return np.concatenate(parts)

    def _starts_of_block(self, block: int) -> NDArray[np.int64]:
        numbers = block * self._block_windows + np.arange(self._block_windows)
        epochs, places = np.divmod(numbers, self.windows_per_epoch)
        starts = np.empty(len(epochs), dtype=np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order = Permutation(self.windows_per_epoch, self.seed, _WINDOWS, int(epoch))
            starts[here] = self.offset_of(int(epoch)) + order(places[here]) * self.spacing_tokens
        return starts % self.stream.n_tokens
