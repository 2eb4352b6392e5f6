"""Files that a user asked for under a name of his: written, but never over something of his own."""

from __future__ import annotations

from pathlib import Path

from escada import __version__
from escada.errors import EscadaError
from escada.files import write_text

_WRITTEN = "Written by escada"
MARK = f"{_WRITTEN} {__version__}; changes made here are lost when it is written again."
"""First line of a file whose form allows a comment."""


def write_ours(path: Path, text: str) -> Path:
    """Write `text`, unless a file lies there that no escada wrote.

    One that escada wrote has its mark in the first line, or (CSV) the same first line.

    Returns:
        The path.

    Raises:
        EscadaError: a file of somebody else's is in the way, or the disk is full.
    """
    if path.is_dir():
        raise EscadaError("a folder is in the way", where=path, fix="name another file")
    if path.exists():
        first = path.read_text(encoding="utf-8", errors="replace").split("\n", 1)[0]
        if _WRITTEN not in first and first != text.split("\n", 1)[0]:
            raise EscadaError(
                "a file that escada did not write lies there; nothing was overwritten",
                where=path,
                fix="name another place, or move it away",
            )
    write_text(path, text)
    return path
