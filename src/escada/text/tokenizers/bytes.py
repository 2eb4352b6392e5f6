"""One id per UTF-8 byte, plus BOS and EOS: no training, lossless."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.files import content_hash
from escada.spec import TokenizerSpec
from escada.text.tokenizers.contract import Ids, checked_ids, write_metadata


class ByteTokenizer:
    """Bytes as ids: 0-255 are the bytes, 256 BOS, 257 EOS."""

    kind = "bytes"
    vocab_size: int = 258
    bos_id: int = 256
    eos_id: int = 257
    unk_id: int | None = None
    unknown_bits: float = 0.0

    def __init__(self) -> None:
        self.hash = content_hash(self._content())

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (number of UTF-8 bytes,)."""
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int32)

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Decode ids. BOS and EOS are dropped; invalid UTF-8 becomes U+FFFD."""
        array = checked_ids(ids, self.vocab_size)
        return array[array < 256].astype(np.uint8).tobytes().decode("utf-8", errors="replace")

    def token_text(self, token: int) -> str | bytes:
        """The byte of an id, or the name of a special token."""
        return bytes([token]) if token < 256 else ("<bos>", "<eos>")[token - 256]

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        write_metadata(folder, self._content())

    def _content(self) -> dict[str, object]:
        return {"kind": self.kind, "vocab_size": self.vocab_size}


def train(spec: TokenizerSpec, documents: Iterable[str]) -> ByteTokenizer:
    """The only byte tokenizer; there is nothing to train."""
    return ByteTokenizer()


def load(folder: Path, content: Mapping[str, Any]) -> ByteTokenizer:
    """The only byte tokenizer; there is nothing to read."""
    return ByteTokenizer()
