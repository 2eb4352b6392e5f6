"""Results of the window protocol, with intervals.

    Subject(run, corpus).need(Windows("test", default_settings(run.spec))).loss

There is no bits per byte here, so that the result cannot be mistaken for the ruler's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, replace

from escada.evaluation.statistics import Items, estimate
from escada.evaluation.task import Figure, Interval, Result, Subject, Task, is_done
from escada.evaluation.tasks.documents import TokenizerOf
from escada.evaluation.windows import (
    ProgressCallback,
    WindowSample,
    WindowScores,
    WindowSettings,
    default_settings,
    score_windows,
)
from escada.runs.run import Run
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2


class WindowsResult(Result):
    """The figures of the window protocol; see `WindowSettings` and `WindowScores` too.

    Attributes:
        protocol: `windows/last` or `windows/all`.
        windows_available: number at this stride, without those left out.
        windows_left_out: windows whose target is BOS.
        targets: number of tokens scored: one per window, or every position.
        unknown: targets that were UNK, a token like any other here.
        sample: the subset that fits a time budget; None: all windows requested.
        loss: mean cross-entropy of the targets, in nats.
        loss_ci95: over groups of documents within sources; None where no source has two.
        perplexity: exp(loss).
        accuracy: share of targets that were the model's first choice.
        documents: number that hold a scored target.
        seconds: of scoring, without calibration.
    """

    protocol: str
    window_tokens: int
    window_stride: int
    max_windows: int
    windows: int
    windows_available: int
    windows_left_out: int
    targets: int
    unknown: int
    sample: WindowSample | None
    loss: float
    loss_ci95: Interval | None
    perplexity: float
    perplexity_ci95: Interval | None
    accuracy: float
    accuracy_ci95: Interval | None
    documents: int
    groups: int
    split: str
    profile: str
    corpus_hash: str
    tokenizer: TokenizerOf
    seconds: float
    windows_per_second: float

    def figures(self) -> list[Figure]:
        """The loss."""
        unit = "nats per token"
        return [Figure(name="loss", value=self.loss, unit=unit, ci95=self.loss_ci95)]


def summarise_windows(
    scores: WindowScores, tokenizer: Tokenizer, *, profile: str, corpus_hash: str, split: str
) -> WindowsResult:
    """Compute the figures from window scores; the sample's weights enter the intervals too."""
    settings = scores.settings
    groups = list(zip(scores.sources, scores.groups, strict=True))
    held = scores.weights > 0
    total = float(scores.weights.sum())
    loss = float(scores.nats.sum()) / total
    answered = estimate(
        Items(scores.sources, scores.groups, scores.correct, scores.weights, questions=True)
    )
    loss_ci95 = estimate(Items(scores.sources, scores.groups, scores.nats, scores.weights)).ci95
    return WindowsResult(
        schema_version=SCHEMA_VERSION,
        protocol=f"windows/{settings.score}",
        window_tokens=settings.window_tokens,
        window_stride=settings.window_stride,
        max_windows=settings.max_windows,
        windows=scores.windows,
        windows_available=scores.available,
        windows_left_out=scores.left_out,
        targets=scores.targets,
        unknown=scores.unknown,
        sample=scores.sample,
        loss=loss,
        loss_ci95=loss_ci95,
        perplexity=math.exp(loss),
        perplexity_ci95=None
        if loss_ci95 is None
        else (math.exp(loss_ci95[0]), math.exp(loss_ci95[1])),
        accuracy=float(scores.correct.sum()) / total,
        accuracy_ci95=answered.share_ci95,
        documents=int(held.sum()),
        groups=len({group for group, here in zip(groups, held.tolist(), strict=True) if here}),
        split=split,
        profile=profile,
        corpus_hash=corpus_hash,
        tokenizer=TokenizerOf.of(tokenizer),
        seconds=scores.seconds,
        windows_per_second=scores.windows / scores.seconds,
    )


class Windows(Task[WindowsResult]):
    """The window protocol on a split of the run's corpus.

    A result without a time budget is kept when a budget is given later. `settings` None are the
    roadmap's for the rung.
    """

    result = WindowsResult
    shows_figures = False
    every_climb = False

    def __init__(
        self,
        split: str,
        settings: WindowSettings | None = None,
        progress: ProgressCallback = lambda _: None,
    ) -> None:
        self.name = f"windows-{split}"
        self.split, self.settings, self.progress = split, settings, progress

    def _settings(self, run: Run) -> WindowSettings:
        return self.settings or default_settings(run.spec)

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """Includes the settings and their time budget."""
        settings = asdict(self._settings(subject.run))
        return {"corpus": subject.corpus.hash, "split": self.split, "windows": settings}

    def key(self, subject: Subject, found: WindowsResult | None = None) -> str:
        """A budget that did not reduce the windows is left out of the key."""
        if found is not None and found.sample is None:
            return self._without_budget(subject.run).key(subject)
        return super().key(subject)

    def is_done(self, subject: Subject) -> bool:
        """Whether there is a result for this budget, or one without a budget."""
        path = self.path(subject.run)
        whole = self._without_budget(subject.run).key(subject)
        return is_done(path, whole) or super().is_done(subject)

    def _without_budget(self, run: Run) -> Windows:
        return Windows(self.split, replace(self._settings(run), budget_seconds=None))

    def evaluate(self, subject: Subject) -> WindowsResult:
        """Score and summarise the windows."""
        run, corpus = subject.run, subject.corpus
        scores = score_windows(
            subject.model,
            run.tokenizer,
            list(corpus.documents(self.split)),
            self._settings(run),
            progress=self.progress,
        )
        return summarise_windows(
            scores,
            run.tokenizer,
            profile=corpus.profile,
            corpus_hash=corpus.hash,
            split=self.split,
        )


TASKS = (Windows("test"),)
