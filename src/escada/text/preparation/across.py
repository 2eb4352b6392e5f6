"""Removes held-out documents with a copy in training, after the split.

What a copy is, `preparation.decontamination` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path

from escada.text import tables
from escada.text.documents import Document
from escada.text.manifest import AcrossSplits, Copies
from escada.text.preparation import decontamination, dedup
from escada.text.preparation.decontamination import contaminated
from escada.text.preparation.splitting import least_held_out_groups


def remove_copies(
    folder: Path, splits: dict[str, tables.Writer], n_groups: Mapping[str, int]
) -> AcrossSplits:
    """Remove held-out documents with a copy in training, and from validation those in test.

    A source that would have too few groups left keeps its copies, which are counted.
    """
    counts: dict[str, Copies] = {}

    def others(*names: str) -> Callable[[], Iterator[Document]]:
        return lambda: chain.from_iterable(tables.read(folder / f"{n}.parquet") for n in names)

    held_out = others("test", "validation")
    copied = contaminated(held_out(), others("train"))
    n_test = splits["test"].documents.total()
    for split, flags in (("test", copied[:n_test]), ("validation", copied[n_test:])):
        before = splits[split]
        if split == "validation":
            flags = flags | contaminated(tables.read(before.path), others("test"))
        kept = _sources_in_need(zip(tables.read(before.path), flags, strict=True), n_groups)
        staged = before.path.rename(folder / f"{split}.staged.parquet")
        with closing(tables.Writer(before.path)) as after:
            n_kept = 0
            for document, is_copy in zip(tables.read(staged), flags, strict=True):
                if not is_copy or document.source in kept:
                    after.add(document)
                    n_kept += int(is_copy)
        staged.unlink()
        splits[split] = after
        counts[split] = Copies(
            removed_documents=before.documents.total() - after.documents.total(),
            removed_bytes=before.bytes - after.bytes,
            kept_copies=n_kept,
        )
    return AcrossSplits(
        threshold=decontamination.THRESHOLD,
        shingle_characters=dedup.SHINGLE_CHARACTERS,
        run_characters=decontamination.RUN_CHARACTERS,
        most_copies=decontamination.MOST_COPIES,
        test=counts["test"],
        validation=counts["validation"],
    )


def _sources_in_need(
    documents: Iterable[tuple[Document, bool]], n_groups: Mapping[str, int]
) -> set[str]:
    """The sources left with too few groups once the copies among these documents are removed."""
    left: dict[str, set[str]] = defaultdict(set)
    for document, is_copy in documents:
        groups = left[document.source]
        if not is_copy:
            groups.add(document.group)
    return {
        source
        for source, groups in left.items()
        if len(groups) < least_held_out_groups(n_groups[source])
    }
