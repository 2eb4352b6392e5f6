"""Hashes of runs of characters or words, many texts at once, and sorted tables of them.

A polynomial rolling hash with an odd base, modulo 2^64, of mixed codes: the sum over a run is a
difference of two prefix sums, so its length costs nothing.

Legend: N codes of all texts, R runs, T texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(int(_BASE), -1, 2**64))
_MIXER = np.uint64(0xD6E8FEB86659FD93)
_HALF = np.uint64(32)
_LEADING_BITS = np.uint64(24)
BATCH_TEXTS = 1024
BATCH_CHARACTERS = 2**22
"""A batch ends at whichever is reached first, or holds one longer text."""


class RunHashes:
    """Hashes of the runs of some texts' codes; a run is within one text."""

    def __init__(self, codes_N: Hashes, lengths_T: NDArray[np.int64]) -> None:
        """Args: codes_N: of all texts, one after another; lengths_T: codes of each text."""
        self.n_codes = len(codes_N)
        self._lengths_T = lengths_T
        powers_N = np.cumprod(np.full(len(codes_N), _BASE))
        self._sums = np.zeros(len(codes_N) + 1, dtype=np.uint64)
        np.cumsum(_mixed(codes_N) * powers_N, out=self._sums[1:])
        self._shifts_N = np.cumprod(np.full(len(codes_N), _INVERSE))

    @classmethod
    def of_texts(cls, texts: Sequence[str]) -> RunHashes:
        """Of the characters of texts."""
        data = "".join(texts).encode("utf-32-le", "surrogatepass")
        codes_N = np.frombuffer(data, dtype=np.uint32).astype(np.uint64)
        return cls(codes_N, np.array([len(text) for text in texts], dtype=np.int64))

    def starts(self, length: int) -> tuple[Places, Places]:
        """The start of each run of `length`, and the number of its text: (R,), (R,)."""
        n_T = np.maximum(self._lengths_T - length + 1, 0)
        owner_R = np.repeat(np.arange(len(n_T)), n_T)
        skipped_T = np.cumsum(self._lengths_T - n_T) - (self._lengths_T - n_T)
        return np.arange(len(owner_R)) + skipped_T[owner_R], owner_R

    def at(self, starts_R: Places, length: int) -> Hashes:
        """The hash of the run of `length` that begins at each start."""
        differences_R = self._sums[starts_R + length] - self._sums[starts_R]
        return _mixed(differences_R * self._shifts_N[starts_R])

    def all(self, length: int) -> tuple[Hashes, Places]:
        """The hash of each run of `length`, and the number of its text."""
        starts_R, owner_R = self.starts(length)
        return self.at(starts_R, length), owner_R


def run_hashes_of_words(words: Sequence[str], length: int) -> Hashes:
    """A hash of each run of `length` words of a text, the same within this process."""
    codes = np.fromiter(map(hash, words), dtype=np.int64, count=len(words)).view(np.uint64)
    return RunHashes(codes, np.array([len(words)])).all(length)[0]


def _mixed(values: Hashes) -> Hashes:
    values = (values ^ (values >> _HALF)) * _MIXER
    return (values ^ (values >> _HALF)) * _MIXER


def look_up(hashes: Hashes, table: Hashes) -> tuple[NDArray[np.bool_], Places]:
    """Whether each hash is in the sorted table, and its index."""
    if not len(table):
        return np.zeros(len(hashes), dtype=bool), np.zeros(len(hashes), dtype=np.int64)
    place = np.minimum(np.searchsorted(table, hashes), len(table) - 1)
    return table[place] == hashes, place


def distinct(values: Hashes) -> Hashes:
    """Sorted unique values; several times faster than `np.unique` when few repeat."""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])[: len(values)]]


def merged(parts: list[Hashes]) -> Hashes:
    """`distinct` of all parts together; empties the list, so that only two copies are held."""
    values = np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)
    parts.clear()
    values.sort()
    return values[np.append(True, values[1:] != values[:-1])[: len(values)]]


class SmallTable:
    """A sorted table in which most hashes that are looked up are not; tells so by their leading
    bits, which costs a tenth of a search."""

    def __init__(self, table: Hashes) -> None:
        self._table = table
        self._begins = np.zeros(2 ** int(_LEADING_BITS), dtype=bool)
        self._begins[table >> (np.uint64(64) - _LEADING_BITS)] = True

    def find(self, hashes: Hashes) -> Places:
        """The places of those of the hashes that are in the table."""
        likely = np.flatnonzero(self._begins[hashes >> (np.uint64(64) - _LEADING_BITS)])
        return likely[look_up(hashes[likely], self._table)[0]]


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts that are hashed at once."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        if batch and (len(batch) == BATCH_TEXTS or characters + len(text) > BATCH_CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(text)
        characters += len(text)
    if batch:
        yield batch


def pieces(batch: Sequence[str], length: int) -> Iterator[Sequence[str]]:
    """A batch, or in pieces if it is one long text: they have each run of `length`."""
    (text, *others) = batch
    if others or len(text) <= BATCH_CHARACTERS:
        yield batch
        return
    for start in range(0, len(text) - length + 1, BATCH_CHARACTERS):
        yield [text[start : start + BATCH_CHARACTERS + length - 1]]


def loaded(folder: Path, name: str) -> Any:
    """An array of an index in a folder; processes of one machine share its memory."""
    return np.load(folder / f"{name}.npy", mmap_mode="r")
