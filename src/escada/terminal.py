"""What a person sees in a terminal: the one place that prints lines, tables and bars.

    echo(f"{path}: {count:,} documents")
    echo_json(found)
    print_table([("source", "left"), ("bytes", "right")], rows)
    with LiveProgress("judge") as live: live.update(12, 40, "12/40 questions")

Names, paths, prompts and samples come from users. They are never read as markup, emoji codes or
control sequences: what would move the cursor, colour the screen or turn the line around is shown as
an escape, as JSON writes it (`\\u001b`). A stream that cannot show a character (`LC_ALL=C`, cp1252)
gets such an escape too, so JSON that is printed there is still JSON.
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
"""The head of a column and where its cells are set."""

Style = Literal["bold", "red", "magenta", "yellow", "cyan"]
"""Colours underline too, so that nobody needs to tell hues apart."""
_STYLES: dict[Style, str] = {
    "bold": "1",
    "red": "31;4",
    "magenta": "35;4",
    "yellow": "33;4",
    "cyan": "36;4",
}

PLAIN_SECONDS = 10.0
"""Between two lines of progress where there is no terminal for a bar."""
MESSAGE_CHARACTERS = 3000
"""Most of a message; what is longer loses its middle. A path may have 4,096 bytes."""
CELL_CHARACTERS = 120
"""Most of a table's cell, but for a path that is there to be copied."""
_UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f"  # control characters
    r"\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"  # line breaks; what turns a line around
    r"\ud800-\udfff"  # bytes of a file name that are not UTF-8
)
_IN_A_LINE = re.compile(f"[{_UNPRINTABLE}]")
_IN_A_TEXT = re.compile(rf"(?![\n\t])[{_UNPRINTABLE}]")


def in_line(text: str) -> str:
    """A text in one line that a terminal shows as it is."""
    return _IN_A_LINE.sub(_escaped_match, text)


def in_text(text: str) -> str:
    """As `in_line`, of a text that keeps its line breaks and tabs."""
    return _IN_A_TEXT.sub(_escaped_match, text)


def shortened(text: str, characters: int) -> str:
    """A text without its middle where it is longer than that."""
    if len(text) <= characters:
        return text
    tail = (characters - 1) // 3
    return f"{text[: characters - 1 - tail]}…{text[len(text) - tail :]}"


def echo(line: object = "", *, err: bool = False) -> None:
    """Print one line; whatever would break it or steer the terminal is escaped.

    Raises:
        BrokenPipeError: whoever reads the output has left.
    """
    print(in_line(str(line)), file=sys.stderr if err else sys.stdout, flush=True)


def echo_text(text: str, *, end: str = "\n") -> None:
    """Print a text of any lines; into a pipe or a file it goes as it is."""
    print(in_text(text) if sys.stdout.isatty() else text, end=end, flush=True)


def echo_json(value: object) -> None:
    """Print a value as JSON."""
    echo_text(json.dumps(value, ensure_ascii=False, indent=2))


def echo_styled(parts: Iterable[tuple[str, Style | None]], end: str = "\n") -> None:
    """As `echo_text`, of a text in parts, each of which has its style on a terminal."""
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
    """Print a line on standard error in the place of the line before."""
    print(f"\r\x1b[K{in_line(line)}", file=sys.stderr, end="", flush=True)


def echo_error(message: str) -> None:
    """Print what a user has to know, in one line of bearable length."""
    echo(shortened(in_line(message), MESSAGE_CHARACTERS), err=True)


def console(*, err: bool = False) -> Console:
    """A console that takes text for what it is; of standard error with `err`."""
    from rich.console import Console

    return Console(stderr=err, markup=False, highlight=False, emoji=False)


class LiveProgress:
    """How far something long is: a bar on standard error where that is a terminal.

    Elsewhere a line every ten seconds, and one at the end.

    Args:
        label: what is being done.
        passing: the bar goes when it has ended, and no line says that it has.
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
        """So much is done of all; `status` says it in words, with what else is known."""
        self._bar.update(self._task, completed=done, total=total, status=status)
        now, ended = time.monotonic(), done == total and not self._passing
        if not self._console.is_terminal and (ended or now - self._last >= PLAIN_SECONDS):
            self._last = now
            self.say(f"{self._label}  {status}")

    def say(self, text: str) -> None:
        """A sentence of any length above the bar."""
        from rich.text import Text

        self._console.print(Text(in_line(text)), soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def duration(seconds: float) -> str:
    """As people say it: `12 s`, `1 min 30 s`, `2 h 5 min`."""
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
    """Print a table, a line for each row, however narrow the terminal.

    Args:
        columns: from left to right.
        rows: cells of any kind; integers get thousands separators. A row may be shorter.
        title: above it, with a rule below the heads.
        dim: numbers of the rows that step back.
        whole: numbers of the columns whose cells are never shortened.
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
    """Have standard output and error escape what their encoding does not hold, and never raise."""
    codecs.register_error("escada.escape", _escape_unencodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="escada.escape")


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_escaped, error.object[error.start : error.end])), error.end


def _escaped(character: str) -> str:
    """As JSON writes it in ASCII: `\\n`, or one or two `\\uXXXX`."""
    short = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}.get(character)
    if short is not None:
        return short
    units = character.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def _escaped_match(match: re.Match[Any]) -> str:
    return _escaped(match[0])
