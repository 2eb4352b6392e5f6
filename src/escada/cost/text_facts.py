"""What a plan knows of the text: its tokens and the vocabulary, counted or estimated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from escada.files import read_json
from escada.spec import Spec, TokenizerSpec, TrainSpec
from escada.text.corpus import Corpus
from escada.text.shards import MANIFEST
from escada.text.token_cache import SPLIT, tokens_path

DEFAULT_TRAINING_BYTES = 3_037_875
"""UTF-8 bytes of the training split of the default corpus: what a plan assumes without a corpus."""
BYTES_PER_CHARACTER_TOKEN = 1.025
CHARACTER_VOCABULARY = 213
"""Both of the default corpus, whose characters seen three times or more these are."""
_BPE_BYTES_PER_TOKEN = ((1024, 2.378), (4096, 3.393), (16_384, 4.373))
"""Of the default corpus's training split by vocabulary, BOS and EOS included (2026-11)."""


@dataclass(frozen=True, slots=True)
class TextFacts:
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

    def to_facts(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "training_tokens": self.tokens,
            "training_bytes": self.bytes,
            "vocab_size": self.vocab_size,
            "basis": self.basis,
        }


def text_facts(spec: Spec, corpus: Corpus | None) -> TextFacts:
    """What is known of the training split in the spec's tokens; nothing is prepared for it."""
    n_bytes = DEFAULT_TRAINING_BYTES if corpus is None else corpus.text_bytes("train")
    if corpus is not None:
        manifest = tokens_path(corpus, spec.tokenizer) / SPLIT / MANIFEST
        if manifest.exists():
            table = read_json(manifest)
            return TextFacts(table["n_tokens"], n_bytes, table["vocab_size"], "counted")
    tokens = round(n_bytes / bytes_per_token(spec.tokenizer))
    basis = "assumed" if corpus is None else "estimated"
    return TextFacts(tokens, n_bytes, _vocabulary(spec.tokenizer), basis)


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
