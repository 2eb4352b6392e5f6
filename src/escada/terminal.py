"""Terminal output: everything that prints lines, tables and progress bars.

    echo(f"{path}: {count:,} documents")
    echo_json(found)
    print_table([("source", "left"), ("bytes", "right")], rows)
    with LiveProgress("judge") as live: live.update(12, 40, "12/40 questions")

User text (names, paths, prompts, samples) is never interpreted as markup, emoji codes or control
sequences: cursor movements, colours and bidi controls are printed as JSON escapes (`\\u001b`), as
are characters that the stream cannot encode (`LC_ALL=C`, cp1252), so printed JSON stays valid.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from rich.console import Console

Column = tuple[str, Literal["left", "right"]]
"""The header of a column and its alignment."""

Style = Literal["bold", "red", "magenta", "yellow", "cyan"]
"""Colours are also underlined, so that hues need not be distinguished."""
_STYLES: dict[Style, str] = {
    "bold": "1",
    "red": "31;4",
    "magenta": "35;4",
    "yellow": "33;4",
    "cyan": "36;4",
}

PLAIN_SECONDS = 10.0
"""Interval of progress lines where there is no terminal."""
MESSAGE_CHARACTERS = 3000
"""Maximum length of a message, shortened in the middle; a path may have 4,096 bytes."""
CELL_CHARACTERS = 120
"""Maximum length of a table cell, except for paths to be copied."""
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f"  # control characters
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line separators and bidi controls
    r"\ud800-\udfff"  # surrogates: bytes of a file name that are not UTF-8
)
_IN_A_LINE = re.compile(f"[{_UNPRINTABLE}]")
_IN_A_TEXT = re.compile(rf"(?![\n\t])[{_UNPRINTABLE}]")


def in_line(text: str) -> str:
    """Escape a text for one line of a terminal."""
    return _IN_A_LINE.sub(_escaped_match, text)


def in_text(text: str) -> str:
    """Like `in_line`, but keeps line breaks and tabs."""
    return _IN_A_TEXT.sub(_escaped_match, text)


def shortened(text: str, characters: int) -> str:
    """Cut out the middle of a text that is too long."""
    if len(text) <= characters:
        return text
    tail = (characters - 1) // 3
    return f"{text[: characters - 1 - tail]}…{text[len(text) - tail :]}"


def echo(line: object = "", *, err: bool = False) -> None:
    """Print one line, escaping line breaks and control characters.

    Raises:
        BrokenPipeError: the reader has closed the pipe.
    """
    print(in_line(str(line)), file=sys.stderr if err else sys.stdout, flush=True)


def echo_text(text: str, *, end: str = "\n") -> None:
    """Print text of any number of lines; unescaped into a pipe or file."""
    print(in_text(text) if sys.stdout.isatty() else text, end=end, flush=True)


def echo_json(value: object) -> None:
    """Print a value as JSON."""
    echo_text(json.dumps(value, ensure_ascii=False, indent=2))


def echo_styled(parts: Iterable[tuple[str, Style | None]], end: str = "\n") -> None:
    """Like `echo_text`, for parts with styles (on a terminal)."""
    if not in_colour():
        echo_text("".join(text for text, _ in parts), end=end)
        return
    shown = (
        f"\x1b[{_STYLES[style]}m{in_text(text)}\x1b[0m" if style and text else in_text(text)
        for text, style in parts
    )
    print("".join(shown), end=end, flush=True)


def in_colour() -> bool:
    """Whether standard output shows styles."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def echo_over(line: str) -> None:
    """Print a line on standard error, replacing the previous one."""
    print(f"\r\x1b[K{in_line(line)}", file=sys.stderr, end="", flush=True)


def echo_error(message: str) -> None:
    """Print an error message as one line of limited length."""
    echo(shortened(in_line(message), MESSAGE_CHARACTERS), err=True)


def console(*, err: bool = False) -> Console:
    """A rich console without markup; for standard error with `err`."""
    from rich.console import Console

    return Console(stderr=err, markup=False, highlight=False, emoji=False)


class LiveProgress:
    """A progress bar on standard error; without a terminal, a line every ten seconds.

    With `passing` the bar is removed at the end, and no final line is printed.
    """

    def __init__(self, label: str, *, passing: bool = False) -> None:
        from rich.progress import BarColumn, Progress, TextColumn

        self._label, self._passing = label, passing
        self._console = console(err=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[status]}", markup=False),
            console=self._console,
            transient=passing,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(label, total=None, status="")
        self._last = time.monotonic()

    def update(self, done: int, total: int | None, status: str) -> None:
        """Show the progress; `status` describes it in words."""
        self._bar.update(self._task, completed=done, total=total, status=status)
        now, ended = time.monotonic(), done == total and not self._passing
        if not self._console.is_terminal and (ended or now - self._last >= PLAIN_SECONDS):
            self._last = now
            self.say(f"{self._label}  {status}")

    def say(self, text: str) -> None:
        """Print a sentence above the bar."""
        from rich.text import Text

        self._console.print(Text(in_line(text)), soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """Format seconds: `12 s`, `1 min 30 s`, `2 h 5 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def print_table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    title: str | None = None,
    dim: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> None:
    """Print a table with one line per row, however narrow the terminal.

    Args:
        rows: cells of any type; integers get thousands separators. A row may be shorter.
        dim: indices of rows to print dimmed.
        whole: indices of columns whose cells are never shortened.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD if title else None,
        title=None if title is None else Text(in_line(title)),
        pad_edge=False,
    )
    for head, justify in columns:
        table.add_column(Text(in_line(head)), justify=justify, no_wrap=True)
    for number, row in enumerate(rows):
        cells = (_cell(value, column in whole) for column, value in enumerate(row))
        table.add_row(*map(Text, cells), style="dim" if number in dim else None)
    shown = console()
    needed = shown.measure(table, options=shown.options.update(width=10**6)).maximum
    shown.width = max(shown.width, needed)
    shown.print(table)


def _cell(value: object, whole: bool) -> str:
    text = f"{value:,}" if isinstance(value, int) else in_line(str(value))
    return text if whole else shortened(text, CELL_CHARACTERS)


def print_what_can_be_shown() -> None:
    """Make stdout and stderr escape characters that they cannot encode, instead of raising."""
    codecs.register_error("escada.escape", _escape_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="escada.escape")


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_escaped, error.object[error.start : error.end])), error.end


def _escaped(character: str) -> str:
    """JSON's ASCII escape: `\\n`, or one or two `\\uXXXX`."""
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if short is not None:
        return short
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _escaped_match(match: re.Match[Any]) -> str:
    return _escaped(match[0])
