"""What every source offers: a stream of documents, what it is known by, and its licences.

Also how rows become documents, and the account of what was not taken as it stood: files that were
left out, rows that were skipped, ids that came twice.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from escada.errors import EscadaError, counted
from escada.files import content_hash
from escada.text.documents import Document
from escada.text.sources.opening import readable
from escada.text.sources.rows import NAME_THE_COLUMN

_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Licence:
    """Under which terms a source's text may be used; cards and manifests carry it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class RowOptions:
    """Which columns of a row are what, and what happens to bad rows.

    Attributes:
        text_column, id_column, group_column, source_column: by name; None: `text`, `id`, `group`
            and `source`, of which only the text must be there. One that is named must be there.
            Of addresses in a group column that is named, the site is the group.
        skip_bad_rows: leave out, and count, rows that cannot be read or hold no text.
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


@dataclass
class ReadCounts:
    """What a pass over a source did not take as it stood.

    Attributes:
        left_out: files below a folder that were not read: how many, by reason.
        names: some of them.
        skipped_rows: bad rows.
        first_skipped_row: what was wrong with the first of them.
        repeated_ids: documents whose id an earlier one of their source had.
    """

    left_out: Counter[str] = field(default_factory=Counter[str])
    names: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    skipped_rows: int = 0
    first_skipped_row: str = ""
    repeated_ids: int = 0

    def leave_out(self, reason: str, name: str) -> None:
        """Count a file that is not read."""
        self.left_out[reason] += 1
        names = self.names.setdefault(reason, [])
        if len(names) < _NAMES_SHOWN:
            names.append(name)

    def skip_row(self, error: EscadaError) -> None:
        """Count a row that is not read."""
        self.skipped_rows += 1
        self.first_skipped_row = self.first_skipped_row or str(error)

    def to_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "left_out": {
                reason: {"count": count, "names": self.names[reason]}
                for reason, count in sorted(self.left_out.items())
            },
            "skipped_rows": self.skipped_rows,
            "first_skipped_row": self.first_skipped_row or None,
            "repeated_ids": self.repeated_ids,
        }


@dataclass(frozen=True)
class Source:
    """A stream of documents that can be read again and again.

    Attributes:
        name: `default`, `brwac` or the path.
        identity: JSON values that differ when the content does (hashes, sizes, a revision).
        read: starts a new pass over the documents. One without a group is a group of its own.
        licences: by the documents' `source`.
        total: how many documents there will be, where known before reading.
    """

    name: str
    identity: Mapping[str, Any]
    read: Callable[[ReadCounts], Iterator[Document]]
    licences: Mapping[str, Licence] = field(default_factory=dict[str, Licence])
    total: int | None = None

    def __iter__(self) -> Iterator[Document]:
        """Stream the documents, as `documents` does."""
        return self.documents(ReadCounts())

    def documents(self, counts: ReadCounts) -> Iterator[Document]:
        """Stream the documents, each with an id of its own within its source.

        Args:
            counts: updated as the stream is read.

        Raises:
            EscadaError: a file cannot be read, or there is no document in it.
        """
        seen: dict[int, int] = {}
        for document in self.read(counts):
            identifier = _new_id(document.source, document.id, seen)
            if identifier != document.id:
                counts.repeated_ids += 1
            yield replace(document, id=identifier, group=document.group or identifier)
        if not seen:
            left_out = ", ".join(f"{n} {reason}" for reason, n in counts.left_out.items())
            skipped = counted(counts.skipped_rows, "bad row") if counts.skipped_rows else ""
            besides = "; ".join(part for part in (left_out, skipped) if part)
            raise EscadaError(
                "empty corpus: no document with any text"
                + (f" (left out: {besides})" if besides else ""),
                where=self.name,
                fix="give files that hold text",
            )


def _new_id(source: str, identifier: str, seen: dict[int, int]) -> str:
    """The id, or, where it was there before, with `#2`, `#3`, … after it.

    `seen` holds a hash of each id with how often it came: all that memory allows of millions.
    """

    def mark(name: str) -> int:
        data = f"{source}\0{name}".encode()
        return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")

    first = mark(identifier)
    times = seen[first] = seen.get(first, 0) + 1
    if times == 1:
        return identifier
    while (other := mark(f"{identifier}#{times}")) in seen:
        times += 1
    seen[first], seen[other] = times, 1
    return f"{identifier}#{times}"


@dataclass(frozen=True)
class Intake:
    """How the files of one source become documents.

    Attributes:
        source: of documents that name none.
        options: which columns are what.
        counts: what is left out and skipped.
        document: makes a document of a row; see `document_of_row`.
        columns: that it may look at.
    """

    source: str
    options: RowOptions
    counts: ReadCounts
    document: Callable[..., Document]
    columns: Sequence[str]

    def on_bad_row(self, error: EscadaError) -> None:
        """Count a bad row, or end with it.

        Raises:
            EscadaError: the user did not ask to skip bad rows.
        """
        if not self.options.skip_bad_rows:
            raise error
        self.counts.skip_row(error)

    def documents(
        self, rows: Iterable[tuple[int, str, Mapping[str, Any]]], place_of: Callable[[int], str]
    ) -> Iterator[Document]:
        """The documents of numbered rows, without the bad ones.

        Args:
            rows: see `rows.read_rows`.
            place_of: the id of a row without one, by its number.

        Raises:
            EscadaError: what `on_bad_row` raises.
        """
        for number, where, row in rows:
            try:
                document = self.document(
                    row,
                    place=place_of(number),
                    source=self.source,
                    where=where,
                    options=self.options,
                )
            except EscadaError as error:
                self.on_bad_row(error)
            else:
                yield document


def plain_intake(source: str, options: RowOptions, counts: ReadCounts) -> Intake:
    """For files of a user's own."""
    columns = (*options.named, "id", "group", "source")
    return Intake(source, options, counts, document_of_row, columns)


