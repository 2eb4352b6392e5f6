"""Write files to paths chosen by the user without overwriting the user's own files.

Formats that allow comments say on their first line that escada wrote them; for CSV and PDF, the
folder keeps a list.
"""

from __future__ import annotations

from pathlib import Path

from escada import __version__
from escada.errors import EscadaError
from escada.files import check_size, write_bytes, write_text

_WRITTEN = "Written by escada"
MARK = f"{_WRITTEN} {__version__}; changes made here are lost when it is written again."
"""First line of a file whose format allows comments."""
LIST = ".written-by-escada"
"""File that lists the folder's files without such a line."""
_LISTED = (".csv", ".pdf")
_MARK_CHARACTERS, _LIST_BYTES = 1000, 2**20
"""As much of a file, and of the list, as is read."""


def write_ours(path: Path, content: str | bytes) -> Path:
    """Write a file, unless one exists there that escada did not write; returns the path.

    Raises:
        EscadaError: a foreign file is in the way, or the disk is full.
    """
    if path.is_dir():
        raise EscadaError("a folder is in the way", where=path, fix="name another file")
    listed = path.suffix in _LISTED
    names = _names(path.parent) if listed else set[str]()
    if path.exists() and not (path.name in names if listed else _says_so(path)):
        raise EscadaError(
            "a file that escada did not write lies there; nothing was overwritten",
            where=path,
            fix="name another place, or move it away",
        )
    if listed and path.name not in names:  # first: after a crash the file is still ours
        write_text(path.parent / LIST, "".join(f"{n}\n" for n in sorted({*names, path.name})))
    write_bytes(path, content.encode("utf-8") if isinstance(content, str) else content)
    return path


def _says_so(path: Path) -> bool:
    with path.open(encoding="utf-8", errors="replace") as file:
        return _WRITTEN in file.readline(_MARK_CHARACTERS)


def _names(folder: Path) -> set[str]:
    path = folder / LIST
    if not path.is_file():
        return set()
    check_size(path, _LIST_BYTES)
    return set(path.read_text(encoding="utf-8", errors="replace").splitlines())
