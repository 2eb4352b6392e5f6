"""SentencePiece's BPE (Sennrich et al. 2016), with byte fallback."""

from __future__ import annotations

from collections.abc import Iterable

from escada.spec import TokenizerSpec
from escada.text.tokenizers.subwords import SubwordTokenizer


def train(spec: TokenizerSpec, documents: Iterable[str]) -> SubwordTokenizer:
    """See `SubwordTokenizer.train`."""
    return SubwordTokenizer.of_spec(spec, "bpe", documents)


load = SubwordTokenizer.load
