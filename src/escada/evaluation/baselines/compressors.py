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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
import zstandard

from escada.errors import EscadaError
from escada.evaluation.ruler import DocumentNames, DocumentScores, in_batches
from escada.text.documents import Document

END = b"\xff"
XZ_LEAST_WINDOW, XZ_MOST_WINDOW = 2**12, 2**26
"""LZMA window in bytes; compression needs eleven times as much memory."""
XZ_FED_CHARACTERS = 2**20
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


def xz_stream(documents: Iterable[Document]) -> Compressed:
    """xz of the documents in one stream, in their order.

    Documents and training texts are streamed, and iterated more than once.

    Raises:
        EscadaError: the documents hold no byte.
    """
    text_bytes, n_documents = _size(documents)
    window = _window(text_bytes + n_documents)
    n_bytes = _xz_bytes(_texts(documents), window)
    return Compressed(8 * n_bytes / text_bytes, "documents/one-stream", _xz_settings(window))


def xz_after_training(documents: Iterable[Document], training: Iterable[str]) -> Compressed:
    """The bytes that the documents add to xz of the training text.

    The window covers both, so that all of the training text stays within reach.

    Raises:
        EscadaError: the documents hold no byte.
    """
    text_bytes, n_documents = _size(documents)
    window = _window(text_bytes + n_documents + sum(len(text.encode()) + 1 for text in training))
    both = _xz_bytes(chain(training, _texts(documents)), window)
    bits = 8 * (both - _xz_bytes(training, window)) / text_bytes
    return Compressed(bits, "documents/one-stream-after-training", _xz_settings(window))


def zstd_dictionary(training: Iterable[str]) -> zstandard.ZstdCompressionDict | None:
    """A dictionary; None where the training texts are too few or too short for one."""
    try:
        return zstandard.train_dictionary(
            ZSTD_DICTIONARY_BYTES,
            [text.encode() for text in training],
            k=ZSTD_SEGMENT_BYTES,
            d=ZSTD_MATCH_BYTES,
        )
    except zstandard.ZstdError:
        return None


def zstd_with_dictionary(
    documents: Iterable[Document], dictionary: zstandard.ZstdCompressionDict
) -> Compressed:
    """zstd of each document alone, with a dictionary.

    Raises:
        EscadaError: the documents hold no byte.
    """
    began = time.perf_counter()
    names = DocumentNames()
    frames = zstd_frames(names.texts(documents), dictionary)
    sizes = np.fromiter(map(len, frames), dtype=np.int64)
    seconds = time.perf_counter() - began
    scores = names.scores(
        "document/frame", seconds, nats=sizes.astype(np.float64) * 8 * math.log(2)
    )
    if not scores.bytes.sum():
        raise _no_text()
    return Compressed(
        bits_per_byte=8 * int(sizes.sum()) / int(scores.bytes.sum()),
        protocol="document/frame",
        settings={
            "level": ZSTD_LEVEL,
            "dictionary_bytes": len(dictionary.as_bytes()),
            "segment_bytes": ZSTD_SEGMENT_BYTES,
            "match_bytes": ZSTD_MATCH_BYTES,
            "zstandard": zstandard.__version__,
        },
        scores=scores,
    )


def zstd_frames(texts: Iterable[str], dictionary: zstandard.ZstdCompressionDict) -> Iterator[bytes]:
    """One frame per text, without container overhead (see the module)."""
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
    return (compressor.compress(text.encode()) for text in texts)


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


def _xz_bytes(texts: Iterable[str], window_bytes: int) -> int:
    """Length of the compressed stream of the texts and their ends."""
    compressor = lzma.LZMACompressor(format=lzma.FORMAT_RAW, filters=xz_filters(window_bytes))
    n_bytes = 0
    for batch in in_batches(texts, len, XZ_FED_CHARACTERS):
        n_bytes += len(compressor.compress(b"".join(text.encode() + END for text in batch)))
    return n_bytes + len(compressor.flush())


def _xz_settings(window_bytes: int) -> dict[str, int | str]:
    named = {key: value for key, value in xz_filters(window_bytes)[0].items() if key != "id"}
    return {"filter": "LZMA2", **named}


def _window(n_bytes: int) -> int:
    return min(max(n_bytes, XZ_LEAST_WINDOW), XZ_MOST_WINDOW)


def _texts(documents: Iterable[Document]) -> Iterator[str]:
    return (document.text for document in documents)


def _size(documents: Iterable[Document]) -> tuple[int, int]:
    """Bytes and number of the documents."""
    sizes = [document.n_bytes for document in documents]
    if not any(sizes):
        raise _no_text()
    return sum(sizes), len(sizes)


def _no_text() -> EscadaError:
    return EscadaError("there is no text to measure", fix="check the file or the split")
