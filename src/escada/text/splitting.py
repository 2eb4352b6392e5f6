"""Which split each group of documents belongs to.

Within each source, the groups are put in the order of their hash and laid end to end; the first
80 % of the bytes are training, the next 10 % validation, the rest test. A group goes where its
middle falls, so none is divided; from three groups on, each split gets at least one. The order
depends on nothing but the groups' names: the same corpus is split the same way on every machine,
and with a document more, most groups stay where they were.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from escada.errors import EscadaError

SPLITS = ("train", "validation", "test")
TRAIN_SHARE, VALIDATION_SHARE = 0.8, 0.1
"""Of a source's bytes; the rest is test."""


def _place(source: str, group: str) -> bytes:
    return hashlib.sha256(f"{source}\x00{group}".encode()).digest()


def split_groups(source: str, group_bytes: Mapping[str, int]) -> dict[str, str]:
    """The split of each group of one source.

    Args:
        source: its name, part of the hash.
        group_bytes: UTF-8 bytes of each group.

    Returns:
        Group → split. Fewer than three groups are all training.
    """
    groups = sorted(group_bytes, key=lambda group: _place(source, group))
    if len(groups) < len(SPLITS):
        return dict.fromkeys(groups, "train")
    total = sum(group_bytes.values())
    n_train = n_before_test = 0
    before = 0
    for group in groups:
        middle = before + group_bytes[group] / 2
        before += group_bytes[group]
        n_train += middle < TRAIN_SHARE * total
        n_before_test += middle < (TRAIN_SHARE + VALIDATION_SHARE) * total
    n_train = min(max(n_train, 1), len(groups) - 2)
    n_before_test = min(max(n_before_test, n_train + 1), len(groups) - 1)
    return {group: SPLITS[(i >= n_train) + (i >= n_before_test)] for i, group in enumerate(groups)}


def split_corpus(
    bytes_by_source: Mapping[str, Mapping[str, int]], where: object = None
) -> dict[tuple[str, str], str]:
    """The split of each (source, group).

    Args:
        bytes_by_source: UTF-8 bytes of each group of each source.
        where: what was read, for the message of an error.

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
            f"the corpus is too small to be split in three: {len(splits)} group(s) of documents",
            where=where,
            fix="give at least three documents (or sites, authors, theses) of one source",
        )
    return splits
