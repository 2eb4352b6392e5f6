"""The last word of a passage, in the manner of LAMBADA (Paperno et al. 2016) and CALAME-PT.

    found = score_cloze(model, tokenizer, cloze_items(corpus.documents("test")), profile=…)
    found.accuracy, found.bits_per_word

A passage is some whole lines of a held-out document, of `LEAST_CHARACTERS` or more, that end in a
content word before the final sign. The model reads all but that word; it is right when greedy
decoding writes exactly that word and then something that is no letter. Beside the accuracy, which
is near 0 for a small model, stands what it charges for the word: the bits of the space and the
word after the context, which fall long before the accuracy rises.

Nobody chose passages whose last word a reader can guess, as was done for LAMBADA and CALAME-PT, so
the accuracy has no ceiling of 1. Those two are read from the user's own files (`question_files`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from escada.errors import EscadaError
from escada.evaluation.continuations import score_continuations
from escada.evaluation.portuguese.lexicon import lexicon
from escada.evaluation.portuguese.word_lists import word_list
from escada.evaluation.statistics import Estimate, Items, estimate
from escada.evaluation.task import Figure, Interval, Result, Subject, Task
from escada.files import content_hash, write_json_lines
from escada.generation.decoding import Sample, generate
from escada.generation.samplers import SamplerSettings
from escada.models.contract import LanguageModel
from escada.runs.run import Run
from escada.text.documents import Document
from escada.text.tokenizers import Tokenizer

SCHEMA_VERSION = 2
NAME = "cloze"
SPLIT = "test"
LEAST_CHARACTERS, MOST_CHARACTERS = 200, 800
"""Of a passage's context."""
LEAST_LETTERS = 4
MOST_ITEMS_A_GROUP, MOST_ITEMS = 40, 500

_LAST_WORD = re.compile(r"(?s)(.*\S) ([^\W\d_]+)[\"'”’»)\]]*[.!?…]+[\"'”’»)\]]*")
_FIRST_WORD = re.compile(r" ([^\W\d_]+(?:-[^\W\d_]+)*)")


@dataclass(frozen=True, slots=True)
class ClozeItem:
    """A text without its last word.

    Attributes:
        context: without the space before the word.
        word: to be written.
        id: names the item.
        source: of the document; `file` for a file of the user's.
        group: of the document: what an interval may not divide.
    """

    context: str
    word: str
    id: str
    source: str = "file"
    group: str = ""


def cloze_items(documents: Iterable[Document]) -> list[ClozeItem]:
    """The passages of some documents, none overlapping another; always the same ones.

    No more than `MOST_ITEMS`, and of one group no more than `MOST_ITEMS_A_GROUP`.
    """
    chosen: list[ClozeItem] = []
    of_group: Counter[tuple[str, str]] = Counter()
    for item in sorted(passages(documents), key=_lot):
        group = (item.source, item.group)
        if len(chosen) < MOST_ITEMS and of_group[group] < MOST_ITEMS_A_GROUP:
            of_group[group] += 1
            chosen.append(item)
    return sorted(chosen, key=lambda item: (item.source, item.id))


def passages(documents: Iterable[Document]) -> list[ClozeItem]:
    """All passages of some documents, in their order."""
    return [item for document in documents for item in _items_of(document)]


def _lot(item: ClozeItem) -> str:
    return hashlib.sha256(f"cloze/{item.source}/{item.id}".encode()).hexdigest()


def _items_of(document: Document) -> Iterator[ClozeItem]:
    """Lines are gathered until they are enough and end as wanted; then a new passage begins."""
    lines: list[str] = []
    for number, line in enumerate(document.text.split("\n"), start=1):
        lines.append(line)
        passage = "\n".join(lines)
        if len(passage) > MOST_CHARACTERS:
            lines = []
            continue
        match = _LAST_WORD.fullmatch(passage)
        if match and len(match[1]) >= LEAST_CHARACTERS and is_content_word(match[2]):
            yield ClozeItem(
                match[1], match[2], f"{document.id}/{number}", document.source, document.group
            )
            lines = []


def is_content_word(word: str) -> bool:
    """A word of the lexicon, in lower case, four letters or more, that is not grammar only."""
    if len(word) < LEAST_LETTERS or not word.isalpha() or not word.islower():
        return False
    return word in lexicon() and word not in word_list("function_words")


class ClozeResult(Result):
    """How many of the last words were written, and what they cost.

    Attributes:
        accuracy: share of the words that greedy decoding wrote.
        ci95: of it, over groups.
        bits_per_word: mean bits of the space and the word; None of one who has no probabilities.
        bits_per_word_ci95: of it.
        items: passages.
        groups: that they come from.
        effective_groups: equal groups which would inform as much (Kish).
        alone: sources with one group ("n = 1").
        profile: the cleaning of the passages.
        corpus_hash: of the corpus; None for a file of the user's.
        split: of the corpus, or the name of the user's file.
    """

    accuracy: float
    ci95: Interval | None = None
    bits_per_word: float | None = None
    bits_per_word_ci95: Interval | None = None
    items: int = 0
    groups: int = 0
    effective_groups: float | None = None
    alone: tuple[str, ...] = ()
    profile: str | None = None
    corpus_hash: str | None = None
    split: str | None = None

    def figures(self) -> list[Figure]:
        """The accuracy."""
        return [Figure(name="accuracy", value=self.accuracy, unit="share", ci95=self.ci95)]


