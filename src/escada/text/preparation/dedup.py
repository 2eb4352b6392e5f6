"""Finds exact and near-duplicate documents, so that no test text was seen in training.

This happens before the split. A document is removed when its text occurred before (exact), or when
the estimated Jaccard similarity of its shingles with those of a kept document is at least
`THRESHOLD` (near). Shingles are runs of five characters of a comparison form without addresses,
mentions, case and signs, so a tweet and its retweet are one text. The estimate is MinHash (Broder,
1997): the share of 128 minima that agree, with a standard error of 0.04. The first of several
duplicates stays, so the result depends only on the order of the documents.

Candidates are documents that agree in all 8 minima of one of 128 bands (locality-sensitive hashing;
each minimum is in eight bands). Of pairs whose estimate is just at the threshold one in 2,700 is
missed, of pairs ten minima above it one in 10^8; unrelated texts, which share 0.14 of their
shingles, become candidates once in 50,000 pairs, so time grows as the corpus does. At most
`LONGEST_CHAIN` candidates of a band are compared.

A signature is 256 bytes, a document's places in the bands 512 more, in files where a folder is
given: the memory that must be there is some tens of bytes a document.

Legend: N documents, M = 128 minima, K = 128 bands, R = 8 minima of a band.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
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
N_BANDS = 128
BAND_MINIMA = 8
LONGEST_CHAIN = 64
"""Documents of a band that a new one is compared with; the last ones that were kept."""
SEED = 42
PIECE_CHARACTERS = 2**20
"""Characters whose shingles are hashed at once."""
_CHUNK = 2**16
"""Documents whose band keys are computed at once."""
_ODD = np.uint64(0x9E3779B97F4A7C15)
SETTINGS = {
    "threshold": THRESHOLD,
    "shingle_characters": SHINGLE_CHARACTERS,
    "minima": N_MINIMA,
    "bands": N_BANDS,
    "band_minima": BAND_MINIMA,
    "longest_chain": LONGEST_CHAIN,
}
"""For the manifest."""

NEW, EXACT, NEAR = range(3)
"""What `duplicates` says of a document."""

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


def signature(form: str) -> NDArray[np.uint16]:
    """The lower 16 bits of the minima of a comparison form's shingles, (M,)."""
    starts = range(0, max(1, len(form) - SHINGLE_CHARACTERS + 1), PIECE_CHARACTERS)
    overlap = SHINGLE_CHARACTERS - 1
    pieces = [form[start : start + PIECE_CHARACTERS + overlap] for start in starts]
    return _minima(pieces).min(axis=0).astype(np.uint16)


def signatures(forms: Sequence[str]) -> NDArray[np.uint16]:
    """`signature` of each form, (N, M); hashes as many at once as `PIECE_CHARACTERS` allows."""
    rows: list[NDArray[np.uint16]] = []
    for start, end in pairwise(cuts(map(len, forms), PIECE_CHARACTERS)):
        if end - start == 1:
            rows.append(signature(forms[start])[None])
        else:
            rows.append(_minima(forms[start:end]).astype(np.uint16))
    return np.concatenate(rows) if rows else np.zeros((0, N_MINIMA), dtype=np.uint16)


def cuts(sizes: Iterable[int], most: int) -> list[int]:
    """Ends of runs of items whose sizes sum to at most `most`, or of one larger item."""
    ends, held, i = [0], 0, -1
    for i, size in enumerate(sizes):
        if i > ends[-1] and held + size > most:
            ends.append(i)
            held = 0
        held += size
    return ends if i < 0 else [*ends, i + 1]


def _minima(forms: Sequence[str]) -> NDArray[np.uint32]:
    """The minima of each form, (len(forms), M)."""
    hashes = [_shingle_hashes(form) for form in forms]
    ends = np.cumsum([0, *map(len, hashes)], dtype=np.uint64)
    matrix = _rensa.RMinHash.digest_matrix_from_flat_token_hashes(
        np.concatenate(hashes), ends, N_MINIMA, SEED
    )
    return np.array(matrix.to_rows(), dtype=np.uint32)


