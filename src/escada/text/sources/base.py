"""What every source offers: a stream of documents, what it is known by, and its licences.

Also the two things that all readers need: lines of UTF-8 with an error that says where they break,
and a row of any of the known forms as a document.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit

from escada.errors import EscadaError
from escada.files import content_hash, sha256_file
from escada.text.documents import Document


@dataclass(frozen=True)
class Licence:
    """Under which terms a source's text may be used; cards and manifests carry it."""

    name: str
    note: str = ""


@dataclass(frozen=True)
class Source:
    """A stream of documents that can be read again and again.

    Attributes:
        name: `default`, `brwac` or the path.
        identity: JSON values that differ when the content does (hashes, sizes, a revision).
        read: starts a new pass over the documents.
        licences: by the documents' `source`.
        total: how many documents there will be, where known before reading.
    """

    name: str
    identity: Mapping[str, Any]
    read: Callable[[], Iterator[Document]]
    licences: Mapping[str, Licence] = field(default_factory=dict[str, Licence])
    total: int | None = None

    def __iter__(self) -> Iterator[Document]:
        """Stream the documents.

        Raises:
            EscadaError: a file cannot be read, or there is no document in it.
        """
        n = 0
        for n, document in enumerate(self.read(), start=1):  # noqa: B007 the count outlives the loop
            yield document
        if n == 0:
            raise EscadaError(
                "empty corpus: no document with any text",
                where=self.name,
                fix="give files that hold text",
            )


def open_binary(path: Path) -> BinaryIO:
    """Open a file for reading bytes, through gzip when it is named so.

    Raises:
        EscadaError: missing, a folder, or not readable.
    """
    try:
        raw = path.open("rb")
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    except (IsADirectoryError, PermissionError) as error:
        fix = "give a file that you may read"
        raise EscadaError("cannot be read as a file", where=path, fix=fix) from error
    return cast(BinaryIO, gzip.open(raw)) if path.suffix == ".gz" else raw


def decode(data: bytes, path: Path, offset: int) -> str:
    """UTF-8 bytes, found at `offset` of `path`, as text.

    Raises:
        EscadaError: not UTF-8; names the file and the byte.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = offset + error.start
        raise EscadaError(
            f"not UTF-8 at byte {at} (0x{data[error.start]:02x})",
            where=path,
            fix="convert it, for example with iconv -f latin1 -t utf-8",
        ) from error


def lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file (plain or gzip) without their ends, or a mark at the start.

    Raises:
        EscadaError: missing file, a broken archive, or not UTF-8.
    """
    offset = 0
    with open_binary(path) as file:
        try:
            for data in file:
                line = decode(data, path, offset)
                if offset == 0:
                    line = line.removeprefix("\ufeff")
                offset += len(data)
                yield line.rstrip("\r\n")
        except (gzip.BadGzipFile, zlib.error, EOFError) as error:
            fix = "download or compress it again"
            raise EscadaError(f"broken gzip file: {error}", where=path, fix=fix) from error


def file_identity(path: Path) -> dict[str, Any]:
    """Size and content hash of a file, or of every file in a folder."""
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        parts = {str(file.relative_to(path)): file_identity(file) for file in files}
        size = sum(part["size"] for part in parts.values())
        return {"files": len(parts), "size": size, "sha256": content_hash(parts)}
    if not path.exists():
        raise EscadaError("file not found", where=path, fix="check the path")
    return {"size": path.stat().st_size, "sha256": sha256_file(path)}


END_MARK = "<END>"
"""What stands between the lines of a document in `nlpufg/brwac`."""


def _joined(value: object) -> str | None:
    """Text from a column: a string, or paragraphs that are strings or lists of sentences."""
    if isinstance(value, str):
        if END_MARK not in value:
            return value
        return "\n".join(part.strip() for part in value.split(END_MARK))
    if isinstance(value, Mapping):
        return _joined(cast(Mapping[str, object], value).get("paragraphs"))
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        return None
    paragraphs: list[str] = []
    for part in cast(Sequence[object], value):
        if isinstance(part, Mapping):
            part = cast(Mapping[str, object], part).get("paragraphs")
        if isinstance(part, Sequence) and not isinstance(part, str | bytes):
            sentences = cast(Sequence[object], part)
            if not all(isinstance(sentence, str) for sentence in sentences):
                return None
            part = " ".join(cast(Sequence[str], sentences))
        joined = _joined(part)
        if joined is None:
            return None
        paragraphs.append(joined)
    return "\n".join(paragraphs)


def host(uri: str) -> str | None:
    """The site of an address, without `www.`; None when it has none."""
    try:
        name = urlsplit(uri if "://" in uri else f"//{uri}").hostname
    except ValueError:
        return None
    return name.removeprefix("www.") if name else None


def document_of_row(
    row: Mapping[str, Any], *, default_id: str, default_source: str, where: object
) -> Document:
    """A document from a row with `text` and, where it has them, `id`, `source`, `group`.

    BrWaC's columns are known too: `doc_id`, `uri` (its host is the group) and `text` as
    paragraphs, each a list of sentences: sentences are joined by spaces, paragraphs by newlines.
    A row without a group is a group of its own.

    Raises:
        EscadaError: no text in the row.
    """
    if "text" not in row:
        known = ", ".join(map(str, row)) or "none"
        raise EscadaError(
            f"no 'text' in the row; its columns: {known}",
            where=where,
            fix="name the column of the text 'text'",
        )
    text = _joined(row["text"])
    if text is None:
        kind = type(row["text"]).__name__
        raise EscadaError(
            f"'text' is neither a string nor paragraphs but {kind}",
            where=where,
            fix="give text in quotes",
        )

    def named(*keys: str) -> str | None:
        for key in keys:
            if (value := row.get(key)) is not None and str(value) != "":
                return str(value).encode("utf-8", "replace").decode("utf-8")
        return None

    identifier = named("id", "doc_id") or default_id
    uri = named("uri", "url")
    group = named("group") or (host(uri) if uri else None) or identifier
    return Document(identifier, named("source") or default_source, group, text)
