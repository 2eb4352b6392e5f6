"""Assigns each group of documents to a split.

Within each source about 10 % of the bytes are test, 10 % validation, the rest training, and no
group is divided. Held-out splits take a source's smaller groups, so that no group dominates a split
and confidence intervals have enough groups:

1. A group may be held out when it has at most 2 % of the source's bytes, a fifth of a split. If
   there are fewer such groups than both splits need, or if they make up less than 20 % of the
   bytes, the next larger groups are added until there are enough; never the largest.
2. These groups are sorted by hash. From the end, the first 10 % of the source's bytes are test, the
   next 10 % validation; a group belongs where its middle falls.
3. With 15 or more groups, each held-out split has at least five, even if they exceed 10 % of the
   bytes; with ten or more at least two, with three or more at least one.

The order depends only on the groups' names: a corpus is split the same way on every machine, and
most groups keep their split when documents are added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from escada.choices import SPLITS
from escada.errors import EscadaError, counted

HELD_OUT_SHARE = 0.1
"""Share of a source's bytes for validation, and for test."""
LARGEST_SHARE = HELD_OUT_SHARE / 5
"""Share of a source's bytes up to which a group may be held out."""
_LEAST_GROUPS = ((15, 5), (10, 2), (3, 1))
"""(groups of a source, minimum number of groups in each of its held-out splits)."""


def least_held_out_groups(n_groups: int) -> int:
    """Minimum number of groups in validation, and in test, for a source of `n_groups`."""
    return next((least for n, least in _LEAST_GROUPS if n_groups >= n), 0)


def _place(source: str, group: str) -> bytes:
    return hashlib.sha256(f"{source}\x00{group}".encode()).digest()


def split_groups(source: str, group_bytes: Mapping[str, int]) -> dict[str, str]:
    """The split of each group of one source, by bytes; fewer than three are all training."""
    least = least_held_out_groups(len(group_bytes))
    splits = dict.fromkeys(group_bytes, "train")
    if not least:
        return splits
    groups = _small_groups(source, group_bytes, 2 * least)
    share = HELD_OUT_SHARE * sum(group_bytes.values())
    n_test = n_held_out = after = 0
    for group in reversed(groups):
        middle = after + group_bytes[group] / 2
        after += group_bytes[group]
        n_test += middle <= share
        n_held_out += middle <= 2 * share
    n_test = min(max(n_test, least), len(groups) - least)
    n_held_out = max(n_held_out, n_test + least)
    splits |= dict.fromkeys(groups[-n_held_out:-n_test], "validation")
    splits |= dict.fromkeys(groups[-n_test:], "test")
    return splits


def _small_groups(source: str, group_bytes: Mapping[str, int], least: int) -> list[str]:
    """The groups that may be held out, at least `least` of them, sorted by hash."""
    total = sum(group_bytes.values())
    by_size = sorted(group_bytes, key=lambda group: (group_bytes[group], _place(source, group)))
    chosen: list[str] = []
    together = 0
    for group in by_size[:-1]:
        enough = len(chosen) >= least and together >= 2 * HELD_OUT_SHARE * total
        if enough and group_bytes[group] > LARGEST_SHARE * total:
            break
        chosen.append(group)
        together += group_bytes[group]
    return sorted(chosen, key=lambda group: _place(source, group))


def split_corpus(
    bytes_by_source: Mapping[str, Mapping[str, int]], where: object = None
) -> dict[tuple[str, str], str]:
    """The split of each (source, group), from UTF-8 bytes by source and group.

    Raises:
        EscadaError: too few groups for three splits.
    """
    splits = {
        (source, group): split
        for source, groups in bytes_by_source.items()
        for group, split in split_groups(source, groups).items()
    }
    if len(set(splits.values())) < len(SPLITS):
        raise EscadaError(
            "the corpus is too small to be split in three: it has only "
            + counted(len(splits), "group"),
            where=where,
            fix="give at least three documents of one source; a group is a document, or those of "
            "one site, author or thesis, which are not divided",
        )
    return splits
