"""Three ways to count the tokens of a training, which are often taken for one another.

- *seen*: input tokens that were read, steps × sequences × window; a token read twice counts twice.
- *unique*: places of the training stream that were an input at least once.
- *trained*: predictions that had a loss, one for each token seen, or with `objective = "last"` one
  for each window.

seen / unique is how often the text was read; trained is what learning curves are drawn over. A
window of 160 characters that trains its last position only, moved on by one, sees each character
160 times for one prediction.

What a plan knows before there is a training is at the end: `training_text`, counted or estimated.
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


DEFAULT_TRAINING_BYTES = 3_037_875
"""UTF-8 bytes of the training split of the default corpus: what a plan assumes without a corpus."""
BYTES_PER_CHARACTER_TOKEN = 1.025
CHARACTER_VOCABULARY = 213
"""Both of the default corpus, whose characters seen three times or more these are."""
_BPE_BYTES_PER_TOKEN = ((1024, 2.378), (4096, 3.393), (16_384, 4.373))
"""Of the default corpus's training split by vocabulary, BOS and EOS included (2026-11)."""


@dataclass(frozen=True, slots=True)
class TrainingText:
    """The training split in tokens.

    Attributes:
        tokens: of the packed stream.
        bytes: UTF-8 bytes of its documents.
        vocab_size: V.
        basis: `counted`; `estimated` from the bytes of a corpus; `assumed`: no corpus at hand, the
            size of the default one.
    """

    tokens: int
    bytes: int
    vocab_size: int
    basis: str

    def windows(self, train: TrainSpec) -> float:
        """Windows of an epoch, as `escada.text.batches` counts them."""
        spacing = train.window_tokens if train.objective == "all" else train.stride_tokens
        return math.ceil(self.tokens / spacing)

    def to_json(self) -> dict[str, int | str]:
        """As JSON."""
        return {
            "training_tokens": self.tokens,
            "training_bytes": self.bytes,
            "vocab_size": self.vocab_size,
            "basis": self.basis,
        }


def training_text(spec: Spec, corpus: Corpus | None) -> TrainingText:
    """What is known of the training split in the spec's tokens; nothing is prepared for it."""
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
    """UTF-8 bytes of Portuguese in a token, by the default corpus; straight in log V in between."""
    if tokenizer.vocab_size is None:
        return 1.0 if tokenizer.kind == "bytes" else BYTES_PER_CHARACTER_TOKEN
    (low, at_low), (middle, at_middle), (high, at_high) = _BPE_BYTES_PER_TOKEN
    if tokenizer.vocab_size >= middle:
        low, at_low = middle, at_middle
    else:
        high, at_high = middle, at_middle
    share = math.log(tokenizer.vocab_size / low) / math.log(high / low)
    return max(1.0, at_low + share * (at_high - at_low))