def file_identity(path: Path) -> dict[str, Any]:
    """Size and content hash of a file."""
    with readable(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"size": file.tell(), "sha256": digest}


def files_identity(files: Mapping[str, Path]) -> dict[str, Any]:
    """Size and content hash of files by their place below a folder."""
    parts = {place: file_identity(file) for place, file in files.items()}
    size = sum(part["size"] for part in parts.values())
    return {"files": len(parts), "size": size, "sha256": content_hash(parts)}


def host(uri: str) -> str | None:
    """The site of an address, without `www.`; None when it has none."""
    try:
        name = urlsplit(uri if "://" in uri else f"//{uri}").hostname
    except ValueError:
        return None
    return name.removeprefix("www.") if name else None


def text_of(row: Mapping[str, Any], column: str, where: object) -> object:
    """What stands in the column of the text.

    Raises:
        EscadaError: there is no such column.
    """
    if column not in row:
        known = ", ".join(map(str, row)) or "none"
        what = f"no {column!r} in the row; its columns: {known}"
        raise EscadaError(what, where=where, fix=NAME_THE_COLUMN)
    return row[column]


def not_text(column: str, value: object, where: object, *, known: str) -> EscadaError:
    """What is said of a text that is none."""
    what = f"{column!r} is neither {known} but {type(value).__name__}"
    return EscadaError(what, where=where, fix="give text in quotes, or add --skip-bad-rows")


def name_in(row: Mapping[str, Any], *columns: str) -> str | None:
    """The first of some columns that holds a name, as text; None when none does."""
    for column in columns:
        value = row.get(column)
        if value is None or value == "" or (isinstance(value, float) and math.isnan(value)):
            continue
        return str(value).encode("utf-8", "replace").decode("utf-8")
    return None


def document_of_row(
    row: Mapping[str, Any], *, place: str, source: str, where: object, options: RowOptions
) -> Document:
    """A document from a row of a user's own file.

    Args:
        row: `text` and, where it has them, `id`, `source`, `group`, or what `options` names.
        place: the id of a row without one.
        source: of a row without one.
        where: for errors.
        options: which columns are what.

    Raises:
        EscadaError: no text in the row, or no column that `options` names.
    """
    for column in options.named[1:]:
        text_of(row, column, where)
    text = text_of(row, options.text, where)
    if not isinstance(text, str):
        raise not_text(options.text, text, where, known="a string nor UTF-8 bytes")
    group = name_in(row, options.group_column or "group") or ""
    if options.group_column is not None and "://" in group:
        group = host(group) or group
    return Document(
        name_in(row, options.id_column or "id") or place,
        name_in(row, options.source_column or "source") or source,
        group,
        text,
    )
