"""The figures of the window protocol, each with its interval, and their place in a run's folder.

    measure_windows(run, corpus, "test", progress=print)
    read_windows(run, "test")["loss"]

There is no bits per byte here, on purpose: what the ruler finds and what this finds cannot be
mixed up by their keys, nor by the `protocol` that both carry.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from escada.errors import EscadaError
from escada.evaluation.results import is_done, result_key
from escada.evaluation.statistics import Interval, Items, estimate
from escada.evaluation.tasks.documents import TokenizerFacts
from escada.evaluation.tasks.windows import (
    ProgressCallback,
    Sample,
    WindowScores,
    WindowSettings,
    default_settings,
    score_windows,
)
from escada.files import read_json, write_json
from escada.runs.checkpoint import Which
from escada.runs.device import resolve_device
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class WindowMeasurement:
    """What the window protocol found.

    Attributes:
        protocol: `windows/last` or `windows/all`.
        window_tokens: W, tokens read before a target.
        window_stride: tokens from window to window.
        max_windows: most that were asked for.
        windows: how many were scored.
        windows_available: how many there are at this stride, those left out not counted.
        windows_left_out: those whose target is BOS.
        targets: tokens that were scored: one a window, or every position.
        unknown: targets that were UNK, a token like any other here.
        sample: what a time budget left room for; None: all windows that were asked for.
        loss: mean cross-entropy of the targets, nats.
        loss_ci95: over groups of documents within sources; None where no source has two.
        perplexity: exp(loss).
        perplexity_ci95: exp of the loss's.
        accuracy: share of targets that were the first choice.
        accuracy_ci95: of accuracy.
        documents: that hold a scored target.
        groups: that these belong to.
        split: of the corpus.
        profile: the cleaning that made the text.
        corpus_hash: of the corpus.
        tokenizer: kind, vocab_size and hash.
        seconds: wall time of scoring, without calibration.
        windows_per_second: in these seconds.
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
    sample: Sample | None
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
    tokenizer: TokenizerFacts
    seconds: float
    windows_per_second: float

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with a schema version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def summarise_windows(
    scores: WindowScores, tokenizer: Tokenizer, *, profile: str, corpus_hash: str, split: str
) -> WindowMeasurement:
    """The figures of a set of window scores; the sample's weights enter the intervals too."""
    settings = scores.settings
    groups = list(zip(scores.sources, scores.groups, strict=True))
    held = scores.weights > 0
    total = float(scores.weights.sum())
    loss = float(scores.nats.sum()) / total
    answered = estimate(
        Items(scores.sources, scores.groups, scores.correct, scores.weights, questions=True)
    )
    loss_ci95 = estimate(Items(scores.sources, scores.groups, scores.nats, scores.weights)).ci95
    return WindowMeasurement(
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
        tokenizer={
            "kind": tokenizer.kind,
            "vocab_size": tokenizer.vocab_size,
            "hash": tokenizer.hash,
        },
        seconds=scores.seconds,
        windows_per_second=scores.windows / scores.seconds,
    )


def measure_windows(
    run: Run,
    corpus: Corpus,
    split: str,
    settings: WindowSettings | None = None,
    *,
    which: Which = "best",
    device: str = "auto",
    progress: ProgressCallback | None = None,
) -> bool:
    """Measure a run by the window protocol on a split of its corpus, into its folder.

    A result without a time budget serves every budget, so it is kept when one is given later.

    Args:
        run: with a checkpoint.
        corpus: of the run.
        split: of the corpus.
        settings: of the protocol; None: the roadmap's for the rung.
        which: of its checkpoints.
        device: `auto`, `cpu` or `cuda`.
        progress: see `score_windows`.

    Returns:
        Whether there was anything to do.

    Raises:
        EscadaError: the corpus is of another profile than the run's, the run has no checkpoint, or
            see `score_windows`.
    """
    if corpus.profile != run.spec.text.profile:
        raise EscadaError(
            f"the run reads profile {run.spec.text.profile!r}, the corpus has {corpus.profile!r}",
            where=corpus.path,
        )
    settings = settings or default_settings(run.spec)
    path = run.layout.evaluation(f"windows-{split}")
    whole_key = _key(run, corpus, split, replace(settings, budget_seconds=None), which)
    key = _key(run, corpus, split, settings, which)
    if is_done(path, whole_key) or is_done(path, key):
        return False
    scores = score_windows(
        run.load_model(which, resolve_device(device)),
        run.tokenizer,
        list(corpus.documents(split)),
        settings,
        progress=progress,
    )
    found = summarise_windows(
        scores, run.tokenizer, profile=corpus.profile, corpus_hash=corpus.hash, split=split
    )
    # A budget that all windows fitted into left no trace in the figures.
    kept = whole_key if scores.sample is None else key
    write_json(path, found.to_json() | {"key": kept, "weights": which})
    return True


def _key(run: Run, corpus: Corpus, split: str, settings: WindowSettings, which: Which) -> str:
    return result_key(
        run, which, __name__, corpus=corpus.hash, split=split, windows=asdict(settings)
    )


def read_windows(run: Run, split: str) -> dict[str, Any]:
    """The figures that `measure_windows` wrote."""
    return read_json(run.layout.evaluation(f"windows-{split}"))
