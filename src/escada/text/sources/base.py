"""The contract of every source: a stream of documents, an identity, licences.

Also the counts of what was changed or left out: files, bad rows, repeated ids.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from escada.errors import EscadaError, counted
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.sources.streams import readable

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Licence:
    """The terms of use of a source's text, for cards and manifests."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class RowOptions:
    """Which column of a row holds what, and how bad rows are handled.

    Attributes:
        text_column, id_column, group_column, source_column: None: `text`, `id`, `group` and
            `source`, of which only the text is required. Named columns are required. If a named
            group column holds addresses, the group is the site.
        skip_bad_rows: skip and count rows that cannot be read or have no text.
    """

    text_column: str | None = None
    id_column: str | None = None
    group_column: str | None = None
    source_column: str | None = None
    skip_bad_rows: bool = False

    @property
    def text(self) -> str:
        """The column of the text."""
        return self.text_column or "text"

    @property
    def named(self) -> list[str]:
        """The columns that a row must have."""
        others = (self.id_column, self.group_column, self.source_column)
        return [self.text, *(name for name in others if name is not None)]


class LeftOut(BaseModel):
    """Files that were not read for one reason: their number and the first few names."""

    count: int = 0
    names: list[str] = []


class MixturePart(BaseModel):
    """What was read of one of several sources.

    Attributes:
        share: of the bytes, as asked for; None where sources follow one another.
        bytes: UTF-8 bytes of the texts as read.
        is_exhausted: the mixture ended since this source did.
    """

    source: str
    share: float | None = None
    documents: int = 0
    bytes: int = 0
    is_exhausted: bool = False


class ReadCounts(BaseModel):
    """What a pass over a source read, left out or changed.

    Attributes:
        mixture: what was read of each of several sources.
        left_out: files below a folder that were not read, by reason.
        first_skipped_row: the error of the first skipped row.
        repeated_ids: documents renamed because their source already had the id.
    """

    mixture: list[MixturePart] = []
    left_out: dict[str, LeftOut] = {}
    skipped_rows: int = 0
    first_skipped_row: str | None = None
    repeated_ids: int = 0

    def leave_out(self, reason: str, name: str) -> None:
        """Count a file that is not read."""
        files = self.left_out.setdefault(reason, LeftOut())
        files.count += 1
        if len(files.names) < _NAMES_SHOWN:
            files.names.append(name)

    def skip_row(self, error: EscadaError) -> None:
        """Count a row that is not read."""
        self.skipped_rows += 1
        self.first_skipped_row = self.first_skipped_row or str(error)


@dataclass(frozen=True)
class Source:
    """A stream of documents that can be read repeatedly.

    Attributes:
        identity: JSON values that change with the content (hashes, sizes, a revision).
        read: starts a new pass. A document with an empty group becomes its own group.
        licences: by the documents' `source`.
        total: number of documents; None if unknown before reading.
        cards: what their publishers say of them, by the documents' `source`.
    """

    name: str
    identity: Mapping[str, object]
    read: Callable[[ReadCounts], Iterator[Document]]
    licences: Mapping[str, Licence] = field(default_factory=dict[str, Licence])
    total: int | None = None
    cards: Mapping[str, str] = field(default_factory=dict[str, str])

    def __iter__(self) -> Iterator[Document]:
        """Stream the documents, as `documents` does."""
        return self.documents(ReadCounts())

    def documents(self, counts: ReadCounts) -> Iterator[Document]:
        """Stream the documents with unique ids; `counts` is updated on the way.

        Raises:
            EscadaError: a file cannot be read, or there is no document.
        """
        ids = UniqueIds()
        for document in self.read(counts):
            identifier = ids.new(document.source, document.id)
            if identifier != document.id:
                counts.repeated_ids += 1
            yield replace(document, id=identifier, group=document.group or identifier)
        if not ids:
            left_out = ", ".join(f"{files.count} {why}" for why, files in counts.left_out.items())
            skipped = counted(counts.skipped_rows, "bad row") if counts.skipped_rows else ""
            besides = "; ".join(part for part in (left_out, skipped) if part)
            raise EscadaError(
                "empty corpus: no document with any text"
                + (f" (left out: {besides})" if besides else ""),
                where=self.name,
                fix="give files that hold text",
            )


class UniqueIds:
    """Ids that were given, as a hash table of 64-bit hashes: 16 to 32 bytes an id."""

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 * 2**12))
        self._n = 0
        self._times: dict[int, int] = {}
        """How often an id was wanted, of those that were wanted again."""

    def __len__(self) -> int:
        return self._n

    def new(self, source: str, identifier: str) -> str:
        """The id, with `#2`, `#3`, … appended if it is taken within its source."""
        first = _id_hash(source, identifier)
        if self._add(first):
            return identifier
        times = self._times.get(first, 1) + 1
        while not self._add(_id_hash(source, f"{identifier}#{times}")):
            times += 1
        self._times[first] = times
        return f"{identifier}#{times}"

    def _add(self, mark: int) -> bool:
        """Add a hash; False if it is there."""
        place = self._place(mark)
        if self._slots[place]:
            return False
        self._slots[place] = mark
        self._n += 1
        if 2 * self._n > len(self._slots):
            before, self._slots = self._slots, array("Q", bytes(2 * 8 * len(self._slots)))
            for other in filter(None, before):
                self._slots[self._place(other)] = other
        return True

    def _place(self, mark: int) -> int:
        """Where a hash is, or belongs."""
        slots, last = self._slots, len(self._slots) - 1
        place = mark & last
        while slots[place] and slots[place] != mark:
            place = (place + 1) & last
        return place


def _id_hash(source: str, identifier: str) -> int:
    """64 bits, never 0."""
    data = f"{source}\0{identifier}".encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1


def file_identity(path: Path) -> dict[str, Any]:
    """Size and content hash of a file."""
    with readable(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def files_identity(files: Mapping[str, Path]) -> dict[str, Any]:
    """Combined size and hash of files; keys are paths below a folder."""
    parts = {place: file_identity(file) for place, file in files.items()}
    size = sum(part["size"] for part in parts.values())
    return {"files": len(parts), "size": size, "sha256": content_hash(parts)}
