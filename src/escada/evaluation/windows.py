"""The roadmap's protocol: mean loss of the tokens that follow windows of one long stream.

    settings = default_settings(run.spec)
    scores = score_windows(model, tokenizer, documents, settings)

The split is packed as in training, `BOS text EOS BOS text EOS …`. A window of W tokens starts at
every multiple of the stride, and the token after it is its target. Loss is the mean cross-entropy
of the targets in nats, accuracy the share that were the model's first choice. These figures are not
comparable with the ruler's (docs/windows-protocol.md), hence the name: `windows/last`, or
`windows/all` when every position of a window is scored, as the origin did for its Transformer.

- When there are more windows than requested, they are sampled evenly.
- BOS is a separator, not text, and never a target. Windows before a BOS are left out and counted.
- A target belongs to its document; the interval is over the documents' groups.
- A time budget becomes a fixed number of windows after a short calibration, sampled evenly within
  each source and weighted so that the shares are exact.

    B  windows of a batch     T  targets of a window: 1 or W     V  vocabulary
    N  tokens of the stream   M  windows                         D  documents
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from escada.choices import Scored
from escada.errors import EscadaError, counted
from escada.evaluation.sampling import evenly, proportionally
from escada.evaluation.scoring import bracketed, score_stream_windows
from escada.generation.inference import exact_inference, tokens_at_once
from escada.models.contract import LanguageModel
from escada.spec import Spec
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SYMBOLS = ("characters", "bytes")
"""Tokenizers that get the roadmap's character settings; the others count as subwords."""
BATCH_TOKENS = {"cpu": 8192, "cuda": 65_536}
"""Tokens per forward pass. On a CPU, larger batches do not fit in the caches and are slower."""
CALIBRATION_SECONDS = 1.0
LEAST_WINDOWS = 100
"""Minimum number of windows for a meaningful figure."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """Settings of the window protocol.

    Attributes:
        window_tokens: W, tokens read before the target.
        window_stride: tokens between the starts of consecutive windows.
        score: `last`: the token after the window; `all`: the token after each of its positions.
        budget_seconds: for calibration and scoring; None: unlimited.
    """

    window_tokens: int
    window_stride: int
    max_windows: int
    score: Scored = "last"
    budget_seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("window_tokens", "window_stride", "max_windows"):
            if (value := getattr(self, name)) < 1:
                flag = "--" + name.replace("_", "-")
                raise EscadaError(f"{name} is {value}", where=flag, fix="at least 1 is needed")


def default_settings(spec: Spec) -> WindowSettings:
    """The roadmap's settings: the training window; stride and count depend on the token kind."""
    symbols = spec.tokenizer.kind in SYMBOLS
    return WindowSettings(
        window_tokens=spec.train.window_tokens,
        window_stride=4 if symbols else 2,
        max_windows=300_000 if symbols else 250_000,
    )


@dataclass(frozen=True, slots=True)
class WindowSample:
    """The subset of windows that fits a time budget.

    `of_windows` would have been scored without it; `windows` were, by stratum.
    """

    budget_seconds: float
    of_windows: int
    windows: dict[str, int]
    stratified_by: str = "source"


