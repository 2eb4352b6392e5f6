"""The error that a user can fix.

Anything a user can cause (a missing file, an unknown key, a full disk) raises `EscadaError` with
three parts: what went wrong, where, and how to fix it. The command line prints it as one line and
exits with code 2. Every other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class EscadaError(Exception):
    """An error that the user can fix.

    Args:
        what: the problem, without a full stop.
        where: the file, key or line that it concerns.
        fix: what to do about it, without a full stop.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, None if where is None else str(where), fix
        place = f" ({self.where})" if self.where else ""
        remedy = f"; {fix}" if fix else ""
        line = " ".join(f"{what}{place}{remedy}".split())
        # File names need not be UTF-8, but output must be.
        super().__init__(line.encode("utf-8", "backslashreplace").decode("utf-8"))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'd_model'?``, or the known names if none is similar."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(names)


def counted(number: int, noun: str) -> str:
    """`1 group`, `1,126 groups`; the plural adds an s."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def decimal_comma(text: str) -> str | None:
    """The fix for a number with a decimal comma (Portuguese); None if it has none."""
    number = re.fullmatch(r"\s*([+-]?[0-9]+),([0-9]+)\b.*", text)
    return f"use a point: {number[1]}.{number[2]}" if number else None
