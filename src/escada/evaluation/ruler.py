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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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
    documents: Sequence[Document],
    *,
    context_tokens: int | None = None,
    batch_tokens: int | None = None,
) -> DocumentScores:
    """Score each document alone.

    Args:
        context_tokens: W of models without a state; None: the model's own. Ignored by a model that
            carries its state.
        batch_tokens: most tokens per forward pass; None: see `Reading`.

    Raises:
        EscadaError: W below 2 or beyond the model's context, or a score that is not finite.
    """
    began = time.perf_counter()
    window = window_of(model, context_tokens)
    encoded = tokenizer.encode_batch([document.text for document in documents])
    scores = Reading(
        model,
        tokenizer,
        [bracketed(ids, tokenizer) for ids in encoded],
        context_tokens=context_tokens,
        batch_tokens=batch_tokens,
    ).scores()
    check_scores(scores, [f"document {document.id}" for document in documents])
    return DocumentScores(
        ids=[document.id for document in documents],
        sources=[document.source for document in documents],
        groups=[document.group for document in documents],
        nats=np.array([one.nats.sum() for one in scores]),
        bytes=np.array([len(d.text.encode()) for d in documents], dtype=np.int64),
        tokens=np.array([len(one.ids) for one in scores], dtype=np.int64),
        correct=np.array([one.correct.sum() for one in scores], dtype=np.int64),
        unknown=np.array([np.sum(ids == tokenizer.unk_id) for ids in encoded], dtype=np.int64),
        protocol=protocol_of(window),
        context_tokens=window,
        seconds=time.perf_counter() - began,
    )


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
