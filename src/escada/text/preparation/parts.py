"""The first half of a preparation, on all cores: documents cleaned, filtered and signed, in parts.

A part is a run of documents of the source's stream: where it ends depends on the stream alone, so
the parts are the same whoever makes them. A worker streams the whole source and makes every
W-th part: its documents with their reference texts, what duplicates are found by
(`preparation.dedup`), and how many were left out why. A part is complete or not there, so a
preparation that was killed goes on with the parts that are missing.

    00000/documents.parquet   00000/fingerprints.npy   00000/signatures.npy   00000/counts.json
    00001/…
    end.json                  how many parts there are, and what the source itself left out
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from threading import Event, Thread

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import BaseModel

from escada.errors import EscadaError
from escada.files import content_hash, disk_errors, new_directory, read_json, write_sealed_json
from escada.text import tables
from escada.text.documents import Document, DocumentCounts, group_hash
from escada.text.filters import FilterCounts, Filtered
from escada.text.preparation.dedup import N_MINIMA, comparison_form, fingerprint, signatures
from escada.text.preparation.processes import Run, UnfinishedError, in_processes
from escada.text.reading import Progress, ReferenceCounts, Rules, reference_document
from escada.text.sources import ReadCounts, Source
from escada.workers import check_sendable

PART_CHARACTERS = 2**22
PART_DOCUMENTS = 2**16
"""A part ends at whichever is reached first, or holds one longer document."""
_END = "end.json"
_LOOK_SECONDS = 0.5
_TELL_DOCUMENTS = 64


class PartCounts(BaseModel):
    """What became of a part's documents."""

    read: DocumentCounts
    short: int
    filters: FilterCounts


class _End(BaseModel):
    parts: int
    source: ReadCounts


