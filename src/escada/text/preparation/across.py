"""Removes held-out documents with a copy in training, after the split.

What a copy is, `preparation.decontamination` says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from escada.text import tables
from escada.text.documents import Document
from escada.text.manifest import AcrossSplits, Copies
from escada.text.preparation.decontamination import Reader, contaminated
from escada.text.preparation.dedup import SHINGLE_CHARACTERS
from escada.text.preparation.near_duplicates import THRESHOLD
from escada.text.preparation.processes import Run, alone, in_processes
from escada.text.preparation.shared_runs import MOST_COPIES, RUN_CHARACTERS
from escada.text.preparation.splitting import least_held_out_groups

ALONE_BYTES = 50_000_000
"""Up to this many bytes of text, more processes would take longer to start than they save."""


def remove_copies(
    folder: Path,
    splits: dict[str, tables.Writer],
    n_groups: Mapping[str, int],
    scratch: Path,
    workers: int = 1,
) -> AcrossSplits:
    """Remove held-out documents with a copy in training, and from validation those in test.

    A source that would have too few groups left keeps its copies, which are counted.

    Args:
        splits: the files, which are replaced.
        n_groups: of each source, before anything was removed.
        scratch: a folder for files that are needed meanwhile.
    """
    counts: dict[str, Copies] = {}

    def reader(*names: str) -> Reader:
        return partial(_documents, [splits[name].path for name in names])

    def run(*names: str) -> Run:
        n_bytes = sum(splits[name].text_bytes.total() for name in names)
        return alone if workers == 1 or n_bytes < ALONE_BYTES else in_processes(workers)

    held_out = reader("test", "validation")
    copied = contaminated(held_out, reader("train"), scratch, run(*splits))
    n_test = splits["test"].documents.total()
    for split, flags in (("test", copied[:n_test]), ("validation", copied[n_test:])):
        before = splits[split]
        if split == "validation":
            compared = reader("validation"), reader("test"), scratch, run("validation", "test")
            flags = flags | contaminated(*compared)
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
            removed_bytes=before.text_bytes.total() - after.text_bytes.total(),
            kept_copies=n_kept,
        )
    return AcrossSplits(
        threshold=THRESHOLD,
        shingle_characters=SHINGLE_CHARACTERS,
        run_characters=RUN_CHARACTERS,
        most_copies=MOST_COPIES,
        test=counts["test"],
        validation=counts["validation"],
    )


def _documents(paths: Iterable[Path], share: tables.Share) -> Iterator[Document]:
    return chain.from_iterable(tables.read(path, share) for path in paths)


def _sources_in_need(
    documents: Iterable[tuple[Document, np.bool_]], n_groups: Mapping[str, int]
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
