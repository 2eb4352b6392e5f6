"""Atomic writes, hashes and JSON files.

Every write goes to a temporary name in the same folder, is flushed to disk and renamed to its
target; folders are built the same way.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
import tomllib
from collections.abc import Generator, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from escada.checksums import content_hash as content_hash
from escada.checksums import sealed, sealed_rows, unsealed, unsealed_rows
from escada.errors import EscadaError

RESTORE = "restore the file"
"""Advice for a damaged file."""
JSON_BYTES, TOML_BYTES, TOKENIZER_BYTES = 512 * 2**20, 2**20, 64 * 2**20
"""Maximum size of a file of JSON, of TOML, and of each file in a tokenizer's folder."""


def disk_error(
    error: OSError, path: object, consequence: str = "nothing was overwritten"
) -> EscadaError | None:
    """Convert a full or failing disk, a missing permission, or a file or folder in the way.

    None for other errors.
    """
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return EscadaError(
            f"disk full while saving; {consequence}", where=path, fix="free some space and repeat"
        )
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return EscadaError(
            "no permission to read or write",
            where=error.filename or path,
            fix=_CACHE_FIX if _is_in_cache(path) else "choose another",
        )
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return EscadaError(
            "a file is where a folder is needed",
            where=error.filename or path,
            fix=_CACHE_FIX if _is_in_cache(path) else "choose another name",
        )
    if error.errno == errno.EISDIR:
        return EscadaError(
            "a folder is where a file is needed", where=error.filename or path, fix="remove it"
        )
    if error.errno == errno.EIO:
        return EscadaError(
            f"the disk reports an error; {consequence}",
            where=error.filename or path,
            fix="check the disk and repeat",
        )
    if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
        return EscadaError(
            "this file system cannot lock files", where=path, fix="choose a folder on another"
        )
    if error.errno == errno.ENAMETOOLONG:
        return EscadaError("the name is too long", where=error.filename or path, fix="shorten it")
    return None


@contextlib.contextmanager
def disk_errors(path: Path, consequence: str = "nothing was overwritten") -> Generator[None]:
    """Raise errors that `disk_error` recognises, while writing `path`, as `EscadaError`."""
    try:
        yield
    except OSError as error:
        if (known := disk_error(error, path, consequence)) is not None:
            raise known from error
        raise


def make_directory(path: Path) -> None:
    """Make a folder and its parents, unless it exists; see `disk_error` for errors."""
    with disk_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def fsync_directory(path: Path) -> None:
    """Make a rename inside `path` durable (POSIX; Windows has no such call)."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_size(path: Path, limit_bytes: int, fix: str = RESTORE) -> None:
    """Check a file before it is read whole.

    Raises:
        EscadaError: missing, no regular file (a folder, a pipe, a device), or too large.
    """
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    if not stat.S_ISREG(status.st_mode):
        raise EscadaError("not a regular file", where=path, fix=fix)
    if status.st_size > limit_bytes:
        raise EscadaError(f"larger than {limit_bytes // 2**20} MiB", where=path, fix=fix)


def check_tokenizer_sizes(folder: Path) -> None:
    """Check the files in a tokenizer's folder, if it exists, before they are read whole.

    Raises:
        EscadaError: see `check_size`.
    """
    if folder.is_dir():
        for path in sorted(folder.iterdir()):
            if not path.is_dir():
                check_size(path, TOKENIZER_BYTES)


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


def append_text(path: Path, text: str) -> None:
    """Append UTF-8 text to a file, which is on the disk and closed when this returns.

    A crash may leave the first part of `text`.

    Raises:
        OSError: see `disk_errors`.
    """
    with path.open("ab") as file:
        file.write(text.encode("utf-8"))
        file.flush()
        os.fsync(file.fileno())


def parse_json(text: str | bytes, where: object, fix: str | None = None) -> Any:
    """Parse any text as JSON.

    Besides syntax errors this covers Python's other exceptions: brackets nested too deep, integers
    of thousands of digits, and bytes that are not UTF-8.

    Raises:
        EscadaError: not valid JSON; says why and where.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        why = f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"
    except UnicodeDecodeError as error:
        why = f"not UTF-8 at byte {error.start}"
    except RecursionError:
        why = "brackets are nested too deep"
    except ValueError:  # an integer beyond sys.get_int_max_str_digits()
        why = f"a number has more than {sys.get_int_max_str_digits():,} digits"
    raise EscadaError(f"bad JSON: {why}", where=where, fix=fix)


