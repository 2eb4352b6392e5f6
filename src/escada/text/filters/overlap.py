"""Removes training documents that share a run of words with texts that must stay unseen.

The protected texts are those of validation and test, or of files such as a benchmark's questions. A
run is `RUN_WORDS` words without case and signs (Brown et al. 2020, GPT-3, appendix C); of a
protected text of fewer words, but at least `LEAST_RUN_WORDS`, it is all its words. A run that more
than `MOST_COPIES` training documents contain is boilerplate and does not count.

The runs of the protected texts are held in memory as hashes, a block of text at a time; the
training documents are streamed past them once per block.

Legend: R runs of one length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.text import tables
from escada.text.documents import Document
from escada.text.filters import Removed
from escada.text.filters.phrases import words_of
from escada.text.preparation.decontamination import BLOCK_CHARACTERS
from escada.text.preparation.hashes import distinct, look_up, run_hashes_of_words
from escada.text.preparation.shared_runs import MOST_COPIES

RUN_WORDS = 13
LEAST_RUN_WORDS = 8
SETTINGS = {
    "run_words": RUN_WORDS,
    "least_run_words": LEAST_RUN_WORDS,
    "most_copies": MOST_COPIES,
}
"""For the manifest."""
Run = tuple[int, int]
"""The first word of a run, and the number of its words."""


def remove_overlaps(
    training: tables.Writer, protected: Mapping[str, Iterable[Document]]
) -> tuple[tables.Writer, dict[str, Removed]]:
    """Write a training split again without the documents that share a run with protected texts.

    Returns:
        The split, and what was removed, by name of what is protected: the first that a document
        overlaps.

    Raises:
        EscadaError: no document is left.
    """
    removed = {name: Removed() for name in protected}
    found: dict[int, tuple[str, Run]] = {}
    for name, texts in protected.items():
        for place, run in overlaps(texts, lambda: tables.read(training.path)).items():
            found.setdefault(place, (name, run))
    staged = training.path.rename(training.path.with_suffix(".staged"))
    with closing(tables.Writer(training.path)) as kept:
        for place, document in enumerate(tables.read(staged)):
            if place in found:
                name, (start, length) = found[place]
                removed[name].add(document, f"{length} words from word {start + 1} on")
            else:
                kept.add(document)
    staged.unlink()
    if not kept.documents:
        what = "no training document is left: each shares a run of words with a protected text"
        fix = "protect less, or give other documents"
        raise EscadaError(what, where=" ".join(protected), fix=fix)
    return kept, removed


def overlaps(
    protected: Iterable[Document], training: Callable[[], Iterable[Document]]
) -> dict[int, Run]:
    """One shared run of each training document that has any, by its place in the stream.

    `training` is called once per block of protected text.
    """
    found: dict[int, Run] = {}
    for block in _blocks(protected):
        runs = _Runs(block)
        for place, document in enumerate(training()):
            runs.look_for(place, document)
        found |= runs.found()
    return found


def _blocks(documents: Iterable[Document]) -> Iterator[list[Document]]:
    """Documents in lists of about `BLOCK_CHARACTERS`."""
    block: list[Document] = []
    size = 0
    for document in documents:
        block.append(document)
        size += len(document.text)
        if size >= BLOCK_CHARACTERS:
            yield block
            block, size = [], 0
    if block:
        yield block


class _Runs:
    """The runs of some protected texts, and where training documents have them."""

    def __init__(self, protected: Sequence[Document]) -> None:
        hashes: dict[int, list[NDArray[np.uint64]]] = {}
        for document in protected:
            words = words_of(document.text)
            length = min(RUN_WORDS, len(words))
            if length >= LEAST_RUN_WORDS:
                hashes.setdefault(length, []).append(run_hashes_of_words(words, length))
        self._known = {n: distinct(np.concatenate(parts)) for n, parts in sorted(hashes.items())}
        self._copies = {n: np.zeros(len(known_R), int) for n, known_R in self._known.items()}
        self._hits: list[tuple[int, int, NDArray[np.int64], NDArray[np.int64]]] = []

    def look_for(self, place: int, document: Document) -> None:
        """Note the runs that a training document shares."""
        words = words_of(document.text)
        for length, known_R in self._known.items():
            is_shared, index = look_up(run_hashes_of_words(words, length), known_R)
            starts = np.flatnonzero(is_shared)
            if len(starts):
                shared, first = np.unique(index[starts], return_index=True)
                self._copies[length][shared] += 1
                self._hits.append((place, length, shared, starts[first]))

    def found(self) -> dict[int, Run]:
        """The first shared run of each document that is no boilerplate."""
        found: dict[int, Run] = {}
        for place, length, shared, starts in self._hits:
            counted = starts[self._copies[length][shared] <= MOST_COPIES]
            if len(counted):
                found.setdefault(place, (int(counted.min()), length))
        return found
