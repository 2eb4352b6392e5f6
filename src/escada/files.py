"""Files that are whole or absent: atomic writes, locks, hashes and versioned JSON.

A reader never sees half a file: every write goes to a temporary name in the same folder, is flushed
to disk and then renamed over its target. Folders are built under a temporary name and renamed once.
What only one process may do at a time it does under `exclusive`.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Generator, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
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
    if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
        return EscadaError(
            "this file system cannot lock files", where=path, fix="choose a folder on another"
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
    """Make a rename inside `path` survive a power cut (POSIX; Windows has no such call)."""
    if sys.platform == "win32":
        return
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
        why = f"{error.msg.removesuffix(' at')} at character {error.pos + 1}"
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


def read_toml(path: Path, fix: str = "restore the file") -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        EscadaError: the file is missing or is not TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise EscadaError("file not found", where=path, fix="check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EscadaError(f"not a TOML file: {error}", where=path, fix=fix) from error


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


def content_hash(value: object) -> str:
    """Hexadecimal SHA-256 of a JSON value, independent of key order and whitespace."""
    canonical = json.dumps(
        value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode("utf-8")).hexdigest()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: a process, its machine, and since when (UTC, ISO 8601)."""

    pid: int
    host: str
    since: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


_LOCK_SECONDS = 1.0
"""How long `exclusive` tries before it says that a lock is held: `is_held` takes far less."""


@contextlib.contextmanager
def exclusive(
    lock: Path, busy: str | None = None, *, fix: str = "wait until it has ended"
) -> Generator[None]:
    """Be the only one, among processes and threads, who holds `lock`.

    The system releases it when its holder dies, however it dies.

    Args:
        lock: a file for nothing else; made, with its folder, and left there. Who holds it is
            written beside it.
        busy: what the holder is doing, for whoever comes second. Without it, the second waits.
        fix: what to do about that.

    Raises:
        EscadaError: somebody holds it (says who), or the file cannot be made or locked.
    """
    from filelock import FileLock, Timeout

    make_directory(lock.parent)
    seconds = -1 if busy is None else _LOCK_SECONDS
    file = FileLock(lock, timeout=seconds, fallback_to_soft=False, thread_local=False)
    with disk_errors(lock):
        try:
            file.acquire()
        except Timeout as error:
            who = f": {owner}" if (owner := _read_holder(lock)) else ""
            raise EscadaError(f"{busy}{who}", where=lock.parent, fix=fix) from error
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(_holder_file(lock), asdict(Holder(os.getpid(), platform.node(), now)))
        yield
    finally:
        _holder_file(lock).unlink(missing_ok=True)
        file.release()


def is_held(lock: Path) -> bool:
    """Whether somebody holds `lock` now; see `exclusive`.

    Where the lock cannot be tried, as on a read-only disk, it counts as held while the file of its
    holder is there.
    """
    from filelock import FileLock, Timeout

    if not lock.exists():
        return False
    try:
        FileLock(lock, timeout=0, fallback_to_soft=False).acquire().lock.release()
    except Timeout:
        return True
    except OSError:
        return _holder_file(lock).exists()
    return False


def _holder_file(lock: Path) -> Path:
    return lock.with_name(f"{lock.name}.json")


def _read_holder(lock: Path) -> Holder | None:
    """Who says that it holds `lock`; None in the moment before it has said so."""
    try:
        data = _holder_file(lock).read_bytes()
    except FileNotFoundError:
        return None
    return Holder(**_json_object(data, _holder_file(lock), "remove it"))


_CACHE_FIX = "set ESCADA_CACHE to a folder that can be written"


def cache_directory() -> Path:
    """Home of downloads and prepared corpora: `ESCADA_CACHE`, else the user's cache folder.

    Raises:
        EscadaError: the user has no home (a container's user without a name).
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
