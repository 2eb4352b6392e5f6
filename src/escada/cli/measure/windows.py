"""`escada evaluate --protocol windows`: its options, its progress and how its figures are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from escada.choices import Scored
from escada.errors import EscadaError, counted
from escada.files import read_json
from escada.terminal import LiveProgress, duration, echo, echo_json

if TYPE_CHECKING:
    from escada.evaluation.tasks.windows import WindowsResult
    from escada.evaluation.windows import Progress, WindowSettings
    from escada.runs.run import Run


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """What the user gave of the options that only this protocol has; None where nothing."""

    window_tokens: int | None
    window_stride: int | None
    max_windows: int | None
    score: Scored | None
    budget: str | None

    @property
    def given(self) -> dict[str, Any]:
        """The options that were given."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def settings(self, run: Run) -> WindowSettings:
        """The roadmap's settings for the run's rung, with the user's over them.

        Raises:
            EscadaError: a budget that is not a time, or a number below 1.
        """
        from escada.budget import Budget
        from escada.evaluation.windows import default_settings

        changes = self.given
        if self.budget is not None:
            budget = Budget.parse(self.budget)
            if budget.unit != "seconds":
                raise EscadaError(
                    f"budget {self.budget!r} is not a time",
                    where="--budget",
                    fix="give seconds or minutes, such as '60 s', or bound the number with "
                    "--max-windows",
                )
            del changes["budget"]
            changes["budget_seconds"] = budget.amount
        return replace(default_settings(run.spec), **changes)


def measure(
    run: Run, split: str, data: Path | None, device: str, options: WindowOptions, *, json: bool
) -> None:
    """Print the figures of a split, from the run's folder if they are there."""
    from escada.evaluation.task import Subject
    from escada.evaluation.tasks.windows import Windows
    from escada.runs.corpus import corpus_of

    with LiveProgress("windows") as live:

        def progress(where: Progress) -> None:
            pace = f"{where.windows_per_second:,.0f} windows/s, {duration(where.seconds_left)}"
            if not where.windows:
                live.say(f"{where.of:,} windows at about {pace} to go")
            live.update(where.windows, where.of, f"{where.windows:,}/{where.of:,}  {pace} left")

        task = Windows(split, options.settings(run), progress)
        found = Subject(run, corpus_of(run, data), device=device).need(task)
    if json:
        echo_json(read_json(task.path(run)))
    else:
        _show(found)


def _show(found: WindowsResult) -> None:
    tokenizer, sample = found.tokenizer, found.sample
    per = f"per token of {tokenizer.kind} {tokenizer.vocab_size}"
    rows = {
        "loss": f"{found.loss:.4f} nats {per}" + _interval(found.loss_ci95, ".4f"),
        "perplexity": f"{found.perplexity:.2f}" + _interval(found.perplexity_ci95, ".2f"),
        "accuracy": f"{found.accuracy:.2%}" + _interval(found.accuracy_ci95, ".2%"),
        "windows": (
            f"{found.windows:,} of {counted(found.windows_available, 'window')} of "
            f"{found.window_tokens} tokens, stride {found.window_stride}"
        ),
        "left out": counted(found.windows_left_out, "window") + " whose target begins a document",
        "text": (
            f"{found.split}: targets in {counted(found.documents, 'document')} of "
            f"{counted(found.groups, 'group')}, profile {found.profile}"
        ),
        "protocol": f"{found.protocol}; not comparable with bits per byte or `document/…`",
        "speed": f"{found.windows_per_second:,.0f} windows/s, {found.seconds:.1f} s",
    }
    if sample is not None:
        of_each = ", ".join(f"{source} {n:,}" for source, n in sample.windows.items())
        rows["sample"] = (
            f"stratified by {sample.stratified_by}, since {sample.budget_seconds:g} s do not "
            f"hold all {sample.of_windows:,}: {of_each}"
        )
    for name, value in rows.items():
        echo(f"{name:14} {value}")


def _interval(ends: tuple[float, float] | None, form: str) -> str:
    if ends is None:
        return " (no interval: no source has two groups of documents)"
    return f", 95 % interval {ends[0]:{form}} to {ends[1]:{form}}"
