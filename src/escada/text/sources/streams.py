"""Reads a file as lines of text, decompressing it if needed.

The format is told by the first bytes, not the name: gzip, bzip2, xz and zstd are decompressed,
UTF-16 and UTF-32 are recognised by their byte order mark, and files that are not text (Parquet,
PDF, Word) are refused by name. Lines end at a line feed only. Encodings are never guessed.

Memory is bounded whatever a file unpacks to: a line has at most `LINE_BYTES`, and decompression
takes at most `UNPACKING_BYTES` for its window.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError

PACKINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zstd": "zstd"}
"""Compression format by suffix."""

_PACKED = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_UNPACK = "unpack it first"
_AS_TEXT = "take its text out first, for example with pandoc, and give the .txt"
_NOT_TEXT = {
    b"PAR1": ("a Parquet file", "let its name end in .parquet"),
    b"ARROW1": ("an Arrow file", "write it as Parquet"),
    b"FEA1": ("a Feather file", "write it as Parquet"),
    b"SQLite format 3\x00": ("an SQLite database", "export its texts as CSV or JSON lines"),
    b"\x89HDF\r\n\x1a\n": ("an HDF5 file", "write its texts as Parquet"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", _UNPACK),
    b"Rar!": ("a rar archive", _UNPACK),
    b"\x1f\x9d": ("packed by compress", _UNPACK),
    b"\x04\x22\x4d\x18": ("packed by lz4", _UNPACK),
    b"%PDF-": ("a PDF", "take its text out first, for example with pdftotext, and give the .txt"),
    b"{\\rtf": ("a rich text document", _AS_TEXT),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("a document of an old Office", _AS_TEXT),
    b"\x89PNG": ("an image", "give files that hold text"),
    b"\xff\xd8\xff": ("an image", "give files that hold text"),
    b"GIF8": ("an image", "give files that hold text"),
    b"\x7fELF": ("a program", "give files that hold text"),
}
_TAR_AT = 257
_MARKS = (  # UTF-32 first: its mark begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LINE_BYTES = 32 * 2**20
"""Maximum length of a line, and of a document."""
UNPACKING_BYTES = 256 * 2**20
"""Maximum memory of a decompressor: `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB."""
_HEAD_BYTES = 4096
_BUFFER_BYTES = 2**16
_CONTROLS = bytes({*range(0x20), 0x7F} - set(b"\t\n\v\f\r\x1b"))


class NotUtf8Error(EscadaError):
    """Bytes of a file that are not UTF-8."""


def printable(path: object) -> str:
    r"""A path as valid UTF-8; undecodable bytes of the name are shown as `\xe3`."""
    return os.fsencode(str(path)).decode("utf-8", "backslashreplace")


def printable_values(table: Mapping[str, object]) -> dict[str, object]:
    """A table for an identity, whose strings the user may have written in any bytes."""
    return {key: printable(one) if isinstance(one, str) else one for key, one in table.items()}


def without_packing(name: str) -> str:
    """A file name without its compression suffix."""
    stem, suffix = os.path.splitext(name)  # noqa: PTH122 a name, not a path
    return stem if stem and suffix.lower() in PACKINGS else name


@contextlib.contextmanager
def readable(path: Path) -> Generator[io.BufferedReader]:
    """Open a file for reading raw bytes.

    Raises:
        EscadaError: missing, a folder or a device, or not readable.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            fix = "write it to a file first: it is read more than once"
            raise EscadaError("not a regular file", where=path, fix=fix)
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    except (IsADirectoryError, PermissionError) as error:
        fix = "give a file that you may read"
        raise EscadaError("cannot be read as a file", where=path, fix=fix) from error


@contextlib.contextmanager
def unpacked(path: Path) -> Generator[io.BufferedReader]:
    """Open a file for reading decompressed bytes.

    Raises:
        EscadaError: what `readable` raises; a broken file, or one that is not text.
    """
    with readable(path) as raw, contextlib.ExitStack() as stack:
        packing = _packing(raw.peek(8), path)
        try:
            file = raw if packing is None else stack.enter_context(_unpack(raw, packing))
            _refuse_other_kinds(file.peek(_HEAD_BYTES)[:_HEAD_BYTES], path)
            yield file
        except (OSError, zlib.error, EOFError, lzma.LZMAError) as error:
            fix = "download or compress it again"
            raise EscadaError(
                f"broken {packing or ''} file: {error}", where=path, fix=fix
            ) from error


def _packing(head: bytes, path: Path) -> str | None:
    """Compression format by first bytes; raises if only the suffix promises one."""
    for magic, packing in _PACKED.items():
        if head.startswith(magic):
            return packing
    if promised := PACKINGS.get(path.suffix.lower()):
        raise EscadaError(
            f"broken {promised} file: it does not begin as one",
            where=path,
            fix=f"download or compress it again, or take {path.suffix} off its name",
        )
    return None


def _unpack(raw: io.BufferedReader, packing: str) -> io.BufferedReader:
    if packing == "gzip":
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=raw)), _BUFFER_BYTES)
    if packing == "bzip2":
        return io.BufferedReader(cast(io.RawIOBase, bz2.BZ2File(raw)), _BUFFER_BYTES)
    if packing == "xz":
        return io.BufferedReader(_Xz(raw), _BUFFER_BYTES)
    import pyarrow  # unlike zstandard's reader, it detects a truncated archive

    arrow: Any = pyarrow
    stream = arrow.CompressedInputStream(arrow.PythonFile(raw), "zstd")
    return io.BufferedReader(stream, _BUFFER_BYTES)


class _Xz(io.RawIOBase):
    """An xz file unpacked; `lzma.LZMAFile` has no limit for the window that a file asks for."""

    def __init__(self, packed: io.BufferedReader) -> None:
        self._packed, self._stream = packed, self._next_stream()

    @staticmethod
    def _next_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=UNPACKING_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = b""
        while not data:
            if self._stream.eof and (packed := self._after_a_stream()):
                self._stream = self._next_stream()
            elif self._stream.eof:
                return 0
            else:
                packed = self._packed.read(_BUFFER_BYTES) if self._stream.needs_input else b""
                if self._stream.needs_input and not packed:
                    raise EOFError("it ends before its end-of-stream marker")
            data = self._stream.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _after_a_stream(self) -> bytes:
        """The start of the next stream, behind padding; nothing at the end of the file."""
        packed = self._stream.unused_data.lstrip(b"\x00")
        while not packed and (more := self._packed.read(_BUFFER_BYTES)):
            packed = more.lstrip(b"\x00")
        return packed


def _refuse_other_kinds(head: bytes, path: Path) -> None:
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        kind = _kind_of_zip(path)
    elif head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        kind = "a tar archive", _UNPACK
    elif head.startswith(tuple(_PACKED)):
        kind = "packed twice", _UNPACK
    else:
        kind = next((kind for magic, kind in _NOT_TEXT.items() if head.startswith(magic)), None)
    if kind is None and not head.startswith(tuple(mark for mark, _ in _MARKS)):
        zeros = head.count(0)
        if zeros > len(head) / 10:
            fix = "if it is UTF-16: iconv -f utf-16le -t utf-8"
            what = f"not text: {zeros} of its first {len(head)} bytes are zero"
            raise EscadaError(what, where=path, fix=fix)
    if kind is not None:
        raise EscadaError(f"not a text file but {kind[0]}", where=path, fix=kind[1])


def _kind_of_zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        names = []
    if any(name.startswith("word/") for name in names):
        return "a Word document", _AS_TEXT
    if any(name.startswith("xl/") for name in names):
        return "an Excel workbook", "save it as CSV (UTF-8)"
    if "mimetype" in names:
        return "an OpenDocument or EPUB file", _AS_TEXT
    return "a zip archive", _UNPACK


def decode(data: bytes, path: Path, offset: int) -> str:
    """Decode UTF-8 bytes found at `offset` of `path`.

    Raises:
        NotUtf8Error: names the file and the byte.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        at = offset + error.start
        controls = len(data) - len(data.translate(None, _CONTROLS))
        fix = "save it as UTF-8 (in Excel: CSV UTF-8), or: iconv -f cp1252 -t utf-8 FILE > NEW"
        if controls > len(data) / 20:
            fix = "it seems to be no text file: give one that holds text"
        raise NotUtf8Error(
            f"not UTF-8 at byte {at} (0x{data[error.start]:02x})", where=path, fix=fix
        ) from error


def byte_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(byte offset, line) pairs of a file: UTF-8 with line ends, no byte order mark, unchecked.

    Raises:
        EscadaError: what `unpacked` raises, or broken UTF-16 or UTF-32.
    """
    with unpacked(path) as file:
        head = file.peek(4)
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), None)
        if encoding is not None:
            yield from _recoded(file, encoding, path)
            return
        offset = 0
        for data in iter(lambda: file.readline(LINE_BYTES + 1), b""):
            _check_line(len(data), path, offset)
            bare = data.removeprefix(codecs.BOM_UTF8) if offset == 0 else data
            yield offset + len(data) - len(bare), bare
            offset += len(data)


def _check_line(size: int, path: Path, offset: int) -> None:
    if size > LINE_BYTES:
        raise EscadaError(
            f"a line is longer than {LINE_BYTES // 2**20} MiB (it begins at byte {offset:,})",
            where=path,
            fix="put line breaks between its documents, or divide it",
        )


def _recoded(file: io.BufferedReader, encoding: str, path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        text, offset = io.TextIOWrapper(file, encoding, newline="\n"), 0
        for line in iter(lambda: text.readline(LINE_BYTES + 1), ""):
            data = line.encode("utf-8")
            _check_line(len(data), path, offset)
            yield 0, data
            offset += len(data)
    except UnicodeError as error:
        name = encoding.upper()
        raise EscadaError(f"broken {name}: {error}", where=path, fix="save it as UTF-8") from error


def lines(path: Path) -> Iterator[str]:
    """The lines of a text file without line ends.

    Raises:
        EscadaError: what `byte_lines` raises, or not UTF-8.
    """
    for offset, data in byte_lines(path):
        yield decode(data, path, offset).rstrip("\r\n")


def whole_text(path: Path) -> str:
    """The text of a file, line ends included.

    Raises:
        EscadaError: what `lines` raises; or it is too long for one document.
    """
    parts = (decode(data, path, offset) for offset, data in byte_lines(path))
    return "".join(one_document(parts, path))


def one_document(parts: Iterable[str], path: Path) -> Iterator[str]:
    """The parts of a document before they are joined.

    Raises:
        EscadaError: together they are too long.
    """
    size = Size(path)
    for part in parts:
        size.add(len(part))
        yield part


class Size:
    """Adds up what is held of one document before it is joined.

    Attributes:
        total: bytes or characters so far; set it to 0 when another document begins.
    """

    def __init__(
        self,
        path: object,
        what: str = "a document",
        limit: int | None = None,
        fix: str = "divide it, for example by chapters or sites",
    ) -> None:
        self._path, self._what, self._fix, self.total = path, what, fix, 0
        self._limit = LINE_BYTES if limit is None else limit

    def add(self, size: int) -> None:
        """Count a part.

        Raises:
            EscadaError: with it the document is too long.
        """
        self.total += size
        if self.total > self._limit:
            raise EscadaError(
                f"{self._what} is longer than {self._limit // 2**20} MiB",
                where=self._path,
                fix=self._fix,
            )
