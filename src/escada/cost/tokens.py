"""Three token counts of a training that are often confused.

- *seen*: input tokens read, steps × sequences × window, with repetitions.
- *unique*: positions of the training stream read at least once.
- *trained*: predictions with a loss: one per token seen, or with `objective = "last"` one per
  window.

seen / unique is the number of passes over the text; learning curves are drawn over trained. With
`objective = "last"`, window 160 and stride 1, each character is seen 160 times per prediction.

`training_text` counts or estimates the tokens for a plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from escada.files import read_json
from escada.spec import Spec, TokenizerSpec, TrainSpec
from escada.text.batches import WindowBatches
from escada.text.corpus import Corpus
from escada.text.shards import MANIFEST
from escada.text.token_cache import SPLIT, tokens_path


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Token counts; see the module docstring."""

    unique: int
    seen: int
    trained: int
    stream: int
    """Tokens of the training stream, including BOS and EOS."""


def count_tokens(batches: WindowBatches, steps: int) -> TokenCounts:
    """Count the tokens of the first `steps` steps."""
    windows = steps * batches.batch_sequences
    return TokenCounts(
        unique=_unique(batches, windows),
        seen=windows * batches.window_tokens,
        trained=steps * batches.targets_per_step,
        stream=batches.stream.n_tokens,
    )


def _unique(batches: WindowBatches, windows: int) -> int:
    """Positions covered by at least one window.

    One epoch is enough: with all positions trained it covers the stream, and with the last only,
    every epoch has the same windows. Each window, in stream order, adds the positions up to the
    next window's start, at most its own length.
    """
    n_tokens = batches.stream.n_tokens
    if windows == 0:
        return 0
    if batches.objective == "all" and windows >= batches.windows_per_epoch:
        return n_tokens
    starts = np.unique(batches.starts(0, min(windows, batches.windows_per_epoch)))
    to_next = np.diff(starts, append=starts[0] + n_tokens)
    return int(np.minimum(to_next, batches.window_tokens).sum())


DEFAULT_TRAINING_BYTES = 3_037_875
"""UTF-8 bytes of the default corpus's training split, assumed when there is no corpus."""
BYTES_PER_CHARACTER_TOKEN = 1.025
"""Measured on the default corpus's training split."""
CHARACTER_VOCABULARY = 213
"""Characters that occur three times or more in the default corpus's training split."""
_BPE_BYTES_PER_TOKEN = ((1024, 2.378), (4096, 3.393), (16_384, 4.373))
"""Vocabulary size and UTF-8 bytes per token (BOS and EOS included) on the default corpus's training
split (2026-11)."""


@dataclass(frozen=True, slots=True)
class TrainingText:
    """The training split in tokens.

    Attributes:
        tokens: in the packed stream.
        bytes: UTF-8 bytes of its documents.
        basis: `counted`, `estimated` from the bytes of a corpus, or `assumed` (no corpus; the size
            of the default one).
    """

    tokens: int
    bytes: int
    vocab_size: int
    basis: str

    def windows(self, train: TrainSpec) -> float:
        """Windows per epoch, counted as in `escada.text.batches`."""
        spacing = train.window_tokens if train.objective == "all" else train.stride_tokens
        return math.ceil(self.tokens / spacing)

    def to_json(self) -> dict[str, int | str]:
        """The training text as in a plan."""
        return {
            "training_tokens": self.tokens,
            "training_bytes": self.bytes,
            "vocab_size": self.vocab_size,
            "basis": self.basis,
        }


def training_text(spec: Spec, corpus: Corpus | None) -> TrainingText:
    """Count or estimate the training split in the spec's tokens, without preparing any."""
    n_bytes = DEFAULT_TRAINING_BYTES if corpus is None else corpus.text_bytes("train")
    if corpus is not None:
        manifest = tokens_path(corpus, spec.tokenizer) / SPLIT / MANIFEST
        if manifest.exists():
            table = read_json(manifest)
            return TrainingText(table["n_tokens"], n_bytes, table["vocab_size"], "counted")
    tokens = round(n_bytes / bytes_per_token(spec.tokenizer))
    basis = "assumed" if corpus is None else "estimated"
    return TrainingText(tokens, n_bytes, _vocabulary(spec.tokenizer), basis)


def _vocabulary(tokenizer: TokenizerSpec) -> int:
    if tokenizer.vocab_size is not None:
        return tokenizer.vocab_size
    return 258 if tokenizer.kind == "bytes" else CHARACTER_VOCABULARY


def bytes_per_token(tokenizer: TokenizerSpec) -> float:
    """Estimated bytes per token of Portuguese, linear in log V between the measured points."""
    if tokenizer.vocab_size is None:
        return 1.0 if tokenizer.kind == "bytes" else BYTES_PER_CHARACTER_TOKEN
    (low, at_low), (middle, at_middle), (high, at_high) = _BPE_BYTES_PER_TOKEN
    if tokenizer.vocab_size >= middle:
        low, at_low = middle, at_middle
    else:
        high, at_high = middle, at_middle
    share = math.log(tokenizer.vocab_size / low) / math.log(high / low)
    return max(1.0, at_low + share * (at_high - at_low))
