"""What every tokenizer promises, and the metadata file that all kinds share.

Text goes in as Unicode without surrogates and comes back the same: `decode(encode(x)) == x`. A kind
that cannot promise this (characters, with an UNK) says what a loss costs in `unknown_bits`, and the
ruler charges it. Ids of special tokens never stand for text: the string "<s>" is three characters
like others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.files import content_hash, read_json, write_json

SCHEMA_VERSION = 1
METADATA = "tokenizer.json"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
"""What UNK, and bytes that are not UTF-8, decode to."""

Ids = NDArray[np.int32]


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def kind(self) -> str:
        """The name that the spec gives: `characters`, `bpe` … or its module."""
        ...

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens among them: ids lie in [0, vocab_size)."""
        ...

    @property
    def bos_id(self) -> int:
        """Begins a document."""
        ...

    @property
    def eos_id(self) -> int:
        """Ends a document."""
        ...

    @property
    def unk_id(self) -> int | None:
        """Stands for what the vocabulary lacks; None when the tokenizer is lossless."""
        ...

    @property
    def unknown_bits(self) -> float:
        """Bits that name one unknown character, on top of the model's for UNK; 0 if lossless."""
        ...

    @property
    def hash(self) -> str:
        """Hash of the content: equal tokenizers, equal hash."""
        ...

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (T,), without BOS and EOS."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text, faster."""
        ...

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Text of some ids. BOS and EOS vanish; UNK becomes U+FFFD."""
        ...

    def token_text(self, token: int) -> str | bytes:
        """What one id stands for, for display; bytes when it is a byte, `<bos>` when special."""
        ...

    def save(self, folder: Path) -> None:
        """Write the tokenizer into `folder`, as JSON and, for subwords, a SentencePiece model."""
        ...


def write_metadata(folder: Path, content: Mapping[str, object]) -> None:
    """Write `tokenizer.json`: the content, its schema version and its hash."""
    write_json(
        folder / METADATA,
        {"schema_version": SCHEMA_VERSION, "hash": content_hash(content), **content},
    )


def read_metadata(folder: Path) -> dict[str, Any]:
    """The content that `write_metadata` wrote.

    Raises:
        EscadaError: no tokenizer there, another schema version, or another hash than its own.
    """
    path = folder / METADATA
    if not path.exists():
        raise EscadaError("no tokenizer here", where=folder, fix=f"it would hold {METADATA}")
    content = read_json(path)
    version, expected = content.pop("schema_version", None), content.pop("hash", None)
    if version != SCHEMA_VERSION:
        raise EscadaError(
            f"tokenizer of schema version {version}, this escada reads {SCHEMA_VERSION}",
            where=path,
            fix="train it again",
        )
    if content_hash(content) != expected:
        raise corrupted(path)
    return content


def checked_ids(
    ids: Sequence[int] | NDArray[np.integer[Any]], vocab_size: int
) -> NDArray[np.int64]:
    """Ids as an array.

    Raises:
        IndexError: one outside the vocabulary.
    """
    array = np.asarray(ids, dtype=np.int64)
    if array.size and (array.min() < 0 or array.max() >= vocab_size):
        raise IndexError(f"id outside [0, {vocab_size})")
    return array


def corrupted(path: Path) -> EscadaError:
    """The error of a file whose content is not what its hash says."""
    return EscadaError(
        "corrupted tokenizer: content and hash differ",
        where=path,
        fix="restore the file or train the tokenizer again",
    )
