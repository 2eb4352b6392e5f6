"""Files that are whole or absent: atomic writes, hashes and versioned JSON.

A reader never sees half a file: every write goes to a temporary name in the same folder, is flushed
to disk and then renamed over its target. Folders are built under a temporary name and renamed once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from escada.errors import EscadaError


def disk_error(
    error: OSError, path: object, consequence: str = "nothing was overwritten"
) -> EscadaError | None:
    """What a full disk, a missing permission or a file in the way is to the user; else None."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return EscadaError(
            f"disk full while saving; {consequence}", where=path, fix="free some space and repeat"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return EscadaError(
            "no permission to read or write", where=error.filename or path, fix="choose another"
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return EscadaError(
            "a file is where a folder is needed",
            where=error.filename or path,
            fix="choose another name",
        )
    if error.errno == errno.ENAMETOOLONG:
        return EscadaError("the name is too long", where=error.filename or path, fix="shorten it")
    return None


@contextlib.contextmanager
def disk_errors(path: Path, consequence: str = "nothing was overwritten") -> Generator[None]:
    """Turn what `disk_error` knows, while writing `path`, into one clear line."""
    try:
        yield
    except OSError as error:
        if (known := disk_error(error, path, consequence)) is not None:
            raise known from error
        raise


def make_directory(path: Path) -> None:
    """Make a folder and those above it, unless it is there.

    Raises:
        EscadaError: a file is in the way, or no permission.
    """
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` survive a power cut (POSIX)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, creating parent folders."""
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    write_bytes(path, text.encode("utf-8"))


def parse_json(text: str | bytes, where: object, fix: str | None = None) -> Any:
    """A JSON value, whatever stands in `text`.

    Beyond bad syntax, text may hold what Python's reader ends on with other exceptions: brackets
    nested deeper than its stack, whole numbers of thousands of digits, bytes that are not UTF-8.

    Raises:
        EscadaError: the text is not JSON that can be read here; says why and where.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        why = f"{error.msg} at character {error.pos + 1}"
    except UnicodeDecodeError as error:
        why = f"not UTF-8 at byte {error.start}"
    except RecursionError:
        why = "brackets are nested too deep"
    except ValueError:  # what is left: a whole number beyond sys.get_int_max_str_digits()
        why = f"a number has more than {sys.get_int_max_str_digits():,} digits"
    raise EscadaError(f"bad JSON: {why}", where=where, fix=fix)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically; keys keep their order."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        EscadaError: the file is missing, is not JSON or is not an object.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    return _json_object(data, path, "restore the file")


def _json_object(data: bytes, where: object, fix: str) -> dict[str, Any]:
    value = parse_json(data, where, fix)
    if not isinstance(value, dict):
        raise EscadaError("expected a JSON object", where=where, fix=fix)
    return cast(dict[str, Any], value)


def json_line(row: Mapping[str, Any]) -> str:
    """A row of a JSON lines file, with its newline: the only one there is in it."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object a line, atomically."""
    write_text(path, "".join(map(json_line, rows)))


def read_json_lines(
    path: Path, *, unfinished: bool = False, fix: str = "restore the file"
) -> list[dict[str, Any]]:
    """Read one JSON object a line.

    A line ends at a line feed and nowhere else: ids and texts may hold U+2028, NEL and the like,
    which `str.splitlines` takes for ends of lines.

    Args:
        path: the file.
        unfinished: somebody may be writing it still: a last line without its line feed is left out.
        fix: what the user is told to do about a damaged line.

    Raises:
        EscadaError: missing, or a line is not a JSON object; says which.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    lines = data.split(b"\n")
    if unfinished or not lines[-1]:
        lines.pop()
    return [
        _json_object(line, f"{path}:{number}", fix) for number, line in enumerate(lines, start=1)
    ]


@contextlib.contextmanager
def new_directory(path: Path, consequence: str = "nothing was overwritten") -> Generator[Path]:
    """Build a folder under a temporary name; it appears at `path` whole, or not at all.

    `consequence` is what the user is told of a full disk.

    Raises:
        EscadaError: `path` exists already (nothing is overwritten silently), or the disk is full.
    """
    if path.exists():
        raise EscadaError("folder exists", where=path, fix="choose another name or remove it")
    make_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with disk_errors(path, consequence):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    with file.open("rb") as handle:
                        os.fsync(handle.fileno())
            temporary.rename(path)
            fsync_directory(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value, independent of key order and whitespace."""
    canonical = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


def hash_sources(*folders: Path) -> str:
    """One hash over the Python files below `folders`: the code that a result depends on."""
    files: Iterator[tuple[str, str]] = (
        (f"{folder.name}/{file.relative_to(folder)}", sha256_file(file))
        for folder in folders
        for file in ([folder] if folder.is_file() else sorted(folder.rglob("*.py")))
    )
    return content_hash(sorted(files))


def cache_directory() -> Path:
    """Home of downloads and prepared corpora: `ESCADA_CACHE`, else the user's cache folder."""
    if chosen := os.environ.get("ESCADA_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "escada"
