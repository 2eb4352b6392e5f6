"""One id per character (Unicode scalar value), with UNK for rare characters.

The UTF-32 form of a text indexes a table of 1,114,112 ids. Characters seen fewer than `min_count`
times in training become UNK. Naming one of the 1,112,064 - |V| characters outside the vocabulary
costs log2 of their number in bits; charging that makes the code lossless.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.files import content_hash
from escada.spec import TokenizerSpec
from escada.text.tokenizers.contract import REPLACEMENT, Ids, checked_ids, write_metadata

UNICODE_SCALARS = 1_112_064
"""Code points that text can hold: 0x110000 minus 2,048 surrogates."""

_CODE_POINTS = 0x110000
_ENCODE_AT_ONCE = 65_536
"""Characters per lookup: the arrays fit the CPU cache, which is three times as fast."""
_COUNT_AT_ONCE = 4_000_000
"""Characters per `bincount`, whose cost is the size of Unicode even for a short text."""


class CharacterTokenizer:
    """Characters as ids: 0 UNK, 1 BOS, 2 EOS, then the characters by code point."""

    kind = "characters"
    unk_id: int = 0
    bos_id: int = 1
    eos_id: int = 2

    def __init__(self, characters: Iterable[str], *, min_count: int = 1) -> None:
        ordered = sorted(set(characters))
        self.characters = "".join(ordered)
        if not ordered or len(self.characters) != len(ordered):
            raise ValueError("a character vocabulary needs single characters, at least one")
        self.min_count = min_count
        self.vocab_size = 3 + len(ordered)
        points = code_points(self.characters)
        self._id_of_point = np.zeros(_CODE_POINTS, dtype=np.int32)
        self._id_of_point[points] = np.arange(3, self.vocab_size, dtype=np.int32)
        replacement = np.array([ord(REPLACEMENT), 0, 0], dtype=np.uint32)
        self._point_of_id = np.concatenate([replacement, points])
        self.hash = content_hash(self._content())

    @classmethod
    def train(cls, documents: Iterable[str], *, min_count: int = 3) -> CharacterTokenizer:
        """The characters that occur at least `min_count` times in the documents.

        Raises:
            EscadaError: there are none.
        """
        counts = np.zeros(_CODE_POINTS, dtype=np.int64)
        for text in _joined(documents):
            counts += np.bincount(code_points(text), minlength=_CODE_POINTS)
        kept = np.flatnonzero(counts >= min_count)
        if not kept.size:
            raise EscadaError(
                f"no character occurs at least {min_count} times",
                fix="give the tokenizer more text",
            )
        return cls((chr(point) for point in kept.tolist()), min_count=min_count)

    @property
    def unknown_bits(self) -> float:
        """log2 of the number of characters outside the vocabulary."""
        return math.log2(UNICODE_SCALARS - len(self.characters))

    def encode(self, text: str) -> Ids:
        """Ids of a text, int32, shape (number of characters,)."""
        ids = np.empty(len(text), dtype=np.int32)
        for start in range(0, len(text), _ENCODE_AT_ONCE):
            points = code_points(text[start : start + _ENCODE_AT_ONCE])
            # Every code point is in the table: "clip" never clips, it skips the bounds check.
            self._id_of_point.take(points, out=ids[start : start + len(points)], mode="clip")
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[Ids]:
        """`encode` of each text, in one lookup."""
        ids = self.encode("".join(texts))
        ends = accumulate(map(len, texts), initial=0)
        return [ids[start:end] for start, end in pairwise(ends)]

    def decode(self, ids: Sequence[int] | NDArray[np.integer[Any]]) -> str:
        """Decode ids. BOS and EOS are dropped; UNK becomes U+FFFD."""
        array = checked_ids(ids, self.vocab_size)
        array = array[(array != self.bos_id) & (array != self.eos_id)]
        return self._point_of_id[array].astype("<u4").tobytes().decode("utf-32-le")

    def token_text(self, token: int) -> str | bytes:
        """The character of an id, or the name of a special token."""
        return ("<unk>", "<bos>", "<eos>")[token] if token < 3 else self.characters[token - 3]

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`."""
        write_metadata(folder, self._content())

    def _content(self) -> dict[str, object]:
        return {
            "kind": self.kind,
            "vocab_size": self.vocab_size,
            "min_count": self.min_count,
            "characters": self.characters,
        }


def code_points(text: str) -> NDArray[np.uint32]:
    """The code points of a text, shape (number of characters,)."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


def _joined(documents: Iterable[str]) -> Iterator[str]:
    """The same characters in texts of about `_COUNT_AT_ONCE`."""
    held: list[str] = []
    size = 0
    for text in documents:
        held.append(text)
        size += len(text)
        if size >= _COUNT_AT_ONCE:
            yield "".join(held)
            held, size = [], 0
    yield "".join(held)


def train(spec: TokenizerSpec, documents: Iterable[str]) -> CharacterTokenizer:
    """See `CharacterTokenizer.train`."""
    return CharacterTokenizer.train(documents, min_count=spec.min_count)


def load(folder: Path, content: Mapping[str, Any]) -> CharacterTokenizer:
    """The tokenizer of a metadata file."""
    return CharacterTokenizer(content["characters"], min_count=content["min_count"])
