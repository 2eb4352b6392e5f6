"""A model's figures on a set of documents, with all that is needed to read them rightly.

measurement, scores = measure(model, tokenizer, documents, split="test", profile=…, corpus_hash=…)
write_json(path, measurement.to_json())
write_scores(path, scores)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch

from escada.errors import EscadaError
from escada.evaluation.ruler import DocumentScores, Protocol, bits_per_byte, score_documents
from escada.evaluation.statistics import Interval, Items, macro, overall
from escada.evaluation.statistics import by_source as estimates_by_source
from escada.files import read_json_lines, write_json_lines
from escada.models.contract import LanguageModel
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION, SCORES_SCHEMA_VERSION = 2, 1
"""Of the figures, and of the sums per document."""


class TokenizerFacts(TypedDict):
    """Which tokenizer a perplexity belongs to."""

    kind: str
    vocab_size: int
    hash: str


@dataclass(frozen=True, slots=True)
class SourceFigure:
    """The ruler on the documents of one source.

    Attributes:
        bits_per_byte: of them.
        ci95: None where there is one group ("n = 1") and none to borrow from.
        groups: that hold text.
        effective_groups: equal groups which would inform as much (Kish).
        bytes: UTF-8 bytes of reference text.
    """

    bits_per_byte: float
    ci95: Interval | None
    groups: int
    effective_groups: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the ruler found.

    Attributes:
        bits_per_byte: over all documents.
        ci95: of bits_per_byte, over groups within sources (`statistics`); None where no source has
            two groups.
        ci95_leaves_out: sources with one group and none to borrow from: how their other groups
            would vary is not in ci95.
        ci95_borrowed: sources with few groups whose variance is also that of the validation
            documents' groups.
        macro_bits_per_byte: mean over sources, each counting the same.
        macro_ci95: of it.
        perplexity: per token of this tokenizer, EOS and the price of unknown characters included.
            Never compare it with that of another tokenizer.
        accuracy: share of tokens, EOS included, that were the model's first choice.
        documents: how many.
        groups: how many.
        effective_groups: equal groups which would inform as much (Kish).
        bytes: UTF-8 bytes of their reference text.
        tokens: targets that were charged.
        unknown: characters that the tokenizer could not write.
        tokenizer: kind, vocab_size and hash.
        tokens_per_second: targets over wall time of scoring.
        protocol: of the ruler.
        context_tokens: window of the protocol; None when the state was carried.
        profile: the cleaning that made the reference text.
        corpus_hash: of the corpus; None for a file of the user's.
        split: of the corpus, or the name of the user's file.
        by_source: bits per byte of each source.
        sources: the same with interval, groups and bytes.
    """

    bits_per_byte: float
    ci95: Interval | None
    ci95_leaves_out: tuple[str, ...]
    ci95_borrowed: tuple[str, ...]
    macro_bits_per_byte: float
    macro_ci95: Interval | None
    perplexity: float
    accuracy: float
    documents: int
    groups: int
    effective_groups: float
    bytes: int
    tokens: int
    unknown: int
    tokenizer: TokenizerFacts
    tokens_per_second: float
    protocol: Protocol
    context_tokens: int | None
    profile: str
    corpus_hash: str | None
    split: str
    by_source: dict[str, float]
    sources: dict[str, SourceFigure]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with a schema version."""
        return {"schema_version": SCHEMA_VERSION, **asdict(self)}


def measure(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Sequence[Document],
    *,
    context_tokens: int | None = None,
    profile: str,
    corpus_hash: str | None,
    split: str,
    batch_tokens: int | None = None,
    device: torch.device | str | None = None,
    beside: DocumentScores | None = None,
) -> tuple[Measurement, DocumentScores]:
    """Score documents and sum up; see `score_documents` and `summarise` for arguments, errors."""
    scores = score_documents(
        model,
        tokenizer,
        documents,
        context_tokens=context_tokens,
        batch_tokens=batch_tokens,
        device=device,
    )
    found = summarise(
        scores, tokenizer, profile=profile, corpus_hash=corpus_hash, split=split, beside=beside
    )
    return found, scores


def summarise(
    scores: DocumentScores,
    tokenizer: Tokenizer,
    *,
    profile: str,
    corpus_hash: str | None,
    split: str,
    beside: DocumentScores | None = None,
) -> Measurement:
    """The figures of a set of document scores.

    Args:
        scores: to sum up.
        tokenizer: that perplexity and accuracy are of.
        profile: the cleaning that made the reference text.
        corpus_hash: of the corpus; None for a file of the user's.
        split: of the corpus, or the name of the user's file.
        beside: of the same model on another held-out split, from whose groups a source with few
            borrows the variance between groups.

    Raises:
        EscadaError: the documents hold no byte.
    """
    tokens, figure = int(scores.tokens.sum()), bits_per_byte(scores)
    parts = estimates_by_source(Items.of(scores), None if beside is None else Items.of(beside))
    total, every_source = overall(parts), macro(parts)
    return Measurement(
        bits_per_byte=figure,
        ci95=total.ci95,
        ci95_leaves_out=total.alone,
        ci95_borrowed=total.borrowed,
        macro_bits_per_byte=every_source.value,
        macro_ci95=every_source.ci95,
        perplexity=math.exp(float(scores.nats.sum()) / tokens),
        accuracy=int(scores.correct.sum()) / tokens,
        documents=len(scores),
        groups=len(set(zip(scores.sources, scores.groups, strict=True))),
        effective_groups=total.effective_groups,
        bytes=int(scores.bytes.sum()),
        tokens=tokens,
        unknown=int(scores.unknown.sum()),
        tokenizer={
            "kind": tokenizer.kind,
            "vocab_size": tokenizer.vocab_size,
            "hash": tokenizer.hash,
        },
        tokens_per_second=tokens / scores.seconds,
        protocol=scores.protocol,
        context_tokens=scores.context_tokens,
        profile=profile,
        corpus_hash=corpus_hash,
        split=split,
        by_source={name: part.value for name, part in parts.items()},
        sources={
            name: SourceFigure(
                part.value, part.ci95, part.groups, part.effective_groups, int(part.total)
            )
            for name, part in parts.items()
        },
    )


def write_scores(path: Path, scores: DocumentScores) -> None:
    """One JSON object a line, after a first line with the protocol."""
    head: dict[str, Any] = {
        "schema_version": SCORES_SCHEMA_VERSION,
        "protocol": scores.protocol,
        "context_tokens": scores.context_tokens,
        "seconds": scores.seconds,
    }
    columns = zip(
        scores.ids,
        scores.sources,
        scores.groups,
        *(c.tolist() for c in (scores.nats, scores.bytes, scores.tokens, scores.correct)),
        scores.unknown.tolist(),
        strict=True,
    )
    rows = [dict[str, Any](zip(_COLUMNS, values, strict=True)) for values in columns]
    write_json_lines(path, [head, *rows])


_COLUMNS = ("id", "source", "group", "nats", "bytes", "tokens", "correct", "unknown")


def read_scores(path: Path) -> DocumentScores:
    """What `write_scores` wrote.

    Raises:
        EscadaError: missing, or not such a file.
    """
    if not path.is_file():
        raise EscadaError("file not found", where=path, fix="run `escada evaluate` first")
    try:
        head, *rows = read_json_lines(path, fix="remove it and evaluate again")
        columns = {name: [row[name] for row in rows] for name in _COLUMNS}
        return DocumentScores(
            ids=columns["id"],
            sources=columns["source"],
            groups=columns["group"],
            nats=np.array(columns["nats"], dtype=np.float64),
            bytes=np.array(columns["bytes"], dtype=np.int64),
            tokens=np.array(columns["tokens"], dtype=np.int64),
            correct=np.array(columns["correct"], dtype=np.int64),
            unknown=np.array(columns["unknown"], dtype=np.int64),
            protocol=head["protocol"],
            context_tokens=head["context_tokens"],
            seconds=head["seconds"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise EscadaError(
            "not a file of document scores", where=path, fix="remove it and evaluate again"
        ) from error
