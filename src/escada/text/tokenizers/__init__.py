"""Text to ids and back: characters, bytes, and SentencePiece subwords, behind one contract.

    tokenizer = train_tokenizer(spec.tokenizer, texts)
    tokenizer.save(folder)
    tokenizer = load_tokenizer(folder)

A kind of tokenizer is a module in this folder, or anywhere on the path, with `train(spec, texts)`
and `load(folder, content)`. Both return a `Tokenizer`, whose `kind` is the module's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from escada.errors import EscadaError
from escada.spec import TOKENIZERS, TokenizerSpec
from escada.text.tokenizers.contract import METADATA, Ids, Tokenizer, read_metadata

__all__ = ["METADATA", "Ids", "Tokenizer", "load_tokenizer", "train_tokenizer"]


def train_tokenizer(spec: TokenizerSpec, documents: Iterable[str]) -> Tokenizer:
    """Train the tokenizer of a spec; deterministic in the texts and their order.

    Raises:
        EscadaError: no text, or a vocabulary size that does not fit it.
    """
    tokenizer: Tokenizer = TOKENIZERS.load(spec.kind).train(spec, documents)
    if tokenizer.kind != spec.kind:
        raise EscadaError(
            f"the tokenizer calls itself {tokenizer.kind!r}",
            where=f"tokenizer.kind {spec.kind!r}",
            fix="let its kind be the name of its module",
        )
    return tokenizer


def load_tokenizer(folder: Path) -> Tokenizer:
    """Load a saved tokenizer.

    Raises:
        EscadaError: no tokenizer there, or a file is missing, corrupted or of another version.
    """
    content = read_metadata(folder)
    try:
        module = TOKENIZERS.load(str(content.get("kind")))
    except EscadaError as error:
        raise EscadaError(error.what, where=folder / METADATA, fix=error.fix) from error
    return module.load(folder, content)
