"""`escada evaluate --protocol windows`: its options, its progress and how its figures are shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from escada.choices import Scored
from escada.errors import EscadaError, counted
from escada.terminal import bar, echo, print_line

if TYPE_CHECKING:
    from escada.evaluation.windows import Progress, WindowSettings
    from escada.runs.run import Run
    from escada.text.corpus import Corpus

PLAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """What the user gave of the options that only this protocol has; None where nothing."""

    window_tokens: int | None
    window_stride: int | None
    max_windows: int | None
    score: Scored | None
    budget: str | None

    @property
    def given(self) -> list[str]:
        """The flags of the options that were given."""
        return [
            "--" + name.replace("_", "-")
            for name, value in asdict(self).items()
            if value is not None
        ]

    def settings(self, run: Run) -> WindowSettings:
        """The roadmap's settings for the run's rung, with the user's over them.

        Raises:
            EscadaError: a budget that is not a time, or a number below 1.
        """
        from dataclasses import replace

        from escada.evaluation.windows import default_settings

        settings = default_settings(run.spec)
        changes = {
            name: value
            for name in ("window_tokens", "window_stride", "max_windows")
            if (value := getattr(self, name)) is not None
        }
        if self.score is not None:
            changes["score"] = self.score
        if self.budget is not None:
            changes["budget_seconds"] = _seconds(self.budget)
        return replace(settings, **changes)


def _seconds(budget: str) -> float:
    from escada.budget import Budget

    parsed = Budget.parse(budget)
    if parsed.unit != "seconds":
        raise EscadaError(
            f"budget {budget!r} is not a time",
            where="--budget",
            fix="give seconds or minutes, such as '60 s', or bound the number with --max-windows",
        )
    return parsed.amount


def measure(
    run: Run, corpus: Corpus, split: str, options: WindowOptions, device: str
) -> dict[str, Any]:
    """The figures of a split, from the run's folder if they are there."""
    from escada.evaluation.task import Subject, complete
    from escada.evaluation.tasks.windows import Windows
    from escada.files import read_json

    with _progress() as progress:
        task = Windows(split, options.settings(run), progress)
        complete(Subject(run, corpus, device=device), task)
    return read_json(task.path(run))


@contextlib.contextmanager
def _progress() -> Generator[Callable[[Progress], None]]:
    """An estimate before the first window; then a bar on a terminal, elsewhere a line at times."""
    import time

    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[status]}"))
    last = time.monotonic()
    with bar(*columns) as shown:
        task = shown.add_task("windows", total=None, status="", visible=False)

        def report(where: Progress) -> None:
            nonlocal last
            status = f"{where.windows_per_second:,.0f} windows/s, {_duration(where.seconds_left)}"
            if not where.windows:
                print_line(shown.console, f"{where.of:,} windows at about {status} to go")
            shown.update(
                task, completed=where.windows, total=where.of, status=f"{status} left", visible=True
            )
            if not shown.console.is_terminal and time.monotonic() - last >= PLAIN_SECONDS:
                last = time.monotonic()
                print_line(shown.console, f"{where.windows:,}/{where.of:,}  {status} left")

        yield report


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def show(found: dict[str, Any]) -> None:
    """Print the figures, one a line."""
    tokenizer, sample = found["tokenizer"], found["sample"]
    per = f"per token of {tokenizer['kind']} {tokenizer['vocab_size']}"
    rows = {
        "loss": f"{found['loss']:.4f} nats {per}" + _interval(found["loss_ci95"], ".4f"),
        "perplexity": f"{found['perplexity']:.2f}" + _interval(found["perplexity_ci95"], ".2f"),
        "accuracy": f"{found['accuracy']:.2%}" + _interval(found["accuracy_ci95"], ".2%"),
        "windows": (
            f"{found['windows']:,} of {counted(found['windows_available'], 'window')} of "
            f"{found['window_tokens']} tokens, stride {found['window_stride']}"
        ),
        "left out": counted(found["windows_left_out"], "window")
        + " whose target begins a document",
        "text": (
            f"{found['split']}: targets in {counted(found['documents'], 'document')} of "
            f"{counted(found['groups'], 'group')}, profile {found['profile']}"
        ),
        "protocol": f"{found['protocol']}; not comparable with bits per byte or `document/…`",
        "speed": f"{found['windows_per_second']:,.0f} windows/s, {found['seconds']:.1f} s",
    }
    if sample is not None:
        of_each = ", ".join(f"{source} {n:,}" for source, n in sample["windows"].items())
        rows["sample"] = (
            f"stratified by {sample['stratified_by']}, since {sample['budget_seconds']:g} s do not "
            f"hold all {sample['of_windows']:,}: {of_each}"
        )
    for name, value in rows.items():
        echo(f"{name:14} {value}")


def _interval(ends: list[float] | None, form: str) -> str:
    if ends is None:
        return " (no interval: no source has two groups of documents)"
    return f", 95 % interval {ends[0]:{form}} to {ends[1]:{form}}"
