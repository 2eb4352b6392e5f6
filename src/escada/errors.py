"""The one kind of error that a user can fix.

Anything a user can cause (a missing file, an unknown key, a full disk) is raised as `EscadaError`
with three parts: what went wrong, where, and how to fix it. The command line prints it as one line
and exits with code 2. Every other exception is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


class EscadaError(Exception):
    """Something that the user can fix.

    Args:
        what: the problem, without a full stop.
        where: a file, key or line that it concerns.
        fix: what to do about it, without a full stop.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: object | None = None, fix: str | None = None) -> None:
        self.what, self.where, self.fix = what, None if where is None else str(where), fix
        place = f" ({self.where})" if self.where else ""
        remedy = f"; {fix}" if fix else ""
        line = " ".join(f"{what}{place}{remedy}".split())
        # Names of files need not be UTF-8; what is printed does.
        super().__init__(line.encode("utf-8", "backslashreplace").decode("utf-8"))


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint such as ``did you mean 'd_model'?``, or what is known when nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(names)


def counted(number: int, noun: str) -> str:
    """`1 group`, `1,126 groups`.

    Args:
        number: how many.
        noun: of one of them; its plural ends in s.
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def decimal_comma(text: str) -> str | None:
    """What to do about a number that is written as in Portuguese; None if it is not."""
    number = re.fullmatch(r"\s*([+-]?[0-9]+),([0-9]+)\b.*", text)
    return f"use a point: {number[1]}.{number[2]}" if number else None
