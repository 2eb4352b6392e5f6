"""Compressors as baselines: xz and zstd on the same bytes as every rung.

A compressor's output, in bits over reference bytes, is comparable with a model's. What
each one has seen when it reads a document differs, and is part of its protocol:

    documents/one-stream                  xz of all documents concatenated
    documents/one-stream-after-training   xz of training text and documents, minus xz of the
                                          training text
    document/frame                        zstd of each document alone, with a dictionary trained
                                          on the training text

The end of a document is charged, as EOS is to a model: the streams use the byte 0xFF, which is
never in UTF-8 text, and each frame marks its last block. Container overhead is not charged: raw
LZMA2 has no header and no checksum; zstd frames are written without magic number, length, checksum
and dictionary id, which leaves 2 bytes per frame and 3 per block.
"""

from __future__ import annotations

import lzma
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import zstandard

from escada.errors import EscadaError
from escada.evaluation.ruler import DocumentScores
from escada.text.documents import Document

END = b"\xff"
XZ_LEAST_WINDOW, XZ_MOST_WINDOW = 2**12, 2**27
"""LZMA window in bytes; compression needs eleven times as much memory."""
ZSTD_LEVEL = 22
ZSTD_DICTIONARY_BYTES = 2**21
ZSTD_SEGMENT_BYTES, ZSTD_MATCH_BYTES = 512, 8
"""Lengths of the dictionary's segments and of the substrings that choose them (COVER's k and d)."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """Compressed bits over UTF-8 bytes of text, and how they were obtained.

    `scores` are per document, or None where documents are not compressed separately.
    """

    bits_per_byte: float
    protocol: str
    settings: dict[str, int | str]
    scores: DocumentScores | None = None


def xz_stream(documents: Sequence[Document]) -> Compressed:
    """xz of the documents in one stream, in their order.

    Raises:
        EscadaError: the documents hold no byte.
    """
    stream = _stream([document.text for document in documents])
    window = _window(len(stream))
    bits = 8 * len(_xz(stream, window)) / _text_bytes(documents)
    return Compressed(bits, "documents/one-stream", _xz_settings(window))


def xz_after_training(documents: Sequence[Document], training: Sequence[str]) -> Compressed:
    """The bytes that the documents add to xz of the training text.

    The window covers both, so that all of the training text stays within reach.

    Raises:
        EscadaError: the documents hold no byte.
    """
    before = _stream(training)
    both = before + _stream([document.text for document in documents])
    window = _window(len(both))
    added = len(_xz(both, window)) - len(_xz(before, window))
    bits = 8 * added / _text_bytes(documents)
    return Compressed(bits, "documents/one-stream-after-training", _xz_settings(window))


def zstd_with_dictionary(
    documents: Sequence[Document], training: Sequence[str]
) -> Compressed | None:
    """zstd of each document alone, with a dictionary trained on the training texts.

    Returns:
        None where the training texts are too few or too short to train a dictionary.

    Raises:
        EscadaError: the documents hold no byte.
    """
    n_bytes = _text_bytes(documents)
    try:
        dictionary = zstandard.train_dictionary(
            ZSTD_DICTIONARY_BYTES,
            [text.encode() for text in training],
            k=ZSTD_SEGMENT_BYTES,
            d=ZSTD_MATCH_BYTES,
        )
    except zstandard.ZstdError:
        return None
    began = time.perf_counter()
    sizes = np.array([len(frame) for frame in zstd_frames(documents, dictionary)], dtype=np.int64)
    none = np.zeros(len(documents), dtype=np.int64)
    return Compressed(
        bits_per_byte=8 * int(sizes.sum()) / n_bytes,
        protocol="document/frame",
        settings={
            "level": ZSTD_LEVEL,
            "dictionary_bytes": len(dictionary.as_bytes()),
            "segment_bytes": ZSTD_SEGMENT_BYTES,
            "match_bytes": ZSTD_MATCH_BYTES,
            "zstandard": zstandard.__version__,
        },
        scores=DocumentScores(
            ids=[document.id for document in documents],
            sources=[document.source for document in documents],
            groups=[document.group for document in documents],
            nats=sizes.astype(np.float64) * 8 * math.log(2),
            bytes=np.array([document.n_bytes for document in documents], dtype=np.int64),
            tokens=none,
            correct=none,
            unknown=none,
            protocol="document/frame",
            context_tokens=None,
            seconds=time.perf_counter() - began,
        ),
    )


def zstd_frames(
    documents: Sequence[Document], dictionary: zstandard.ZstdCompressionDict
) -> list[bytes]:
    """One frame per document, without container overhead (see the module)."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        ZSTD_LEVEL,
        dict_size=len(dictionary.as_bytes()),
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
    )
    dictionary.precompute_compress(compression_params=parameters)
    compressor = zstandard.ZstdCompressor(dict_data=dictionary, compression_params=parameters)
    return [compressor.compress(document.text.encode()) for document in documents]


def xz_filters(window_bytes: int) -> list[dict[str, int]]:
    """`xz -9e`, except for two settings.

    The window is as large as the text needs, and `pb` is 0 because text has no byte alignment.
    """
    return [
        {
            "id": lzma.FILTER_LZMA2,
            "dict_size": window_bytes,
            "lc": 3,
            "lp": 0,
            "pb": 0,
            "mode": lzma.MODE_NORMAL,
            "mf": lzma.MF_BT4,
            "nice_len": 273,
            "depth": 512,
        }
    ]


def _xz(data: bytes, window_bytes: int) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=xz_filters(window_bytes))


def _xz_settings(window_bytes: int) -> dict[str, int | str]:
    named = {key: value for key, value in xz_filters(window_bytes)[0].items() if key != "id"}
    return {"filter": "LZMA2", **named}


def _window(n_bytes: int) -> int:
    return min(max(n_bytes, XZ_LEAST_WINDOW), XZ_MOST_WINDOW)


def _stream(texts: Sequence[str]) -> bytes:
    return b"".join(text.encode() + END for text in texts)


def _text_bytes(documents: Sequence[Document]) -> int:
    n_bytes = sum(document.n_bytes for document in documents)
    if not n_bytes:
        raise EscadaError("there is no text to measure", fix="check the file or the split")
    return n_bytes