def fingerprint(text: str) -> int:
    """A 64-bit hash of a text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8"), digest_size=8).digest(), "big")


def duplicates(
    fingerprints_N: NDArray[np.uint64],
    signatures_NM: NDArray[np.uint16],
    scratch: Path | None = None,
) -> NDArray[np.int8]:
    """`NEW`, `EXACT` or `NEAR` for each document, in their order.

    Args:
        fingerprints_N: of the texts; signatures_NM: of their comparison forms.
        scratch: a folder for a temporary file of 512 bytes a document; None: in memory.
    """
    found_N = np.full(len(fingerprints_N), EXACT, dtype=np.int8)
    first_N = np.sort(np.unique(fingerprints_N, return_index=True)[1])
    near_N = _near(signatures_NM, first_N, scratch)
    found_N[first_N] = np.where(near_N, NEAR, NEW)
    return found_N


def _bands() -> NDArray[np.int64]:
    """The minima of each band, (K, R): random divisions of all minima."""
    generator = np.random.Generator(np.random.PCG64(SEED))
    divisions = N_BANDS * BAND_MINIMA // N_MINIMA
    minima = [generator.permutation(N_MINIMA) for _ in range(divisions)]
    return np.concatenate(minima).reshape(N_BANDS, BAND_MINIMA)


def _near(
    signatures_NM: NDArray[np.uint16], first_N: NDArray[np.int64], scratch: Path | None
) -> NDArray[np.bool_]:
    """Whether each of the documents `first_N` is near one of them that is kept before it."""
    n = len(first_N)
    signatures_NM = np.asarray(signatures_NM)  # a view: each look into a memmap makes a new one
    before_KN = _table(n, scratch)
    for band, minima in enumerate(_bands()):
        before_KN[band] = _same_before(_keys(signatures_NM, first_N, minima))
    removed_N = np.zeros(n, dtype=bool)
    all_bands = np.arange(N_BANDS)
    for start in range(0, n, _CHUNK):
        has_any = (before_KN[:, start : start + _CHUNK] >= 0).any(axis=0)
        for i in (start + np.flatnonzero(has_any)).tolist():
            # Where the one before was removed, its own is a kept one: they were replaced already.
            found_K = before_KN[:, i]
            gone = (found_K >= 0) & removed_N[found_K]
            found_K[gone] = before_KN[all_bands[gone], found_K[gone]]
            before_KN[:, i] = found_K
            removed_N[i] = _is_near_any(i, found_K, before_KN, signatures_NM, first_N)
    return removed_N


def _is_near_any(
    i: int,
    found_K: NDArray[np.int32],
    before_KN: NDArray[np.int32],
    signatures_NM: NDArray[np.uint16],
    first_N: NDArray[np.int64],
) -> bool:
    """Whether document i is near one of the kept documents of its bands."""
    own_M = signatures_NM[first_N[i]]
    bands = np.arange(N_BANDS)
    n_seen, n_next = 0, 1
    while n_seen < LONGEST_CHAIN:
        chains: list[NDArray[np.int32]] = []
        for _ in range(min(n_next, LONGEST_CHAIN - n_seen)):
            alive = found_K >= 0
            bands, found_K = bands[alive], found_K[alive]
            if not len(bands):
                break
            chains.append(found_K)
            found_K = before_KN[bands, found_K]
        if not chains:
            return False
        others_M = signatures_NM[first_N[np.unique(np.concatenate(chains))]]
        if (others_M == own_M).sum(axis=1).max() >= THRESHOLD * N_MINIMA:
            return True
        n_seen += len(chains)
        n_next *= 2  # fewer, larger comparisons the longer nothing is found
    return False


def _table(n: int, scratch: Path | None) -> NDArray[np.int32]:
    """The place of each document's predecessor in each band, (K, N)."""
    if scratch is None or n == 0:
        return np.empty((N_BANDS, n), dtype=np.int32)
    shape = (N_BANDS, n)
    return np.asarray(np.memmap(scratch / "bands", dtype=np.int32, mode="w+", shape=shape))


def _keys(
    signatures_NM: NDArray[np.uint16], first_N: NDArray[np.int64], minima: NDArray[np.int64]
) -> NDArray[np.uint64]:
    """A 64-bit hash of each document's minima of a band."""
    keys_N = np.zeros(len(first_N), dtype=np.uint64)
    for start in range(0, len(first_N), _CHUNK):
        rows_NM = signatures_NM[first_N[start : start + _CHUNK]]
        words_N2 = np.ascontiguousarray(rows_NM[:, minima]).view(np.uint64)
        mixed_N = words_N2[:, 0] * _ODD
        mixed_N = (mixed_N ^ (mixed_N >> np.uint64(29)) ^ words_N2[:, 1]) * _ODD
        keys_N[start : start + _CHUNK] = mixed_N ^ (mixed_N >> np.uint64(32))
    return keys_N


def _same_before(keys_N: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The last document before each with the same key, -1 if there is none."""
    order = np.argsort(keys_N, kind="stable").astype(np.int32)
    same = keys_N[order[1:]] == keys_N[order[:-1]]
    before_N = np.full(len(keys_N), -1, dtype=np.int32)
    before_N[order[1:][same]] = order[:-1][same]
    return before_N


def unique(documents: Iterable[Document], counts: DocumentCounts) -> Iterator[Document]:
    """The documents without exact and near-duplicates, in order; updates `counts`.

    All are held in memory.
    """
    held = list(documents)
    marks = np.array([fingerprint(document.text) for document in held], dtype=np.uint64)
    rows = signatures([comparison_form(document.text) for document in held])
    found = duplicates(marks, rows)
    counts.exact_duplicates += int((found == EXACT).sum())
    counts.near_duplicates += int((found == NEAR).sum())
    yield from (document for document, one in zip(held, found, strict=True) if one == NEW)