class Parts:
    """The parts in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def paths(self) -> list[Path]:
        """The complete parts, in order."""
        paths = (path for path in self.folder.glob("[0-9]*") if path.is_dir())
        return sorted(paths, key=lambda path: int(path.name))

    @property
    def complete(self) -> bool:
        """Whether every part is there."""
        end = self._end()
        return end is not None and len(self.paths) == end.parts

    def _end(self) -> _End | None:
        path = self.folder / _END
        return _End.model_validate(read_json(path)) if path.exists() else None

    def counts(self) -> ReferenceCounts:
        """What was left out, in all parts and by the source."""
        total = ReferenceCounts()
        for path in self.paths:
            part = PartCounts.model_validate(read_json(path / "counts.json"))
            total.merge(ReferenceCounts(part.read, part.short, filters=part.filters))
        if end := self._end():
            total.source = end.source
        return total

    def documents(self, is_kept_N: NDArray[np.bool_]) -> Iterator[Document]:
        """Stream the documents of all parts that are kept, in order."""
        place = count()
        for path in self.paths:
            for document in tables.read(path / "documents.parquet"):
                if is_kept_N[next(place)]:
                    yield document

    def groups(self, is_kept_N: NDArray[np.bool_]) -> Iterator[tuple[str, int, int]]:
        """Source, hash of the group and UTF-8 bytes of the documents that are kept, in order."""
        place = count()
        for path in self.paths:
            for source, group, n_bytes in tables.sizes(path / "documents.parquet"):
                if is_kept_N[next(place)]:
                    yield source, group_hash(source, group), n_bytes

    def fingerprints(self) -> NDArray[np.uint64]:
        """Of every document, (N,)."""
        rows = [np.load(path / "fingerprints.npy") for path in self.paths]
        return np.concatenate(rows) if rows else np.zeros(0, dtype=np.uint64)

    def signatures(self) -> NDArray[np.uint16]:
        """Of every document, (N, M), from one file that is written now."""
        n = 0
        whole = self.folder / "signatures"
        with disk_errors(whole), whole.open("wb") as file:
            for path in self.paths:  # one after another: there may be more than open files
                part: NDArray[np.uint16] = np.load(path / "signatures.npy")
                file.write(part.tobytes())
                n += len(part)
        if not n:
            return np.zeros((0, N_MINIMA), dtype=np.uint16)
        shape = (n, N_MINIMA)
        return np.memmap(whole, dtype=np.uint16, mode="r", shape=shape)


def make_parts(
    source: Source,
    reopen: Callable[[], Source],
    rules: Rules,
    folder: Path,
    *,
    workers: int = 1,
    run: Run | None = None,
    part_characters: int = PART_CHARACTERS,
    progress: Progress | None = None,
) -> Parts:
    """Make all parts of a source that are not in the folder yet.

    Args:
        reopen: opens the source in a worker. It is picklable, and the main module is importable
            without side effects (multiprocessing's "spawn").
        workers: processes. A source that is one part needs no second one.
        run: runs the workers' shares elsewhere; see `preparation.cluster`.

    Raises:
        UnfinishedError: the same call goes on with the parts that are missing.
        EscadaError: what `Source.documents` raises; the source changed meanwhile.
    """
    parts = Parts(folder)
    if workers > 1:
        fix = "make it of functions and classes of a module, or use --workers 1"
        check_sendable((reopen, rules), "a filter or source", where="data prepare", fix=fix)
    if not parts.complete:
        most = None if workers == 1 and run is None else 1
        make_share(source, rules, folder, part_characters, progress=progress, most=most)
        if not parts.complete:
            identity = content_hash(dict(source.identity))
            share = partial(_share_of_worker, reopen, identity, rules, folder, part_characters)
            with _telling(parts, source.total, progress):
                (run or in_processes(workers))(share, folder)
        if not parts.complete:
            fix = "start the same command again; it goes on from here"
            raise UnfinishedError("parts are missing", where=source.name, fix=fix)
    return parts


@contextmanager
def _telling(parts: Parts, total: int | None, progress: Progress | None) -> Generator[None]:
    """Tell in a thread how many documents the complete parts hold."""
    known: dict[Path, int] = {}
    ended = Event()

    def tell(progress: Progress) -> None:
        is_last = False
        while not is_last:
            is_last = ended.wait(_LOOK_SECONDS)
            for path in parts.paths:
                if path not in known:
                    known[path] = read_json(path / "counts.json")["read"]["documents"]
            progress(sum(known.values()), total)

    if progress is None:
        yield
        return
    thread = Thread(target=tell, args=(progress,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _share_of_worker(
    reopen: Callable[[], Source],
    identity: str,
    rules: Rules,
    folder: Path,
    part_characters: int,
    *,
    rank: int,
    world: int,
    parent: int | None,
) -> None:
    source = reopen()
    if content_hash(dict(source.identity)) != identity:
        raise EscadaError(
            "the source changed while it was read",
            where=source.name,
            fix="start the same command again",
        )
    make_share(source, rules, folder, part_characters, rank=rank, world=world, parent=parent)


def make_share(
    source: Source,
    rules: Rules,
    folder: Path,
    part_characters: int = PART_CHARACTERS,
    *,
    rank: int = 0,
    world: int = 1,
    progress: Progress | None = None,
    most: int | None = None,
    parent: int | None = None,
) -> None:
    """Make the parts that are missing of `rank`'s: every `world`-th.

    Args:
        most: stop before this part.
        parent: the process without which this one ends.
    """
    counts = ReadCounts()
    done, number = 0, 0
    for number, documents in enumerate(_runs(source.documents(counts), part_characters), 1):
        place = number - 1
        if most is not None and place >= most:
            return
        if parent is not None and not psutil.pid_exists(parent):
            return
        path = folder / f"{place:05}"
        if place % world == rank and not path.exists():
            results = (reference_document(document, rules) for document in documents)
            if progress is not None:
                results = _told(results, done, source.total, progress)
            _write_part(path, results, rules)
        done += len(documents)
    if rank == 0:
        end = _End(parts=number, source=counts)
        write_sealed_json(folder / _END, end.model_dump(mode="json"))


def _runs(documents: Iterator[Document], most_characters: int) -> Iterator[list[Document]]:
    """The documents of one part after another."""
    run: list[Document] = []
    characters = 0
    for document in documents:
        if run and (
            len(run) == PART_DOCUMENTS or characters + len(document.text) > most_characters
        ):
            yield run
            run, characters = [], 0
        run.append(document)
        characters += len(document.text)
    if run:
        yield run


def _told(
    results: Iterable[Filtered], done: int, total: int | None, progress: Progress
) -> Iterator[Filtered]:
    """The results, with a word on progress now and then."""
    for i, result in enumerate(results, 1):
        if i % _TELL_DOCUMENTS == 0:
            progress(done + i, total)
        yield result


def _write_part(path: Path, results: Iterable[Filtered], rules: Rules) -> None:
    counts = ReferenceCounts(filters=FilterCounts.of(rules.chain))
    kept: list[Document] = []
    for result in results:
        counts.add(result)
        if result.removed_by is None:
            kept.append(result.document)
    try:
        with new_directory(path) as folder:
            with closing(tables.Writer(folder / "documents.parquet")) as file:
                for document in kept:
                    file.add(document)
            marks = np.array([fingerprint(document.text) for document in kept], dtype=np.uint64)
            np.save(folder / "fingerprints.npy", marks)
            forms = [comparison_form(document.text) for document in kept]
            np.save(folder / "signatures.npy", signatures(forms))
            part = PartCounts(read=counts.read, short=counts.short, filters=counts.filters)
            write_sealed_json(folder / "counts.json", part.model_dump(mode="json"))
    except EscadaError:
        if not path.exists():  # else another process made it meanwhile
            raise
