"""A filter: removes documents that a byte Kneser-Ney model of known text finds improbable.

    escada data prepare --filter perplexity=FILE         # the limit is drawn from FILE
    escada data prepare --filter perplexity=FILE:3.2     # bits per byte

The model (order `ORDER`, interpolated modified Kneser-Ney) is trained on nine tenths of the first
`MOST_BYTES` of the reference text, any source that `escada.text.sources` opens. Without a limit a
document is removed when it costs more bits per byte than `QUANTILE` of the other tenth's documents
(both of at least `LEAST_BYTES`: the figure of a short text says little, so these are kept). As
CCNet does with the model of Wikipedia (Wenzek et al. 2020), this removes lists, garbled text and
other languages; it also prefers what resembles the reference text.

    T  tokens of a text
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from escada.errors import EscadaError
from escada.evaluation.baselines.joint_ngrams import token_stream
from escada.files import content_hash
from escada.models.ngrams.counting import NOT_SEEN, Level, count_ngrams
from escada.models.ngrams.kneser_ney import Floats, NgramTable, ngram_rows, single_tokens
from escada.text.cleaning import clean
from escada.text.documents import Document
from escada.text.filters.values import number
from escada.text.sources import open_source
from escada.text.tokenizers.bytes import ByteTokenizer

ORDER = 6
MOST_BYTES = 8_000_000
LEAST_BYTES = 200
QUANTILE = 0.99
_TENTH = 10
_TOKENIZER = ByteTokenizer()


@dataclass(frozen=True)
class Perplexity:
    """Removes documents of more than `limit` bits per byte; `hash` is that of the reference text.

    Only names travel to another process: the model is fitted once in each.
    """

    reference: str
    limit: float
    hash: str = field(default="")

    def __call__(self, document: Document) -> Document | str:
        """See `Filter`."""
        if document.n_bytes < LEAST_BYTES:
            return document
        bits = model_of(self.reference).bits_per_byte(document.text)
        return document if bits <= self.limit else f"{bits:.2f} bits per byte"


class ByteModel:
    """A Kneser-Ney model that scores the bytes that are there, not every byte that might be."""

    def __init__(self, texts: list[str]) -> None:
        ids_T = token_stream(_TOKENIZER, texts).astype(np.int64)
        bos = _TOKENIZER.bos_id
        self._levels: list[Level] = count_ngrams(ids_T, _TOKENIZER.vocab_size, bos, ORDER)
        order = len(self._levels)
        self._single_V = single_tokens(self._levels[0], bos)
        self._tables = [
            NgramTable.of(self._levels, length, longest=length == order)
            for length in range(2, order + 1)
        ]

    def bits_per_byte(self, text: str) -> float:
        """Of a text and its end, as on the ruler."""
        ids_T = token_stream(_TOKENIZER, [text]).astype(np.int64)
        none_yet = np.full((1, len(self._levels)), NOT_SEEN)
        lengths = ngram_rows(self._levels, ids_T[None], none_yet)
        rows_T = next(lengths)[0]
        p_T: Floats = self._single_V[ids_T]
        for table, (longer_T,) in zip(self._tables, lengths, strict=True):
            p_T = table.interpolate(p_T, np.concatenate([[NOT_SEEN], rows_T[:-1]]), longer_T)
            rows_T = longer_T
        return -float(np.log2(p_T[1:]).sum()) / max(1, len(ids_T) - 2)


@cache
def model_of(reference: str) -> ByteModel:
    """The model of a reference text.

    Raises:
        EscadaError: what `open_source` raises.
    """
    return ByteModel([text for n, text in enumerate(_texts(reference)) if n % _TENTH])


def drawn_limit(reference: str) -> float:
    """Bits per byte that `QUANTILE` of the held-out reference documents stay below.

    Raises:
        EscadaError: too few documents.
    """
    texts = [text for n, text in enumerate(_texts(reference)) if n % _TENTH == 0]
    long = [text for text in texts if len(text.encode()) >= LEAST_BYTES]
    if len(long) < _TENTH:
        raise EscadaError(
            f"the reference text has too few documents of {LEAST_BYTES} bytes to draw a limit",
            where=reference,
            fix="give one of a few hundred documents, or a limit: perplexity=FILE:3.2",
        )
    model = model_of(reference)
    return (
        math.ceil(1000 * np.quantile([model.bits_per_byte(one) for one in long], QUANTILE)) / 1000
    )


def _texts(reference: str) -> Iterator[str]:
    """Cleaned texts of the reference, up to `MOST_BYTES`."""
    n_bytes = 0
    for document in open_source(reference):
        if text := clean(document.text, "reference"):
            yield text
            n_bytes += len(text.encode())
        if n_bytes >= MOST_BYTES:
            return


def build(value: str | None) -> Perplexity:
    """`REFERENCE` or `REFERENCE:LIMIT`.

    Raises:
        EscadaError: no reference text, or what `drawn_limit` raises.
    """
    if not value:
        fix = "give one: perplexity=FILE, or perplexity=default for the default corpus"
        raise EscadaError("the filter has no reference text", where="--filter perplexity", fix=fix)
    reference, _, limit = value.rpartition(":")
    if not reference or not limit.replace(".", "").isdigit():
        reference, limit = value, ""
    found = number(limit, "perplexity", "perplexity=FILE:3.2") if limit else drawn_limit(reference)
    return Perplexity(reference, found, content_hash(dict(open_source(reference).identity)))
