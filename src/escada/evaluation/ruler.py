"""The ruler: bits per byte of held-out documents, the same for every rung.

    scores = score_documents(model, tokenizer, documents, context_tokens=128)
    bits_per_byte(scores)

- Each document is scored alone, from a fresh state, as BOS + text + EOS. Every token after BOS is
  charged once, including EOS; the denominator is the UTF-8 bytes of the document's reference text.
- An unknown character costs the model's nats for UNK plus `unknown_bits`, which identify it.
- Logits are fp32, sums float64. Padding, batching and order change a figure by rounding only.

There are two protocols, recorded with every figure. `document/carried-state`: a recurrent model
reads the document in chunks and carries its state. `document/half-window`: the context of a target
is what decoding would have kept (`context_start`), so windows slide by half their length, and every
target sees at least half a window, or the whole document so far.

The forward passes are in `escada.evaluation.scoring`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.evaluation.scoring import Reading, bracketed, check_scores, window_of
from escada.files import read_json_lines, write_sealed_json_lines
from escada.models.contract import LanguageModel
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

Protocol = Literal["document/carried-state", "document/half-window", "document/frame"]
"""How a document was read; `document/frame` is for compressors (`compressors`)."""
SCHEMA_VERSION = 1
TEXT_BYTES = 2**22
"""Text of documents that are read together, in batches of similar length."""
T = TypeVar("T")
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """Sums over each document's targets, in the order of the documents.

    Attributes:
        groups: of the documents: the unit of the confidence interval.
        nats: includes the cost of unknown characters.
        bytes: UTF-8 bytes of the text.
        tokens: targets: the text's tokens and EOS.
        correct: targets that were the model's first choice; never UNK, which names no character.
            0 where a baseline names no first choice.
        unknown: characters that the tokenizer could not write.
        context_tokens: W; None when the state was carried.
        seconds: of scoring, including tokenization.
    """

    ids: list[str]
    sources: list[str]
    groups: list[str]
    nats: Floats
    bytes: Integers
    tokens: Integers
    correct: Integers
    unknown: Integers
    protocol: Protocol
    context_tokens: int | None
    seconds: float

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Scores of one model on several batches of documents, at least one."""
        return cls(
            ids=[name for part in parts for name in part.ids],
            sources=[name for part in parts for name in part.sources],
            groups=[name for part in parts for name in part.groups],
            nats=np.concatenate([part.nats for part in parts]),
            bytes=np.concatenate([part.bytes for part in parts]),
            tokens=np.concatenate([part.tokens for part in parts]),
            correct=np.concatenate([part.correct for part in parts]),
            unknown=np.concatenate([part.unknown for part in parts]),
            protocol=parts[0].protocol,
            context_tokens=parts[0].context_tokens,
            seconds=sum(part.seconds for part in parts),
        )


@dataclass
class DocumentNames:
    """Id, source, group and bytes of documents, noted while they are streamed."""

    ids: list[str] = field(default_factory=list[str])
    sources: list[str] = field(default_factory=list[str])
    groups: list[str] = field(default_factory=list[str])
    bytes: list[int] = field(default_factory=list[int])

    def texts(self, documents: Iterable[Document]) -> Iterator[str]:
        """The texts of documents, which are noted."""
        for document in documents:
            self.ids.append(document.id)
            self.sources.append(document.source)
            self.groups.append(document.group)
            self.bytes.append(document.n_bytes)
            yield document.text

    def scores(
        self,
        protocol: Protocol,
        seconds: float,
        *,
        nats: Floats,
        tokens: Integers | None = None,
        correct: Integers | None = None,
        unknown: Integers | None = None,
        context_tokens: int | None = None,
    ) -> DocumentScores:
        """Scores of these documents; sums that are not given are 0."""
        zeros = np.zeros(len(self.ids), dtype=np.int64)
        return DocumentScores(
            ids=self.ids,
            sources=self.sources,
            groups=self.groups,
            nats=nats,
            bytes=np.array(self.bytes, dtype=np.int64),
            tokens=zeros if tokens is None else tokens,
            correct=zeros if correct is None else correct,
            unknown=zeros if unknown is None else unknown,
            protocol=protocol,
            context_tokens=context_tokens,
            seconds=seconds,
        )


