"""The roadmap's protocol: the mean loss of the tokens that follow windows of one long stream.

    settings = default_settings(run.spec)
    scores = score_windows(model, tokenizer, documents, settings)

The split is packed as in training, `BOS text EOS BOS text EOS …`; a window of W tokens starts at
every multiple of the stride, and the token after it is its target. Loss is the mean cross-entropy
of the targets in nats, perplexity its exponential, accuracy the share of targets that were the
first choice. It is another figure than the ruler's (docs/windows-protocol.md says why they must not
be set beside each other), so its name says so: `windows/last`, or `windows/all` when every position
of a window is scored, as the origin did for its Transformer.

- When there are more windows than asked for, they are drawn evenly: every k-th, nearly.
- A window whose target is BOS is left out and counted: BOS only says that another document begins,
  which no document says. Within a window (`all`) BOS is no target either.
- A target belongs to the document that it stands in; the documents' groups give the interval.
- A time budget becomes a fixed number of windows after a short calibration; they are then drawn
  evenly within each source, as many as its share, and weighted so that the shares are exact.

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
from torch import Tensor

from escada.choices import Scored
from escada.errors import EscadaError, counted
from escada.evaluation.sampling import evenly, proportionally
from escada.evaluation.scoring import target_scores
from escada.generation.inference import exact_inference, tokens_at_once
from escada.models.contract import LanguageModel
from escada.spec import Spec
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SYMBOLS = ("characters", "bytes")
"""Tokenizers that the roadmap's settings for characters are meant for; the others are subwords."""
BATCH_TOKENS = {"cpu": 8192, "cuda": 65_536}
"""Tokens read in one forward pass. More is slower on a CPU, whose caches they leave."""
CALIBRATION_SECONDS = 1.0
LEAST_WINDOWS = 100
"""Fewer say too little to be worth a figure."""


