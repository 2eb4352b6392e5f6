"""The journal of a review: one JSON object per call, fsynced before the next question is sent.

    with open_journal(path, scrub) as journal:
        journal.append(Event(event="answer", key=…, answer=…))

A review that was stopped or killed resumes from it: answered questions are not sent again. The file
is append-only, except that an incomplete last line is cut off.
"""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ValidationError

from escada.errors import EscadaError
from escada.files import (
    JSON_BYTES,
    check_size,
    disk_errors,
    fsync_directory,
    json_line,
    parse_json,
)
from escada.judge.endpoint import Form, Part, Tokens
from escada.judge.questions import Answer, Kind, PairAnswer, RubricAnswer
from escada.locks import exclusive

SCHEMA_VERSION = 1
MOST_ATTEMPTS = 3
"""Malformed replies or refusals after which a question counts as unusable."""


class Event(BaseModel):
    """A line of the journal; only fields that were set are written.

    Attributes:
        event: `answer`; `malformed`, an invalid reply; `refused`, the server rejected the question;
            `failed`, the call failed; `degraded`, the server rejected a part of the request, which
            is dropped; `journal`, the first line.
        schema_version: on the first line.
        key, kind, opening, entrants: of the question.
        attempt: number of the call, not counting failed ones.
        part, base_url: of `degraded`.
        text: beginning of a malformed reply.
    """

    event: Literal["journal", "answer", "malformed", "refused", "failed", "degraded"]
    schema_version: int | None = None
    key: str = ""
    kind: Kind = "pair"
    opening: str = ""
    entrants: tuple[str, ...] = ()
    attempt: int = 1
    seconds: float | None = None
    tokens: Tokens | None = None
    form: Form | None = None
    part: Part | None = None
    base_url: str | None = None
    reason: str = ""
    text: str | None = None
    answer: RubricAnswer | PairAnswer | None = None


def whole_lines(data: bytes, where: object) -> tuple[list[Event], int]:
    """The events of a journal's bytes, and their length, without an incomplete last line.

    Raises:
        EscadaError: a line before the last is no JSON object, or any line is no event.
    """
    events: list[Event] = []
    length = 0
    for number, line in enumerate(data.splitlines(keepends=True), start=1):
        try:
            value: object = parse_json(line, "journal")
            # the file has the field names, not the judge's aliases
            events.append(Event.model_validate(value, by_name=True, by_alias=False))
        except (EscadaError, ValidationError) as error:
            if isinstance(error, EscadaError) and length + len(line) == len(data):
                break
            raise EscadaError(
                f"line {number} is damaged",
                where=where,
                fix="remove that line: its question will be asked again",
            ) from error
        length += len(line)
    return events, length


@dataclass
class Journal:
    """The state of a review; `append` is the only way to change it."""

    path: Path
    scrub: Callable[[str], str]
    events: list[Event] = field(default_factory=list[Event])
    answers: dict[str, Answer] = field(default_factory=dict[str, Answer])
    """By the question's key."""
    attempts: Counter[str] = field(default_factory=Counter[str])
    """Malformed replies and refusals, by the question's key."""
    _file: BinaryIO | None = None

    def append(self, event: Event) -> None:
        """Write an event to disk, without secrets, and update the state."""
        assert self._file is not None, "the journal is not open for writing"
        if event.reason:
            event.reason = self._clean(event.reason)
        if event.text is not None:
            event.text = self._clean(event.text)
        if event.answer is not None:
            event.answer.remarks = self._clean(event.answer.remarks)
        line = json_line(event.model_dump(mode="json", exclude_unset=True)).encode("utf-8")
        with disk_errors(self.path, "what was answered before is kept"):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        self._count(event)

    def _clean(self, text: str) -> str:
        # lone surrogates, valid in JSON but not in UTF-8, become question marks
        return self.scrub(text.encode("utf-8", "replace").decode("utf-8"))

    def _count(self, event: Event) -> None:
        self.events.append(event)
        if event.answer is not None:
            self.answers.setdefault(event.key, event.answer)
        elif event.event in ("malformed", "refused"):
            self.attempts[event.key] += 1

    def unusable(self, key: str) -> bool:
        """Whether a question was given up."""
        return key not in self.answers and self.attempts[key] >= MOST_ATTEMPTS

    def settled(self, key: str) -> bool:
        """Whether a question is answered or given up."""
        return key in self.answers or self.unusable(key)


@contextlib.contextmanager
def open_journal(path: Path, scrub: Callable[[str], str]) -> Generator[Journal]:
    """Open a journal exclusively and read it; `scrub` hides secrets in a text.

    Raises:
        EscadaError: another process writes to it, a line is damaged, or it has another schema.
    """
    busy, fix = "another review is writing here", "wait for it, or choose --out"
    with contextlib.ExitStack() as stack:
        stack.enter_context(exclusive(path.with_name(f".{path.name}.lock"), busy, fix=fix))
        if path.exists():
            check_size(path, JSON_BYTES)
        with disk_errors(path):
            file = stack.enter_context(path.open("a+b"))
        file.seek(0)
        data = file.read()
        events, length = whole_lines(data, path)
        if events and events[0].schema_version != SCHEMA_VERSION:
            raise EscadaError("not a journal of this version of escada", where=path)
        with disk_errors(path):
            file.truncate(length)
            if length and not data[:length].endswith(b"\n"):
                file.write(b"\n")
        journal = Journal(path, scrub, _file=file)
        for event in events:
            journal._count(event)  # pyright: ignore[reportPrivateUsage]
        if not events:
            journal.append(Event(event="journal", schema_version=SCHEMA_VERSION))
            fsync_directory(path.parent)
        yield journal
