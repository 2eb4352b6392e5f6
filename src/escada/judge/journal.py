"""What became of every call, one JSON object a line, on disk before the next question is put.

    with open_journal(path, scrub) as journal:
        journal.append({"event": "answer", "key": …, "answer": …})

A review that was stopped, or killed at any moment, goes on from here: a question with an answer is
not put again. A last line that a kill tore is no event and is cut off; every whole line is. Lines
are only ever added. Events, each with the question's `key`, `kind`, `opening` and `entrants`:

    answer      the validated answer, tokens, seconds, how the form was asked for
    malformed   the judge's words, and what is wrong with them
    refused     the server would not take the question
    failed      the call did not get through, and why
    degraded    no question: a part of the request that the server refused, and is sent no more
"""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from escada.errors import EscadaError
from escada.files import disk_errors, exclusive, fsync_directory, json_line, parse_json

SCHEMA_VERSION = 1
MOST_ATTEMPTS = 3
"""Replies of another form (or refusals) until a question counts as unusable."""

Event = dict[str, Any]


def whole_lines(data: bytes, where: object = None) -> tuple[list[Event], int]:
    """The events of a journal's bytes, and how many of the bytes they are.

    What follows the last line end is an event if it is whole, else what a kill left.

    Raises:
        EscadaError: a line before the last is no JSON object.
    """
    events: list[Event] = []
    length = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        event = _event(line)
        if event is None:
            if length + len(line) < len(data):
                raise EscadaError(
                    f"line {number} is damaged",
                    where=where,
                    fix="remove that line: its question will be asked again",
                )
            break
        events.append(event)
        length += len(line)
    return events, length


def _event(line: bytes) -> Event | None:
    try:
        value: object = parse_json(line, "journal")
    except EscadaError:
        return None
    return cast(Event, value) if isinstance(value, dict) else None


@dataclass
class Journal:
    """What is known so far. `append` is the only way to add to it."""

    path: Path
    scrub: Callable[[str], str]
    events: list[Event] = field(default_factory=list[Event])
    answers: dict[str, Event] = field(default_factory=dict[str, Event])
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _file: BinaryIO | None = None

    def append(self, event: Event) -> None:
        """Write an event to disk, without secrets, and count it."""
        assert self._file is not None, "the journal is not open for writing"
        event = _scrubbed(event, self.scrub)
        line = json_line(event).encode("utf-8")
        with disk_errors(self.path, "what was answered before is kept"):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        self.count([event])

    def count(self, events: Iterable[Event]) -> None:
        """Take events into account that are on disk."""
        for event in events:
            self.events.append(event)
            if event["event"] == "answer":
                self.answers.setdefault(event["key"], event)
            elif event["event"] in ("malformed", "refused"):
                self.attempts[event["key"]] += 1

    def answer(self, key: str) -> dict[str, Any] | None:
        """The answer to a question, if there is one."""
        event = self.answers.get(key)
        return event["answer"] if event else None

    def unusable(self, key: str) -> bool:
        """Whether a question was given up."""
        return key not in self.answers and self.attempts.get(key, 0) >= MOST_ATTEMPTS

    def settled(self, key: str) -> bool:
        """Whether a question needs no more asking."""
        return key in self.answers or self.unusable(key)


def _scrubbed(value: Any, scrub: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        # half a surrogate pair, which JSON can carry and UTF-8 cannot, becomes a question mark
        return scrub(value.encode("utf-8", "replace").decode("utf-8"))
    if isinstance(value, dict):
        items = cast(dict[str, Any], value).items()
        return {key: _scrubbed(part, scrub) for key, part in items}
    if isinstance(value, list | tuple):
        return [_scrubbed(part, scrub) for part in cast(list[Any], value)]
    return value


@contextlib.contextmanager
def open_journal(path: Path, scrub: Callable[[str], str]) -> Generator[Journal]:
    """Open a journal for one process, reading what is there.

    Args:
        path: made if missing.
        scrub: takes secrets out of a text.

    Raises:
        EscadaError: another process writes to it, a line is damaged, or it has another schema.
    """
    journal = Journal(path, scrub)
    busy, fix = "another review is writing here", "wait for it, or choose --out"
    with contextlib.ExitStack() as stack:
        stack.enter_context(exclusive(path.with_name(f".{path.name}.lock"), busy, fix=fix))
        with disk_errors(path):
            file = stack.enter_context(path.open("a+b"))
        file.seek(0)
        data = file.read()
        events, length = whole_lines(data, path)
        with disk_errors(path):
            file.truncate(length)
            journal._file = file  # pyright: ignore[reportPrivateUsage]
            if length and not data[:length].endswith(b"\n"):
                file.write(b"\n")
        if not events:
            journal.append({"event": "journal", "schema_version": SCHEMA_VERSION})
            fsync_directory(path.parent)
        elif events[0].get("schema_version") != SCHEMA_VERSION:
            raise EscadaError("not a journal of this version of escada", where=path)
        journal.count(events)
        yield journal