@dataclass(frozen=True, slots=True)
class WindowScores:
    """Sums over the targets of each document, in the order of the documents.

    Attributes:
        groups: of the documents: the unit of the confidence interval.
        nats: weighted sum over the document's targets.
        correct: total weight of the targets that were the model's first choice.
        weights: total weight of the document's targets: their number, unless windows were sampled.
        unknown: number of targets that were UNK, a token like any other here.
        available: windows at the stride, without those left out.
        left_out: windows at the stride whose target is BOS.
        sample: None when no time budget reduced the windows.
        seconds: of scoring, without calibration.
    """

    settings: WindowSettings
    sources: list[str]
    groups: list[str]
    nats: Floats
    correct: Floats
    weights: Floats
    targets: int
    unknown: int
    windows: int
    available: int
    left_out: int
    sample: WindowSample | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Scoring progress. The first report has `windows` 0 and the calibrated rate."""

    windows: int
    of: int
    windows_per_second: float

    @property
    def seconds_left(self) -> float:
        """Estimated from the rate so far."""
        return (self.of - self.windows) / self.windows_per_second


ProgressCallback = Callable[[Progress], None]


def score_windows(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    settings: WindowSettings,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback = lambda _: None,
) -> WindowScores:
    """Score the windows of documents packed into one stream.

    Args:
        documents: in stream order.
        batch_tokens: most tokens per forward pass; None: a default for the device.
        progress: called before the first window with an estimate, and after each batch.

    Raises:
        EscadaError: a window longer than the model's context or than the stream, a budget too small
            for `LEAST_WINDOWS`, or a score that is not finite.
    """
    longest = model.context_tokens
    if longest is not None and settings.window_tokens > longest:
        raise EscadaError(
            f"the model reads {longest} tokens at once, not {settings.window_tokens}",
            where="--window-tokens",
            fix=f"choose from 1 to {longest}",
        )
    reader = _Reader(model, tokenizer, documents, settings, batch_tokens)
    ids_N = reader.ids_N
    ends_M = np.arange(settings.window_tokens, len(ids_N), settings.window_stride)
    kept_M = ids_N[ends_M] != tokenizer.bos_id
    left_out = int(np.count_nonzero(~kept_M))
    available_M = ends_M[kept_M]
    if not len(available_M):
        raise EscadaError(
            f"the text has {counted(len(ids_N), 'token')}, a window and its target need "
            f"{settings.window_tokens + 1}",
            fix="choose a smaller --window-tokens or a larger split",
        )
    ends_M = available_M[evenly(len(available_M), settings.max_windows)]
    weights_M, sample = np.ones(len(ends_M)), None
    with exact_inference(model):
        rate, spent = reader.calibrate(ends_M)
        if settings.budget_seconds is not None:
            wanted = int(rate * (settings.budget_seconds - spent))
            if wanted < len(ends_M):
                sources_M = np.array([d.source for d in documents])[reader.document_of_N[ends_M]]
                chosen, weights_M, sample = _sample(sources_M, wanted, settings.budget_seconds)
                ends_M = ends_M[chosen]
        began = time.perf_counter()
        progress(Progress(0, len(ends_M), rate))
        for first in range(0, len(ends_M), reader.batch_windows):
            batch = slice(first, first + reader.batch_windows)
            reader.charge(ends_M[batch], weights_M[batch])
            done = min(first + reader.batch_windows, len(ends_M))
            progress(Progress(done, len(ends_M), done / (time.perf_counter() - began)))
        seconds = time.perf_counter() - began
    bad = np.flatnonzero(~np.isfinite(reader.nats_D))
    if len(bad):
        raise EscadaError(
            "the model's score is not a finite number",
            where=f"windows that end in document {documents[int(bad[0])].id}",
            fix="its training diverged or its weights are damaged: use another checkpoint",
        )
    return WindowScores(
        settings=settings,
        sources=[document.source for document in documents],
        groups=[document.group for document in documents],
        nats=reader.nats_D,
        correct=reader.correct_D,
        weights=reader.weights_D,
        targets=reader.targets,
        unknown=reader.unknown,
        windows=len(ends_M),
        available=len(available_M),
        left_out=left_out,
        sample=sample,
        seconds=seconds,
    )


def _sample(
    sources_M: NDArray[np.str_], wanted: int, budget_seconds: float
) -> tuple[Integers, Floats, WindowSample]:
    """Windows that fit a budget, stratified by source, and their weights."""
    if wanted < LEAST_WINDOWS:
        raise EscadaError(
            f"{budget_seconds:g} s leave time for {counted(max(wanted, 0), 'window')} "
            "after the calibration",
            where="--budget",
            fix=f"give more, for at least {LEAST_WINDOWS}",
        )
    names, source_M = np.unique(sources_M, return_inverse=True)
    chosen, weights = proportionally(source_M, wanted)
    counts = np.bincount(source_M[chosen], minlength=len(names)).tolist()
    of_each = {str(name): n for name, n in zip(names, counts, strict=True)}
    return chosen, weights, WindowSample(budget_seconds, len(sources_M), of_each)


class _Reader:
    """The packed tokens of the documents, and the sums per document so far."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        documents: Sequence[Document],
        settings: WindowSettings,
        batch_tokens: int | None,
    ) -> None:
        self.model, self.tokenizer, self.settings = model, tokenizer, settings
        encoded = tokenizer.encode_batch([document.text for document in documents])
        parts = [bracketed(ids, tokenizer) for ids in encoded]
        self.ids_N = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        lengths_D = np.array([len(ids) for ids in parts], dtype=np.int64)
        self.document_of_N = np.repeat(np.arange(len(parts)), lengths_D)
        self.on_device_N = torch.as_tensor(self.ids_N, device=model.device)
        limit = batch_tokens or BATCH_TOKENS.get(model.device.type, BATCH_TOKENS["cpu"])
        if settings.score == "all":
            limit = min(limit, tokens_at_once(model.vocab_size))
        self.batch_windows = max(1, limit // settings.window_tokens)
        self.nats_D, self.correct_D, self.weights_D = np.zeros((3, len(documents)))
        self.targets = self.unknown = 0

    def read(self, ends_B: Integers) -> tuple[Floats, NDArray[np.bool_]]:
        """Nats and correctness of the targets of the windows ending at `ends_B`, (B, T) each."""
        nats_BT, correct_BT = score_stream_windows(
            self.model,
            self.on_device_N,
            ends_B,
            self.settings.window_tokens,
            last_only=self.settings.score == "last",
        )
        return nats_BT.cpu().numpy(), correct_BT.cpu().numpy()

    def charge(self, ends_B: Integers, weights_B: Floats) -> None:
        """Add the targets of some windows to the sums of their documents."""
        nats_BT, correct_BT = self.read(ends_B)
        places_BT = ends_B[:, None] + np.arange(1 - int(nats_BT.shape[1]), 1)
        targets_BT = self.ids_N[places_BT]
        weights_BT = np.where(targets_BT != self.tokenizer.bos_id, weights_B[:, None], 0.0)
        documents_BT = self.document_of_N[places_BT]
        np.add.at(self.nats_D, documents_BT, weights_BT * nats_BT)
        np.add.at(self.correct_D, documents_BT, weights_BT * correct_BT)
        np.add.at(self.weights_D, documents_BT, weights_BT)
        self.targets += int(np.count_nonzero(weights_BT))
        if self.tokenizer.unk_id is not None:
            self.unknown += int(np.count_nonzero(targets_BT == self.tokenizer.unk_id))

    def calibrate(self, ends_M: Integers) -> tuple[float, float]:
        """Windows per second, measured on windows that are not charged, and the seconds it took."""
        began = time.perf_counter()
        batch = ends_M[: self.batch_windows]
        self.read(batch)  # warm-up: allocations and kernel compilation
        warm = now = time.perf_counter()
        done = 0
        while not done or (now - began < CALIBRATION_SECONDS and done < len(ends_M)):
            self.read(batch)
            done += len(batch)
            now = time.perf_counter()
        return done / (now - warm), now - began
