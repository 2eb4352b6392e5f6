"""Finds held-out documents that have a copy or near-copy in training, after the split.

`dedup` removes near-duplicates everywhere. What remains may still be half the same (tweets from one
template) or share a paragraph (a law, a quotation). A held-out document is contaminated by a
document of another split when, either in dedup's comparison form or in the case-folded text,

- their shingles (runs of five characters) have a Jaccard similarity above 0.5, or
- they share a run of 100 characters that at most 20 of those documents contain; a more frequent run
  is boilerplate (a licence, a menu).

The result is exact up to collisions of 64-bit hashes. An index of the held-out documents is made in
files, a block of text at a time; any number of processes stream the others past it, each its share,
once per block. Of text, what is held in memory is a batch of the others, and the parts of the index
that are looked at (`preparation.near_duplicates`, `preparation.shared_runs`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from escada.text.documents import Document
from escada.text.preparation.dedup import comparison_form, cuts
from escada.text.preparation.hashes import batches
from escada.text.preparation.near_duplicates import NearDuplicates
from escada.text.preparation.processes import Run, alone
from escada.text.preparation.shared_runs import SharedRuns
from escada.text.tables import WHOLE, Share

BLOCK_CHARACTERS = 42_000_000
"""Of one index, which takes some 20 bytes a character: all that the default cap holds out."""
_VIEWS: tuple[Callable[[str], str], ...] = (comparison_form, str.casefold)
"""What is compared: the words only, and the case-folded text."""
Reader = Callable[[Share], Iterable[Document]]
"""Streams the documents of a share; picklable where there are several processes."""


def contaminated(
    held_out: Reader, others: Reader, scratch: Path, run: Run = alone
) -> NDArray[np.bool_]:
    """A flag for each held-out document: whether the others have a copy or near-copy.

    Args:
        held_out: read four times; others: once per block of held-out text.
        scratch: a folder for the index.
        run: starts the processes.
    """
    found = [np.zeros(0, dtype=bool)]
    for start, stop in pairwise(_blocks(held_out(WHOLE))):
        with TemporaryDirectory(dir=scratch, prefix="index-") as made:
            folder, block = Path(made), partial(_block, held_out, start, stop)
            run(partial(_make_index, block, folder), scratch)
            run(partial(_compare, others, folder), scratch)
            run(partial(_find, block, folder), scratch)
            found.append(np.any([np.load(path) for path in folder.glob("*/found*.npy")], axis=0))
    return np.concatenate(found)


def _blocks(documents: Iterable[Document]) -> list[int]:
    """Where blocks of about `BLOCK_CHARACTERS` begin, and where the last one ends."""
    return cuts((len(document.text) for document in documents), BLOCK_CHARACTERS)


def _block(held_out: Reader, start: int, stop: int) -> Iterator[str]:
    return (document.text for document in islice(held_out(WHOLE), start, stop))


def _views_of(folder: Path, rank: int, world: int) -> Iterator[tuple[Callable[[str], str], Path]]:
    """The views that one of several processes has to do with, and the folders of their index."""
    for i, view in enumerate(_VIEWS):
        if i % world == rank:
            yield view, folder / str(i)


def _make_index(
    block: Callable[[], Iterable[str]], folder: Path, *, rank: int, world: int, parent: int | None
) -> None:
    for view, path in _views_of(folder, rank, world):
        path.mkdir()
        NearDuplicates.make(map(view, block()), path)
        SharedRuns.make(map(view, block()), path)


def _compare(others: Reader, folder: Path, *, rank: int, world: int, parent: int | None) -> None:
    index = [
        (view, NearDuplicates(path), SharedRuns(path)) for view, path in _views_of(folder, 0, 1)
    ]
    for batch in batches(document.text for document in others((rank, world))):
        for view, near, runs in index:
            texts = list(map(view, batch))
            near.compare(texts)
            runs.compare(texts)
    for _, near, runs in index:
        near.save(rank)
        runs.save(rank)


def _find(
    block: Callable[[], Iterable[str]], folder: Path, *, rank: int, world: int, parent: int | None
) -> None:
    for view, path in _views_of(folder, rank, world):
        np.save(path / "found-runs.npy", SharedRuns(path).found(map(view, block())))
