"""What a person sees of a training: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.progress import BarColumn, TextColumn, TimeRemainingColumn

from escada.terminal import bar, print_line

PLAIN_SECONDS = 10.0


class Display(Protocol):
    """Shows where a training is."""

    def update(self, step: int, figures: str) -> None:
        """The training has taken `step` steps; `figures` is a short line."""
        ...


class NoDisplay:
    """For a process that leaves the display to another."""

    def update(self, step: int, figures: str) -> None:
        """See `Display`."""


class TerminalDisplay:
    """A live bar when standard error is a terminal, else a plain line every ten seconds."""

    def __init__(self, label: str, total_steps: int, first_step: int) -> None:
        self._label, self._total, self._first = label, total_steps, first_step
        self._started = self._last = time.monotonic()
        self._progress = bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn(
                "{task.completed:,}/{task.total:,} steps  {task.fields[figures]}", markup=False
            ),
            TimeRemainingColumn(),
            transient=False,
        )
        self._task = self._progress.add_task(
            label, total=total_steps, completed=first_step, figures=""
        )

    def update(self, step: int, figures: str) -> None:
        """See `Display`."""
        self._progress.update(self._task, completed=step, figures=figures)
        now = time.monotonic()
        finished = step == self._total
        if not self._progress.console.is_terminal and (
            finished or now - self._last >= PLAIN_SECONDS
        ):
            self._last = now
            rate = (step - self._first) / (now - self._started)
            left = (self._total - step) / rate if rate else 0.0
            self.note(
                f"{self._label}  {step:,}/{self._total:,} steps  {figures}  {left:.0f} s left"
            )

    def note(self, text: str) -> None:
        """A sentence above the bar."""
        print_line(self._progress.console, text)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
