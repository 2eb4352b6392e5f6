"""Removes exact and near-duplicate documents, so that no test text was seen in training.

This happens before the split. A document is removed when its text occurred before (exact), or when
the estimated Jaccard similarity of its shingles with those of a kept document is at least
`THRESHOLD` (near). Shingles are runs of five characters of a comparison form without addresses,
mentions, case and signs, so a tweet and its retweet are one text. The estimate is MinHash (Broder,
1997): the share of 128 minima that agree, with a standard error of 0.04. Locality-sensitive hashing
selects the candidates, documents that agree in one of 32 bands of 4 minima; it misses a pair at the
threshold about once in five thousand.

Only 16 bits of each minimum and the chains of the bands are kept: 0.5-1 kB per kept document, 2 GB
for all of BrWaC. The first of several duplicates stays, so the result depends only on the order of
the documents.

Legend: B documents of a batch, N kept documents, M = 128 minima, K = 32 bands, S slots.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.text.documents import Document, DocumentCounts

_rensa: Any = importlib.import_module("rensa")
"""A Rust module without types."""

THRESHOLD = 0.7
"""Jaccard similarity of shingles from which two documents are near-duplicates."""
SHINGLE_CHARACTERS = 5
N_MINIMA = 128
N_BANDS = 32
SEED = 42
_BATCH = 512
_ODD = np.uint64(0x9E3779B97F4A7C15)
_BANDS = np.arange(N_BANDS)
SETTINGS = {
    "threshold": THRESHOLD,
    "shingle_characters": SHINGLE_CHARACTERS,
    "minima": N_MINIMA,
    "bands": N_BANDS,
}
"""For the manifest."""

_UNCOMPARED = re.compile(r"(?:https?://|www\.)\S+|@\w+|\brt\b(?=\s*(?:@|$))")
_WORDS = re.compile(r"\w+")


def comparison_form(text: str) -> str:
    """The words of a text in lower case, without addresses and mentions.

    The whole text in lower case if little else is left.
    """
    lower = text.casefold()
    form = " ".join(_WORDS.findall(_UNCOMPARED.sub(" ", lower)))
    return form if len(form) >= SHINGLE_CHARACTERS else lower


def shingles(text: str) -> set[str]:
    """The runs of `SHINGLE_CHARACTERS` characters of a text's comparison form, at least one."""
    form = comparison_form(text)
    last = max(1, len(form) - SHINGLE_CHARACTERS + 1)
    return {form[start : start + SHINGLE_CHARACTERS] for start in range(last)}


def _shingle_hashes(form: str) -> NDArray[np.uint64]:
    """A 64-bit hash of each run of `SHINGLE_CHARACTERS` characters, in order."""
    codes = np.frombuffer(form.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    codes = np.pad(codes.astype(np.uint64), (0, max(0, SHINGLE_CHARACTERS - len(codes))))
    n = len(codes) - SHINGLE_CHARACTERS + 1
    hashes = np.zeros(n, dtype=np.uint64)
    for i in range(SHINGLE_CHARACTERS):
        hashes = (hashes + codes[i : i + n]) * _ODD
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _signatures(forms: Sequence[str]) -> NDArray[np.uint16]:
    """The lower 16 bits of the minima of each form, (B, M)."""
    hashes = [_shingle_hashes(form) for form in forms]
    ends = np.cumsum([0, *map(len, hashes)], dtype=np.uint64)
    matrix = _rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(hashes), ends, N_MINIMA, SEED
    )
    return np.array(matrix.to_rows(), dtype=np.uint32).astype(np.uint16)


class _Index:
    """The signatures of the kept documents, indexed by each of their bands.

    Each band is a hash table with chains: `heads` holds the last document of each slot, `before`
    the one before it. Four 16-bit minima are one 64-bit key, so a band needs no hash of its own.
    """

    def __init__(self) -> None:
        self.n = 0
        self._reserve(1024)

    def _reserve(self, capacity: int) -> None:
        """Grow the tables and rebuild the chains."""
        n = self.n
        old = self.signatures_NM[:n] if n else np.zeros((0, N_MINIMA), dtype=np.uint16)
        self.signatures_NM = np.zeros((capacity, N_MINIMA), dtype=np.uint16)
        self.signatures_NM[:n] = old
        self.shift = np.uint64(64 - (capacity - 1).bit_length())
        self.heads_KS = np.full((N_BANDS, capacity), -1, dtype=np.int32)
        self.before_NK = np.full((capacity, N_BANDS), -1, dtype=np.int32)
        slots_NK = self._slots(self.signatures_NM[:n])
        for band in range(N_BANDS):
            order = np.argsort(slots_NK[:, band], kind="stable").astype(np.int32)
            slots = slots_NK[order, band]
            same = slots[1:] == slots[:-1]
            self.before_NK[order[1:][same], band] = order[:-1][same]
            last = np.append(~same, True)[:n]
            self.heads_KS[band, slots[last]] = order[last]

    def _slots(self, signatures: NDArray[np.uint16]) -> NDArray[np.int64]:
        """The slot of each band, (…, K)."""
        return ((signatures.view(np.uint64) * _ODD) >> self.shift).astype(np.int64)

    def add_if_new(self, signature_M: NDArray[np.uint16]) -> bool:
        """Add a document unless a near-duplicate is there; whether it was added."""
        slots_K = self._slots(signature_M)
        bands = _BANDS
        found = self.heads_KS[bands, slots_K]
        while (alive := found >= 0).any():
            bands, found = bands[alive], found[alive]
            agreeing = (self.signatures_NM[found] == signature_M).sum(axis=1)
            if agreeing.max() >= THRESHOLD * N_MINIMA:
                return False
            found = self.before_NK[found, bands]
        if self.n == len(self.signatures_NM):
            self._reserve(2 * self.n)
            slots_K = self._slots(signature_M)
        self.signatures_NM[self.n] = signature_M
        self.before_NK[self.n] = self.heads_KS[_BANDS, slots_K]
        self.heads_KS[_BANDS, slots_K] = self.n
        self.n += 1
        return True


def _fingerprint(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def unique(documents: Iterable[Document], counts: DocumentCounts) -> Iterator[Document]:
    """Stream the documents without exact and near-duplicates, in order; updates `counts`."""
    seen: set[int] = set()
    index = _Index()
    stream = iter(documents)
    while batch := list(islice(stream, _BATCH)):
        new: list[Document] = []
        for document in batch:
            mark = _fingerprint(document.text)
            if mark in seen:
                counts.exact_duplicates += 1
            else:
                seen.add(mark)
                new.append(document)
        if not new:
            continue
        signatures_BM = _signatures([comparison_form(document.text) for document in new])
        for document, signature_M in zip(new, signatures_BM, strict=True):
            if index.add_if_new(signature_M):
                yield document
            else:
                counts.near_duplicates += 1
