"""Three ways to count the tokens of a training, which are often taken for one another.

- *seen*: input tokens that were read, steps × sequences × window; a token read twice counts twice.
- *unique*: places of the training stream that were an input at least once.
- *trained*: predictions that had a loss, one for each token seen, or with `objective = "last"` one
  for each window.

seen / unique is how often the text was read; trained is what learning curves are drawn over. A
window of 160 characters that trains its last position only, moved on by one, sees each character
160 times for one prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from escada.text.batches import WindowBatches


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """See the module."""

    unique: int
    seen: int
    trained: int
    stream: int
    """Tokens of the training stream, BOS and EOS included."""


def count_tokens(batches: WindowBatches, steps: int) -> TokenCounts:
    """The tokens of the first `steps` steps."""
    windows = steps * batches.batch_sequences
    return TokenCounts(
        unique=_unique(batches, windows),
        seen=windows * batches.window_tokens,
        trained=steps * batches.targets_per_step,
        stream=batches.stream.n_tokens,
    )


def _unique(batches: WindowBatches, windows: int) -> int:
    """Places that lie in at least one window.

    Only the first epoch has to be looked at: with every position trained it covers the stream, and
    with the last one only, every epoch has the same windows. Each window, in the order of the
    stream, adds what reaches up to the next one's start, or itself if that is less.
    """
    n_tokens = batches.stream.n_tokens
    if windows == 0:
        return 0
    if batches.objective == "all" and windows >= batches.windows_per_epoch:
        return n_tokens
    starts = np.unique(batches.starts(0, min(windows, batches.windows_per_epoch)))
    to_next = np.diff(starts, append=starts[0] + n_tokens)
    return int(np.minimum(to_next, batches.window_tokens).sum())