@dataclass(frozen=True, slots=True)
class ClozeScores:
    """What a model made of each item, in their order.

    Attributes:
        items: that were scored.
        written: the model's greedy continuation.
        right: whether that was the word.
        nats: charged for the space and the word.
    """

    items: Sequence[ClozeItem]
    written: Sequence[str]
    right: NDArray[np.bool_]
    nats: NDArray[np.float64]

    @property
    def accuracy(self) -> float:
        """Share of the words that were written."""
        return float(self.right.mean())

    @property
    def ci95(self) -> Interval | None:
        """Of the accuracy, over groups."""
        return estimate_over(self.items, self.right.astype(np.float64)).share_ci95

    @property
    def bits_per_word(self) -> float:
        """Mean bits of the space and the word."""
        return float(self.nats.mean()) / math.log(2)

    def summary(self, **known: Any) -> ClozeResult:
        """The figures with their intervals; `known` are further fields of the result."""
        bits = estimate_over(self.items, self.nats / math.log(2))
        return ClozeResult(
            schema_version=SCHEMA_VERSION,
            accuracy=self.accuracy,
            ci95=self.ci95,
            bits_per_word=self.bits_per_word,
            bits_per_word_ci95=bits.ci95,
            items=len(self.items),
            groups=bits.groups,
            effective_groups=bits.effective_groups,
            alone=bits.alone,
            **known,
        )

    def rows(self) -> Iterator[dict[str, object]]:
        """One row per item; contexts are left out."""
        columns = (self.written, self.right.tolist(), self.nats.tolist())
        for item, written, right, nats in zip(self.items, *columns, strict=True):
            yield {
                "id": item.id,
                "source": item.source,
                "group": item.group,
                "word": item.word,
                "written": written,
                "right": right,
                "bits": nats / math.log(2),
            }


def estimate_over(items: Sequence[ClozeItem], values: NDArray[np.float64]) -> Estimate:
    """The mean of a value of each item, and how it varies between groups."""
    sources, groups = [item.source for item in items], [item.group for item in items]
    return estimate(Items(sources, groups, values, np.ones(len(values)), questions=True))


def score_cloze(
    model: LanguageModel, tokenizer: Tokenizer, items: Sequence[ClozeItem], *, profile: str
) -> ClozeScores:
    """Decode and score each item; both within the model's own context.

    Args:
        model: any of the ladder, or a baseline behind the same contract.
        items: their texts cleaned as the model's text was.
        profile: of that cleaning.

    Raises:
        EscadaError: no item, or a score that is not finite.
    """
    if not items:
        raise EscadaError(
            "there is no passage to score", fix="the documents are too short, or the file is empty"
        )
    samples = generate(
        model,
        tokenizer,
        [item.context for item in items],
        SamplerSettings(greedy=True),
        max_tokens=max(len(f" {item.word}".encode()) for item in items) + 1,
        profile=profile,
    )
    scored = score_continuations(
        model, tokenizer, [item.context for item in items], [f" {item.word}" for item in items]
    )
    return ClozeScores(
        items,
        [sample.text for sample in samples],
        np.array([writes(s, item.word) for s, item in zip(samples, items, strict=True)]),
        np.array([one.nats for one in scored]),
    )


def writes(sample: Sample, word: str) -> bool:
    """Whether a sample begins with a space and a word, whole: no letter follows, or it ends."""
    match = _FIRST_WORD.match(sample.text)
    if match is None or match[1] != word:
        return False
    return match.end() < len(sample.text) or sample.finished


class Cloze(Task[ClozeResult]):
    """The last words of passages of the test split, with one line an item beside the result."""

    name = NAME
    result = ClozeResult
    done = "last words guessed"

    def applies(self, subject: Subject) -> bool:
        """Whether the held-out documents are long enough to leave out a last word."""
        return bool(cloze_items(subject.corpus.documents(SPLIT)))

    def rows(self, run: Run) -> Path:
        """What was written for each item."""
        return run.layout.evaluation(f"{NAME}-rows").with_suffix(".jsonl")

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The passages themselves."""
        items = cloze_items(subject.corpus.documents(SPLIT))
        return {"items": content_hash([asdict(item) for item in items])}

    def evaluate(self, subject: Subject) -> ClozeResult:
        """Decode and score each passage."""
        run, corpus = subject.run, subject.corpus
        items = cloze_items(corpus.documents(SPLIT))
        found = score_cloze(subject.model, run.tokenizer, items, profile=corpus.profile)
        write_json_lines(self.rows(run), found.rows())
        return found.summary(profile=corpus.profile, corpus_hash=corpus.hash, split=SPLIT)


CLOZE = Cloze()
TASKS = (CLOZE,)
