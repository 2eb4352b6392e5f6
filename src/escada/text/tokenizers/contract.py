"""The contract of every tokenizer, and the metadata file that all kinds share.

Text is Unicode without surrogates, and `decode(encode(x)) == x`. A kind that cannot guarantee this
(characters, with UNK) gives the cost of a loss in `unknown_bits`, and the ruler charges it. Text
never encodes to the ids of special tokens: the string "<s>" is three ordinary characters.
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
"""What UNK and invalid UTF-8 decode to."""

Ids = NDArray[np.int32]


@runtime_checkable
class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def kind(self) -> str:
        """The name in the spec: `characters`, `bpe` … or its module."""
        ...

    @property
    def vocab_size(self) -> int:
        """Number of ids, special tokens included."""
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
        """The id of unknown characters; None for a lossless tokenizer."""
        ...

    @property
    def unknown_bits(self) -> float:
        """Bits to name an unknown character, in addition to the model's for UNK; 0 if lossless."""
        ...

    @property
    def hash(self) -> str:
        """Content hash: equal for equal tokenizers."""
        ...

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (T,), without BOS and EOS."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text, faster than one by one."""
        ...

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Decode ids. BOS and EOS are dropped; UNK becomes U+FFFD."""
        ...

    def token_text(self, token: int) -> str | bytes:
        """One token for display: text, bytes for a byte token, `<bos>` … for a special one."""
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
    """Read what `write_metadata` wrote.

    Raises:
        EscadaError: no tokenizer there, another schema version, or a hash that does not match.
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
        IndexError: an id outside the vocabulary.
    """
    array = np.asarray(ids, dtype=np.int64)
    if array.size and (array.min() < 0 or array.max() >= vocab_size):
        raise IndexError(f"id outside [0, {vocab_size})")
    return array


def corrupted(path: Path) -> EscadaError:
    """The error for a file whose content does not match its hash."""
    return EscadaError(
        "corrupted tokenizer: content and hash differ",
        where=path,
        fix="restore the file or train the tokenizer again",
    )
