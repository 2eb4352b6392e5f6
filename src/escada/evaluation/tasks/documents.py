"""The ruler on a split of documents: result model and tasks.

subject.need(TEST).bits_per_byte                  # of a run, stored in its folder
found, scores = measure(model, tokenizer, documents, split="mine", profile=…, corpus_hash=None)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel

from escada.evaluation.ruler import (
    DocumentScores,
    Protocol,
    bits_per_byte,
    read_scores,
    score_documents,
    write_scores,
)
from escada.evaluation.sampling import document_sample
from escada.evaluation.statistics import FEW_GROUPS, Items, macro, overall
from escada.evaluation.statistics import by_source as estimates_by_source
from escada.evaluation.task import Figure, Interval, Result, Subject, Task, complete, ruler_context
from escada.models.contract import LanguageModel
from escada.runs.run import Run
from escada.text.corpus import Corpus
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2
TRAIN_SAMPLE, TRAIN_SAMPLE_BYTES = "train-sample", 256_000
BESIDE = "validation"
"""The split from which a source with few test groups borrows."""


class TokenizerOf(BaseModel):
    """The tokenizer that a perplexity belongs to."""

    kind: str
    vocab_size: int
    hash: str | None = None

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> TokenizerOf:
        """Describe a tokenizer."""
        return cls(kind=tokenizer.kind, vocab_size=tokenizer.vocab_size, hash=tokenizer.hash)


class SourceFigure(BaseModel):
    """The ruler on one source; `ci95` is None for one group ("n = 1") with none to borrow from."""

    bits_per_byte: float
    ci95: Interval | None
    groups: int
    effective_groups: float
    bytes: int


class DocumentsResult(Result):
    """The ruler's figures.

    Attributes:
        ci95: of bits_per_byte, over groups within sources (`statistics`); None where no source has
            two groups.
        ci95_leaves_out: sources with one group and none to borrow from; not in ci95.
        ci95_borrowed: sources with few groups whose variance also uses the validation groups.
        macro_bits_per_byte: mean over sources, each with the same weight.
        perplexity: per token, including EOS and the cost of unknown characters. Not comparable
            across tokenizers.
        accuracy: share of tokens, including EOS, that were the model's first choice.
        effective_groups: equal groups that would be as informative (Kish).
        bytes: UTF-8 bytes of reference text.
        tokens: targets charged.
        unknown: characters that the tokenizer could not write.
        context_tokens: window of the protocol; None when the state was carried.
        corpus_hash: None for a user's file.
        split: of the corpus, or the name of the user's file.
        by_source: bits per byte per source.
    """

    bits_per_byte: float
    ci95: Interval | None
    ci95_leaves_out: tuple[str, ...] = ()
    ci95_borrowed: tuple[str, ...] = ()
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
    tokenizer: TokenizerOf
    tokens_per_second: float
    protocol: Protocol
    context_tokens: int | None
    profile: str
    corpus_hash: str | None
    split: str
    by_source: dict[str, float]
    sources: dict[str, SourceFigure]

    def figures(self) -> list[Figure]:
        """Bits per byte."""
        return [Figure(name="bits_per_byte", value=self.bits_per_byte, ci95=self.ci95)]


def measure(
    model: LanguageModel,
    tokenizer: Tokenizer,
    documents: Iterable[Document],
    *,
    context_tokens: int | None = None,
    profile: str,
    corpus_hash: str | None,
    split: str,
    batch_tokens: int | None = None,
    beside: DocumentScores | None = None,
) -> tuple[DocumentsResult, DocumentScores]:
    """Score and summarise; see `score_documents` and `summarise` for arguments and errors."""
    scores = score_documents(
        model, tokenizer, documents, context_tokens=context_tokens, batch_tokens=batch_tokens
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
) -> DocumentsResult:
    """Compute the figures from document scores.

    Args:
        corpus_hash: None for a user's file.
        split: of the corpus, or the name of the user's file.
        beside: scores of the same model on another held-out split, for sources with few groups to
            borrow from.

    Raises:
        EscadaError: the documents hold no byte.
    """
    tokens, figure = int(scores.tokens.sum()), bits_per_byte(scores)
    parts = estimates_by_source(Items.of(scores), None if beside is None else Items.of(beside))
    total, every_source = overall(parts), macro(parts)
    return DocumentsResult(
        schema_version=SCHEMA_VERSION,
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
        tokenizer=TokenizerOf.of(tokenizer),
        tokens_per_second=tokens / scores.seconds,
        protocol=scores.protocol,
        context_tokens=scores.context_tokens,
        profile=profile,
        corpus_hash=corpus_hash,
        split=split,
        by_source={name: part.value for name, part in parts.items()},
        sources={
            name: SourceFigure(
                bits_per_byte=part.value,
                ci95=part.ci95,
                groups=part.groups,
                effective_groups=part.effective_groups,
                bytes=int(part.total),
            )
            for name, part in parts.items()
        },
    )


class Documents(Task[DocumentsResult]):
    """The ruler on a split of the run's corpus; also writes the sums per document.

    A source with few test groups borrows from the validation split.
    """

    result = DocumentsResult
    shows_figures = False

    def __init__(self, split: str, name: str | None = None) -> None:
        self.split = split
        self.name = name or split
        self.done = f"measured on {self.name} documents"

    def rows(self, run: Run) -> Path:
        """The file of sums per document."""
        return run.layout.document_scores(self.name)

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The corpus and split."""
        return {"corpus": subject.corpus.hash, "split": self.split}

    def documents(self, subject: Subject) -> Iterable[Document]:
        """The documents to score, streamed."""
        return subject.corpus.documents(self.split)

    def evaluate(self, subject: Subject) -> DocumentsResult:
        """Score the documents and write their sums."""
        run = subject.run
        scores = score_documents(
            subject.model,
            run.tokenizer,
            self.documents(subject),
            context_tokens=ruler_context(run),
        )
        beside = None
        if self.name == "test" and has_few_groups(zip(scores.sources, scores.groups, strict=True)):
            complete(subject, VALIDATION)
            beside = read_scores(VALIDATION.rows(run))
        write_scores(self.rows(run), scores)
        return summarise(
            scores,
            run.tokenizer,
            profile=subject.corpus.profile,
            corpus_hash=subject.corpus.hash,
            split=self.split,
            beside=beside,
        )


class TrainSample(Documents):
    """The ruler on a fixed sample of the training documents, to measure memorisation.

    The sample has about as many bytes as the validation split, for comparable figures.
    """

    def __init__(self) -> None:
        super().__init__("train", TRAIN_SAMPLE)
        self.done = "measured on a sample of the training documents"

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """Includes the size of the sample."""
        return {**super().depends_on(subject), "sample_bytes": self._bytes(subject.corpus)}

    def documents(self, subject: Subject) -> list[Document]:
        """The sample."""
        return document_sample(subject.corpus, self.split, self._bytes(subject.corpus))

    def _bytes(self, corpus: Corpus) -> int:
        return min(corpus.text_bytes("validation"), TRAIN_SAMPLE_BYTES)


def has_few_groups(groups: Iterable[tuple[str, str]]) -> bool:
    """Whether some source has fewer groups than `FEW_GROUPS`, so that it must borrow.

    `groups` are source and group of each document.
    """
    numbers = Counter(source for source, _ in set(groups))
    return any(number < FEW_GROUPS for number in numbers.values())


VALIDATION, TEST = Documents("validation"), Documents("test")
TRAINING = TrainSample()
TASKS = (VALIDATION, TEST, TRAINING)
