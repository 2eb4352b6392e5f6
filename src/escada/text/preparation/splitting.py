"""Assigns each group of documents to a split.

Within each source about 10 % of the bytes are test, 10 % validation, the rest training, and no
group is divided. A cap for the bytes of validation and of test (`HELD_OUT_BYTES`) makes these
shares smaller, the same for every source, so that what is held out of a large corpus does not grow
with it. Held-out splits take a source's smaller groups, so that no group dominates a split and
confidence intervals have enough groups:

1. A group may be held out when it has at most a fifth of a split's share of the source's bytes
   (2 % without a cap). If there are fewer such groups than both splits need, or if they make up
   less than both shares, the next larger groups are added until there are enough; never the
   largest.
2. These groups are sorted by hash. From the end, the first share of the source's bytes is test, the
   next validation; a group belongs where its middle falls.
3. With 15 or more groups, each held-out split has at least five, even if they exceed its share;
   with ten or more at least two, with three or more at least one.

The order depends only on the groups' names: a corpus is split the same way on every machine, and
most groups keep their split when documents are added.

Legend: N documents, G groups of one source.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from escada.choices import SPLITS
from escada.errors import EscadaError, counted

HELD_OUT_SHARE = 0.1
"""Share of a source's bytes for validation, and for test, if the cap allows it."""
HELD_OUT_BYTES = 20_000_000
"""Cap of validation, and of test, unless the user gives another one."""
_LEAST_GROUPS = ((15, 5), (10, 2), (3, 1))
"""(groups of a source, minimum number of groups in each of its held-out splits)."""
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_TRAIN, _VALIDATION, _TEST = (SPLITS.index(name) for name in ("train", "validation", "test"))
Marks = NDArray[np.uint64]
"""`documents.group_hash` of groups: what tells them apart, and their order."""


def parse_held_out(text: str) -> int:
    """Bytes of a cap such as `20MB`; units are powers of 1000.

    Raises:
        EscadaError: no number with a unit, or none of a byte.
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kMGT]?)B\s*", text, re.IGNORECASE)
    n_bytes = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if n_bytes < 1:
        raise EscadaError(
            f"{text!r} is no size of a split", where="--held-out", fix="write for example 20MB"
        )
    return n_bytes


def least_held_out_groups(n_groups: int) -> int:
    """Minimum number of groups in validation, and in test, for a source of `n_groups`."""
    return next((least for n, least in _LEAST_GROUPS if n_groups >= n), 0)


def split_groups(
    marks_G: Marks, bytes_G: NDArray[np.int64], share: float = HELD_OUT_SHARE
) -> NDArray[np.int8]:
    """The split of each group of one source, as its place in SPLITS; fewer than three are training.

    Args:
        marks_G: all different. The order of the groups does not matter.
        share: of the bytes, for validation and for test.
    """
    split_G = np.full(len(marks_G), _TRAIN, dtype=np.int8)
    least = least_held_out_groups(len(marks_G))
    if not least:
        return split_G
    held_out = _small_groups(marks_G, bytes_G, share, 2 * least)
    held_out = held_out[np.argsort(marks_G[held_out])][::-1]
    share_bytes = share * int(bytes_G.sum())
    middles = np.cumsum(bytes_G[held_out]) - bytes_G[held_out] / 2
    n_test = int((middles <= share_bytes).sum())
    n_test = min(max(n_test, least), len(held_out) - least)
    n_held_out = max(int((middles <= 2 * share_bytes).sum()), n_test + least)
    split_G[held_out[n_test:n_held_out]] = _VALIDATION
    split_G[held_out[:n_test]] = _TEST
    return split_G


def _small_groups(
    marks_G: Marks, bytes_G: NDArray[np.int64], share: float, least: int
) -> NDArray[np.int64]:
    """The places of the groups that may be held out, at least `least`."""
    total = int(bytes_G.sum())
    by_size = np.lexsort((marks_G, bytes_G))[:-1]
    sizes = bytes_G[by_size]
    together = np.cumsum(sizes) - sizes
    is_enough = (np.arange(len(sizes)) >= least) & (together >= 2 * share * total)
    too_many = np.flatnonzero(is_enough & (sizes > share / 5 * total))
    return by_size[: too_many[0]] if len(too_many) else by_size


@dataclass(frozen=True)
class DocumentSplits:
    """The split of each document, as its place in SPLITS; and the groups of each source."""

    split_N: NDArray[np.int8]
    n_groups: dict[str, int]


def split_documents(
    documents: Iterable[tuple[str, int, int]],
    most_bytes: int = HELD_OUT_BYTES,
    where: object = None,
) -> DocumentSplits:
    """The split of each document.

    Args:
        documents: source, `group_hash` and UTF-8 bytes of each, in order; 20 bytes of
            memory a document.
        most_bytes: cap of validation, and of test; larger only where rule 3 asks for it.

    Raises:
        EscadaError: too few groups for three splits.
    """
    numbers: dict[str, int] = {}
    source_a, mark_a, bytes_a = array("I"), array("Q"), array("Q")
    for source, mark, n_bytes in documents:
        source_a.append(numbers.setdefault(source, len(numbers)))
        mark_a.append(mark)
        bytes_a.append(n_bytes)
    source_N = np.frombuffer(source_a, dtype=np.uint32)
    mark_N, bytes_N = np.frombuffer(mark_a, np.uint64), np.frombuffer(bytes_a, np.uint64)
    share = min(HELD_OUT_SHARE, most_bytes / max(1, int(bytes_N.sum())))
    split_N = np.full(len(source_N), _TRAIN, dtype=np.int8)
    n_groups: dict[str, int] = {}
    by_source = np.argsort(source_N, kind="stable")
    ends = np.cumsum(np.bincount(source_N, minlength=len(numbers)))
    for source, here in zip(numbers, np.split(by_source, ends[:-1]), strict=False):
        marks_G, group = np.unique(mark_N[here], return_inverse=True)
        bytes_G = np.bincount(group, weights=bytes_N[here]).astype(np.int64)
        split_N[here] = split_groups(marks_G, bytes_G, share)[group]
        n_groups[source] = len(marks_G)
    if len(np.unique(split_N)) < len(SPLITS):
        raise EscadaError(
            "the corpus is too small to be split in three: it has only "
            + counted(sum(n_groups.values()), "group"),
            where=where,
            fix="give at least three documents of one source; a group is a document, or those of "
            "one site, author or thesis, which are not divided",
        )
    return DocumentSplits(split_N, n_groups)