def write_json(path: Path, value: object) -> None:
    """Write indented JSON atomically, keeping the order of keys."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False) + "\n")


def write_sealed_json(path: Path, table: Mapping[str, Any]) -> None:
    """Write a JSON object with its checksum, which `read_json` verifies and takes off."""
    write_json(path, sealed(table))


def read_json(path: Path, fix: str = RESTORE) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        EscadaError: missing, too large, not a JSON object, or changed since it was written with a
            checksum.
    """
    return unsealed(_json_object(_content(path, JSON_BYTES, fix), path, fix), path, fix)


def _content(path: Path, limit_bytes: int, fix: str) -> bytes:
    check_size(path, limit_bytes, fix)
    try:
        return path.read_bytes()
    except FileNotFoundError as error:  # removed meanwhile
        raise EscadaError("file not found", where=path, fix="check the path") from error


def read_toml(path: Path, fix: str = RESTORE) -> dict[str, Any]:
    """Read a TOML file; an EscadaError if it is missing, too large or not TOML."""
    data = _content(path, TOML_BYTES, fix)
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EscadaError(f"not a TOML file: {error}", where=path, fix=fix) from error


def _json_object(data: bytes, where: object, fix: str) -> dict[str, Any]:
    value = parse_json(data, where, fix)
    if not isinstance(value, dict):
        raise EscadaError("expected a JSON object", where=where, fix=fix)
    return cast(dict[str, Any], value)


def json_line(row: Mapping[str, Any]) -> str:
    """A row of a JSON lines file, ending with its only newline."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def write_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write one JSON object per line, atomically."""
    write_text(path, "".join(map(json_line, rows)))


def write_sealed_json_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines with their checksum, which `read_json_lines` verifies and takes off."""
    write_json_lines(path, sealed_rows(rows))


def read_json_lines(
    path: Path, *, unfinished: bool = False, fix: str = RESTORE
) -> list[dict[str, Any]]:
    """Read one JSON object per line.

    Only line feeds end a line: strings may hold U+2028, NEL etc., at which `str.splitlines` splits.

    Args:
        unfinished: the file may still be written to; skip a last line without a line feed.
        fix: the suggested fix for a damaged line.

    Raises:
        EscadaError: missing, too large, a line is not a JSON object, or rows do not match their
            checksum.
    """
    lines = _content(path, JSON_BYTES, fix).split(b"\n")
    if unfinished or not lines[-1]:
        lines.pop()
    if not lines and not unfinished:
        raise EscadaError("damaged: it is empty", where=path, fix=fix)
    rows = [
        _json_object(line, f"{path}:{number}", fix) for number, line in enumerate(lines, start=1)
    ]
    return unsealed_rows(rows, path, fix)


@contextlib.contextmanager
def new_directory(path: Path, consequence: str = "nothing was overwritten") -> Generator[Path]:
    """Build a folder under a temporary name and rename it to `path` on success.

    `consequence` completes the error message of a full disk.

    Raises:
        EscadaError: `path` exists, or the disk is full.
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
            try:
                temporary.rename(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise
                raise EscadaError(
                    "another process made this folder meanwhile", where=path, fix="use that one"
                ) from error
            fsync_directory(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verifies_checksums() -> bool:
    """Whether this process verifies large files that all processes of a machine read.

    Of those that `torchrun` started on a machine it is the first: the others go on meanwhile, and
    end with it when a file is damaged.
    """
    together = {"RANK", "WORLD_SIZE", "LOCAL_RANK"} <= os.environ.keys()
    return not together or os.environ["WORLD_SIZE"] == "1" or os.environ["LOCAL_RANK"] == "0"


def utc_now() -> str:
    """Date and time in UTC, ISO 8601 without fractions of a second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


_CACHE_FIX = "set ESCADA_CACHE to a folder that can be written"


def cache_directory() -> Path:
    """The folder of downloads and prepared corpora: `ESCADA_CACHE`, else the user's cache folder.

    Raises:
        EscadaError: the user has no home directory (as in some containers).
    """
    if (path := _find_cache_directory()) is None:
        raise EscadaError("no home folder to keep the cache in", fix=_CACHE_FIX)
    return path


def _find_cache_directory() -> Path | None:
    from platformdirs import user_cache_path

    if chosen := os.environ.get("ESCADA_CACHE"):
        return Path(chosen)
    try:
        return user_cache_path("escada", appauthor=False)
    except RuntimeError:  # platformdirs: "could not determine the home directory"
        return None


def _is_in_cache(path: object) -> bool:
    cache = _find_cache_directory()
    return cache is not None and isinstance(path, str | Path) and Path(path).is_relative_to(cache)
