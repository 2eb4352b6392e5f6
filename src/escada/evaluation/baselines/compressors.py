"""Compressors as models: what xz and zstd make of the same bytes that every rung is judged on.

A model's bits per byte are what an ideal code would need to write a text down; a compressor is such
a code already, so its output, in bits over reference bytes, stands beside them. What each may know
when it reads a document differs, and its protocol says so:

    documents/one-stream                  xz of all documents one after the other: it starts with
                                          nothing, and learns from the documents before
    documents/one-stream-after-training   the same after the training text: what xz adds for them
    document/frame                        zstd of each document alone, with a dictionary learned
                                          from the training text, as a rung knows it

Where a document ends is charged, as EOS is to a model: the streams have the byte 0xFF there, which
no UTF-8 text holds, and each frame marks its last block. What a container adds is not: raw LZMA2
has no header and no checksum; zstd's frames come without magic number, length, checksum and number
of the dictionary, so 2 bytes of a frame and 3 of each block are left.
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
"""Bytes that LZMA looks back; it takes eleven times as much memory."""
ZSTD_LEVEL = 22
ZSTD_DICTIONARY_BYTES = 2**21
ZSTD_SEGMENT_BYTES, ZSTD_MATCH_BYTES = 512, 8
"""What the dictionary is put together from, and what is counted to choose it (COVER's k and d)."""


@dataclass(frozen=True, slots=True)
class Compressed:
    """What a compressor needed.

    Attributes:
        bits_per_byte: compressed bits over UTF-8 bytes of the documents' text.
        protocol: see the module.
        settings: of the compressor, with the version of its library where that can be told.
        scores: of each document, as a model's; None where documents are not compressed apart.
    """

    bits_per_byte: float
    protocol: str
    settings: dict[str, int | str]
    scores: DocumentScores | None = None


def xz_stream(documents: Sequence[Document]) -> Compressed:
    """The documents in one stream, in their order, from nothing.

    Raises:
        EscadaError: the documents hold no byte.
    """
    stream = _stream([document.text for document in documents])
    window = _window(len(stream))
    bits = 8 * len(_xz(stream, window)) / _text_bytes(documents)
    return Compressed(bits, "documents/one-stream", _xz_settings(window))


def xz_after_training(documents: Sequence[Document], training: Sequence[str]) -> Compressed:
    """What the same stream adds to the training text: xz of both less xz of the first.

    The window holds both, so all of the training text stays within reach.

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
    """Each document alone, with a dictionary of what the training texts have in common.

    Returns:
        None where zstd finds the training texts too few or too short for a dictionary.

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
    """A frame for each document, of the form that the module describes."""
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
    """`xz -9e` in full, but for two things.

    The window is as large as the text asks for, and `pb` is 0: text has no alignment to count on.
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