@dataclass(frozen=True, slots=True)
class WindowSettings:
    """What the protocol's name alone does not say.

    Attributes:
        window_tokens: W, tokens read before the target.
        window_stride: tokens from the start of a window to that of the next.
        max_windows: most windows that are scored.
        score: `last`: the token after the window; `all`: the token after each of its positions.
        budget_seconds: of calibration and scoring; None: as long as it takes.
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
    """The roadmap's for a rung: its training window; stride and number by its kind of tokens."""
    symbols = spec.tokenizer.kind in SYMBOLS
    return WindowSettings(
        window_tokens=spec.train.window_tokens,
        window_stride=4 if symbols else 2,
        max_windows=300_000 if symbols else 250_000,
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """The part of the windows that a time budget left room for.

    Attributes:
        budget_seconds: what was given.
        of_windows: how many would have been scored without a budget.
        windows: scored of each stratum, about in proportion; weights make the shares exact.
        stratified_by: what the strata are.
    """

    budget_seconds: float
    of_windows: int
    windows: dict[str, int]
    stratified_by: str = "source"


@dataclass(frozen=True, slots=True)
class WindowScores:
    """Sums over the targets that stand in each document, in the order of the documents.

    Attributes:
        settings: of the protocol.
        sources: of the documents.
        groups: of the documents; what a confidence interval may not divide.
        nats: charged to the document's targets, times their weights.
        correct: the weights of targets that were the model's first choice.
        weights: of all targets of the document: their number, unless the windows are a sample.
        targets: how many were scored.
        unknown: how many of them were UNK, which is a token like any other here.
        windows: how many were scored.
        available: windows at the stride, less those left out.
        left_out: windows at the stride whose target is BOS.
        sample: None when no time budget cut them.
        seconds: wall time of scoring, without calibration.
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
    sample: Sample | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far scoring is. The first report has `windows` 0 and the calibrated rate."""

    windows: int
    of: int
    windows_per_second: float

    @property
    def seconds_left(self) -> float:
        """At this rate."""
        return (self.of - self.windows) / self.windows_per_second


ProgressCallback = Callable[[Progress], None]


def score_windows(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    settings: WindowSettings,
    *,
    batch_tokens: int | None = None,
    progress: ProgressCallback | None = None,
) -> WindowScores:
    """Score the windows of documents that are read as one stream.

    Args:
        model: left in the mode that it came in.
        tokenizer: the model's.
        documents: their texts are reference text; their order is that of the stream.
        settings: of the protocol.
        batch_tokens: most tokens of one forward pass; None: as suits the device.
        progress: called before the first window with an estimate, and after each batch.

    Raises:
        EscadaError: a window that the model cannot read or that the text does not fill, a budget
            too small for `LEAST_WINDOWS`, or a figure that is not finite.
    """
    _check_window(model, settings.window_tokens)
    stream = _pack(documents, tokenizer)
    ends_M = np.arange(settings.window_tokens, len(stream.ids_N), settings.window_stride)
    kept_M = stream.ids_N[ends_M] != tokenizer.bos_id
    left_out = int(np.count_nonzero(~kept_M))
    available_M = ends_M[kept_M]
    if not len(available_M):
        raise EscadaError(
            f"the text has {counted(len(stream.ids_N), 'token')}, a window and its target need "
            f"{settings.window_tokens + 1}",
            fix="choose a smaller --window-tokens or a larger split",
        )
    ends_M = available_M[evenly(len(available_M), settings.max_windows)]
    weights_M, sample = np.ones(len(ends_M)), None
    sums = _Sums(len(documents))
    with exact_inference(model):
        reader = _Reader(model, tokenizer, stream, settings, batch_tokens)
        rate, spent = reader.calibrate(ends_M)
        if settings.budget_seconds is not None:
            wanted = int(rate * (settings.budget_seconds - spent))
            if wanted < len(ends_M):
                ends_M, weights_M, sample = _sample(
                    stream, documents, ends_M, wanted, settings.budget_seconds
                )
        began = time.perf_counter()
        _report(progress, Progress(0, len(ends_M), rate))
        for first in range(0, len(ends_M), reader.batch_windows):
            batch = slice(first, first + reader.batch_windows)
            reader.charge(ends_M[batch], weights_M[batch], sums)
            done = min(first + reader.batch_windows, len(ends_M))
            speed = done / (time.perf_counter() - began)
            _report(progress, Progress(done, len(ends_M), speed))
        seconds = time.perf_counter() - began
    sums.check(documents)
    return WindowScores(
        settings=settings,
        sources=[document.source for document in documents],
        groups=[document.group for document in documents],
        nats=sums.nats_D,
        correct=sums.correct_D,
        weights=sums.weights_D,
        targets=sums.targets,
        unknown=sums.unknown,
        windows=len(ends_M),
        available=len(available_M),
        left_out=left_out,
        sample=sample,
        seconds=seconds,
    )


def _check_window(model: LanguageModel, window_tokens: int) -> None:
    longest = model.context_tokens
    if longest is not None and window_tokens > longest:
        raise EscadaError(
            f"the model reads {longest} tokens at once, not {window_tokens}",
            where="--window-tokens",
            fix=f"choose from 1 to {longest}",
        )


def _report(progress: ProgressCallback | None, where: Progress) -> None:
    if progress is not None:
        progress(where)


@dataclass(frozen=True, slots=True)
class _Stream:
    """The packed tokens of a split, and which document each belongs to."""

    ids_N: NDArray[np.int32]
    document_of_N: NDArray[np.int32]


def _pack(documents: Sequence[Document], tokenizer: Tokenizer) -> _Stream:
    bos = np.array([tokenizer.bos_id], dtype=np.int32)
    eos = np.array([tokenizer.eos_id], dtype=np.int32)
    encoded = tokenizer.encode_batch([document.text for document in documents])
    parts = [part for ids in encoded for part in (bos, ids, eos)]
    lengths_D = np.array([len(ids) + 2 for ids in encoded], dtype=np.int64)
    return _Stream(
        np.concatenate(parts) if parts else np.empty(0, dtype=np.int32),
        np.repeat(np.arange(len(documents), dtype=np.int32), lengths_D),
    )


def _sample(
    stream: _Stream, documents: Sequence[Document], ends_M: Integers, wanted: int, budget: float
) -> tuple[Integers, Floats, Sample]:
    """The windows that fit a budget, by the source of the document that holds the target."""
    if wanted < LEAST_WINDOWS:
        raise EscadaError(
            f"{budget:g} s leave time for {counted(max(wanted, 0), 'window')} "
            "after the calibration",
            where="--budget",
            fix=f"give more, for at least {LEAST_WINDOWS}",
        )
    names, sources_D = np.unique([d.source for d in documents], return_inverse=True)
    sources_M = sources_D[stream.document_of_N[ends_M]]
    drawn, weights = proportionally(sources_M, wanted)
    counts = np.bincount(sources_M[drawn], minlength=len(names))
    of_each = {str(name): int(n) for name, n in zip(names, counts, strict=True) if n}
    return ends_M[drawn], weights, Sample(budget, len(ends_M), of_each)


class _Sums:
    """What each document has been charged so far."""

    def __init__(self, n_documents: int) -> None:
        self.nats_D = np.zeros(n_documents)
        self.correct_D = np.zeros(n_documents)
        self.weights_D = np.zeros(n_documents)
        self.targets = 0
        self.unknown = 0

    def check(self, documents: Sequence[Document]) -> None:
        """Raise if a sum is not finite."""
        bad = np.flatnonzero(~np.isfinite(self.nats_D))
        if len(bad):
            raise EscadaError(
                "the model's score is not a finite number",
                where=f"windows that end in document {documents[int(bad[0])].id}",
                fix="its training diverged or its weights are damaged: use another checkpoint",
            )


class _Reader:
    """Reads windows of the stream, which lies on the device of the weights."""

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        stream: _Stream,
        settings: WindowSettings,
        batch_tokens: int | None,
    ) -> None:
        device = model.device
        self.model, self.tokenizer, self.stream = model, tokenizer, stream
        self.window, self.last_only = settings.window_tokens, settings.score == "last"
        self.ids_N = torch.as_tensor(stream.ids_N, device=device)
        # Where a window's tokens and its last target lie, seen from that target.
        self.places_W1 = torch.arange(-self.window, 1, device=device)
        limit = batch_tokens or BATCH_TOKENS.get(device.type, BATCH_TOKENS["cpu"])
        if not self.last_only:
            limit = min(limit, tokens_at_once(model.vocab_size))
        self.batch_windows = max(1, limit // self.window)

    def read(self, ends_B: Integers) -> tuple[Tensor, Tensor]:
        """Nats and rightness of the targets of the windows before `ends_B`, (B, T) each."""
        ends = torch.as_tensor(ends_B, device=self.ids_N.device)
        ids_BW1 = self.ids_N[ends[:, None] + self.places_W1].long()
        if self.last_only:
            return target_scores(self.model.last_logits(ids_BW1[:, :-1])[:, None], ids_BW1[:, -1:])
        return target_scores(self.model(ids_BW1[:, :-1]), ids_BW1[:, 1:])

    def charge(self, ends_B: Integers, weights_B: Floats, sums: _Sums) -> None:
        """Add the targets of some windows to the documents that they stand in."""
        nats, correct = self.read(ends_B)
        nats_BT: Floats = nats.cpu().numpy()
        places_BT = ends_B[:, None] + np.arange(1 - nats.shape[1], 1)
        targets_BT = self.stream.ids_N[places_BT]
        weights_BT = np.where(targets_BT != self.tokenizer.bos_id, weights_B[:, None], 0.0)
        documents_BT = self.stream.document_of_N[places_BT]
        np.add.at(sums.nats_D, documents_BT, weights_BT * nats_BT)
        np.add.at(sums.correct_D, documents_BT, weights_BT * correct.cpu().numpy())
        np.add.at(sums.weights_D, documents_BT, weights_BT)
        sums.targets += int(np.count_nonzero(weights_BT))
        if self.tokenizer.unk_id is not None:
            sums.unknown += int(np.count_nonzero(targets_BT == self.tokenizer.unk_id))

    def calibrate(self, ends_M: Integers) -> tuple[float, float]:
        """Windows a second, from some that are read to no other end; and the seconds it took."""
        began = time.perf_counter()
        batch = ends_M[: self.batch_windows]
        self.read(batch)[0].cpu()  # the first is slow: memory and kernels are made ready
        warm = now = time.perf_counter()
        done = 0
        while not done or (now - began < CALIBRATION_SECONDS and done < len(ends_M)):
            self.read(batch)[0].cpu()  # copied back, so that the clock waits for a GPU
            done += len(batch)
            now = time.perf_counter()
        return done / (now - warm), now - began
