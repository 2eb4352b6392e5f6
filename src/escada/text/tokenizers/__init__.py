"""Text to ids and back: characters, bytes, and SentencePiece subwords, behind one contract.

tokenizer = train_tokenizer(spec.tokenizer, texts)
tokenizer.save(folder)
tokenizer = load_tokenizer(folder)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from escada.errors import EscadaError, nearest
from escada.spec import TokenizerSpec
from escada.text.tokenizers.contract import METADATA, Ids, Tokenizer, read_metadata

__all__ = ["METADATA", "Ids", "Tokenizer", "load_tokenizer", "train_tokenizer"]

KINDS = ("characters", "bytes", "bpe", "unigram")


def train_tokenizer(spec: TokenizerSpec, documents: Iterable[str]) -> Tokenizer:
    """The tokenizer that a spec describes, learned from the training texts.

    The same texts in the same order give the same tokenizer.

    Raises:
        EscadaError: no text, or a vocabulary that does not fit it.
    """
    if spec.kind == "characters":
        from escada.text.tokenizers.characters import CharacterTokenizer

        return CharacterTokenizer.train(documents, min_count=spec.min_count)
    if spec.kind == "bytes":
        from escada.text.tokenizers.bytes import ByteTokenizer

        return ByteTokenizer()
    from escada.text.tokenizers.subwords import SubwordTokenizer

    if spec.vocab_size is None:
        raise EscadaError(f"tokenizer.vocab_size is needed for {spec.kind!r}")
    return SubwordTokenizer.train(
        documents,
        kind=spec.kind,
        vocab_size=spec.vocab_size,
        character_coverage=spec.character_coverage,
    )


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer that was saved in a folder.

    Raises:
        EscadaError: there is none, or a file is missing, corrupted or of another version.
    """
    content = read_metadata(folder)
    kind = content.get("kind")
    if kind == "characters":
        from escada.text.tokenizers.characters import CharacterTokenizer

        return CharacterTokenizer.from_content(content)
    if kind == "bytes":
        from escada.text.tokenizers.bytes import ByteTokenizer

        return ByteTokenizer()
    if kind in ("bpe", "unigram"):
        from escada.text.tokenizers.subwords import SubwordTokenizer

        return SubwordTokenizer.load(folder, content)
    raise EscadaError(
        f"unknown kind of tokenizer {kind!r}",
        where=folder / METADATA,
        fix=nearest(str(kind), KINDS),
    )