def in_batches(items: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Items in their order, in lists of at most `most` in all; a larger item is alone."""
    held: list[T] = []
    total = 0
    for item in items:
        n = size(item)
        if held and total + n > most:
            yield held
            held, total = [], 0
        held.append(item)
        total += n
    if held:
        yield held


def bits_per_byte(scores: DocumentScores) -> float:
    """Total bits over total bytes.

    Raises:
        EscadaError: the documents hold no byte.
    """
    total_bytes = int(scores.bytes.sum())
    if not total_bytes:
        raise EscadaError("there is no text to measure", fix="check the file or the split")
    return float(scores.nats.sum()) / math.log(2) / total_bytes


def score_documents(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Iterable[Document],
    *,
    context_tokens: int | None = None,
    batch_tokens: int | None = None,
) -> DocumentScores:
    """Score each document alone. They are streamed: `TEXT_BYTES` of them are in memory.

    Args:
        context_tokens: W of models without a state; None: the model's own. Ignored by a model that
            carries its state.
        batch_tokens: most tokens per forward pass; None: see `Reading`.

    Raises:
        EscadaError: W below 2 or beyond the model's context, or a score that is not finite.
    """

    def scores_of(batch: Sequence[Document]) -> DocumentScores:
        began = time.perf_counter()
        names = DocumentNames()
        encoded = tokenizer.encode_batch(list(names.texts(batch)))
        scores = Reading(
            model,
            tokenizer,
            [bracketed(ids, tokenizer) for ids in encoded],
            context_tokens=context_tokens,
            batch_tokens=batch_tokens,
        ).scores()
        check_scores(scores, [f"document {name}" for name in names.ids])
        return names.scores(
            protocol_of(window),
            time.perf_counter() - began,
            nats=np.array([one.nats.sum() for one in scores]),
            tokens=np.array([len(one.ids) for one in scores], dtype=np.int64),
            correct=np.array([one.correct.sum() for one in scores], dtype=np.int64),
            unknown=np.array([np.sum(ids == tokenizer.unk_id) for ids in encoded], dtype=np.int64),
            context_tokens=window,
        )

    window = window_of(model, context_tokens)
    batches = in_batches(documents, lambda document: document.n_bytes, TEXT_BYTES)
    return DocumentScores.joined([*map(scores_of, batches)] or [scores_of([])])


def protocol_of(window: int | None) -> Protocol:
    """The protocol's name, given the result of `window_of`."""
    return "document/carried-state" if window is None else "document/half-window"


def write_scores(path: Path, scores: DocumentScores) -> None:
    """Write one JSON object per line; the first line holds the protocol."""
    head = {
        "schema_version": SCHEMA_VERSION,
        "protocol": scores.protocol,
        "context_tokens": scores.context_tokens,
        "seconds": scores.seconds,
    }
    sums = (getattr(scores, name).tolist() for name in _SUMS)
    columns = zip(scores.ids, scores.sources, scores.groups, *sums, strict=True)
    names = ("id", "source", "group", *_SUMS)
    write_sealed_json_lines(path, [head, *(dict(zip(names, row, strict=True)) for row in columns)])


_SUMS: dict[str, Any] = {
    "nats": np.float64,
    **dict.fromkeys(("bytes", "tokens", "correct", "unknown"), np.int64),
}
"""Columns of numbers in a file of scores."""


def read_scores(path: Path) -> DocumentScores:
    """Read what `write_scores` wrote.

    Raises:
        EscadaError: missing, or not such a file.
    """
    if not path.is_file():
        raise EscadaError("file not found", where=path, fix="run `escada evaluate` first")
    try:
        head, *rows = read_json_lines(path, fix="remove it and evaluate again")
        return DocumentScores(
            ids=[row["id"] for row in rows],
            sources=[row["source"] for row in rows],
            groups=[row["group"] for row in rows],
            **{name: np.array([row[name] for row in rows], kind) for name, kind in _SUMS.items()},
            protocol=head["protocol"],
            context_tokens=head["context_tokens"],
            seconds=head["seconds"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EscadaError(
            "not a file of document scores", where=path, fix="remove it and evaluate again"
        ) from error
