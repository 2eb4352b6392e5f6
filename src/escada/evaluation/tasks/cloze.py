"""Predict the last word of a passage, as in LAMBADA (Paperno et al. 2016) and CALAME-PT.

    found = score_cloze(model, tokenizer, cloze_items(corpus.documents("test")), profile=…)
    found.summary().accuracy, found.summary().bits_per_word

A passage is one or more whole lines of a held-out document, ending in a content word before the
final punctuation. The model reads all but that word, and is right when greedy decoding writes
exactly that word, not a longer one. Accuracy is near 0 for a small model, so the bits of the space
and the word are reported too, which fall long before accuracy rises.

Unlike in LAMBADA and CALAME-PT, passages are not filtered for predictable words, so an accuracy of
1 is out of reach. Those two are read from the user's own files (`question_files`).
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
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.task import Figure, Interval, Result, Subject, Task
from escada.files import content_hash, write_sealed_json_lines
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
"""Length of a passage's context."""
LEAST_LETTERS = 4
MOST_ITEMS_A_GROUP, MOST_ITEMS = 40, 500

_LAST_WORD = re.compile(r"(?s)(.*\S) ([^\W\d_]+)[\"'”’»)\]]*[.!?…]+[\"'”’»)\]]*")
_FIRST_WORD = re.compile(r" ([^\W\d_]+(?:-[^\W\d_]+)*)")


@dataclass(frozen=True, slots=True)
class ClozeItem:
    """A text without its last word.

    Attributes:
        context: without the space before the word.
        source: of the document; `file` for a user's file.
        group: of the document: the unit of the confidence interval.
    """

    context: str
    word: str
    id: str
    source: str = "file"
    group: str = ""


def cloze_items(documents: Iterable[Document]) -> list[ClozeItem]:
    """Select at most `MOST_ITEMS` non-overlapping passages, `MOST_ITEMS_A_GROUP` per group.

    Only a few times as many are in memory: what is not selected among some passages is not
    selected among more.
    """
    chosen: list[ClozeItem] = []
    for item in passages(documents):
        chosen.append(item)
        if len(chosen) >= 4 * MOST_ITEMS:
            chosen = _selected(chosen)
    return sorted(_selected(chosen), key=lambda item: (item.source, item.id))


def _selected(items: Iterable[ClozeItem]) -> list[ClozeItem]:
    chosen: list[ClozeItem] = []
    of_group: Counter[tuple[str, str]] = Counter()
    for item in sorted(items, key=_lot):
        group = (item.source, item.group)
        if len(chosen) < MOST_ITEMS and of_group[group] < MOST_ITEMS_A_GROUP:
            of_group[group] += 1
            chosen.append(item)
    return chosen


def passages(documents: Iterable[Document]) -> Iterator[ClozeItem]:
    """All passages of some documents, in their order."""
    for document in documents:
        yield from _items_of(document)


def _lot(item: ClozeItem) -> str:
    return hashlib.sha256(f"cloze/{item.source}/{item.id}".encode()).hexdigest()


def _items_of(document: Document) -> Iterator[ClozeItem]:
    """Join lines until they form a passage, then start the next one."""
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
    """Whether a word is in the lexicon, lower case, four letters or more, and no function word."""
    if len(word) < LEAST_LETTERS or not word.isalpha() or not word.islower():
        return False
    return word in lexicon() and word not in word_list("function_words")


class ClozeResult(Result):
    """The cloze figures.

    Attributes:
        accuracy: share of the words that greedy decoding wrote.
        bits_per_word: mean bits of the space and the word; None where there are no probabilities.
        effective_groups: equal groups that would be as informative (Kish).
        alone: sources with one group ("n = 1").
        corpus_hash: None for a user's file.
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
    """The greedy continuation of each item, whether it is right, and the nats of space and word."""

    items: Sequence[ClozeItem]
    written: Sequence[str]
    right: NDArray[np.bool_]
    nats: NDArray[np.float64]

    def summary(self, **known: Any) -> ClozeResult:
        """Build the result with intervals; `known` are further fields of it."""
        right = estimate(Items.of_questions(self.items, self.right.astype(np.float64)))
        bits = estimate(Items.of_questions(self.items, self.nats / math.log(2)))
        return ClozeResult(
            schema_version=SCHEMA_VERSION,
            accuracy=float(self.right.mean()),
            ci95=right.share_ci95,
            bits_per_word=float(self.nats.mean()) / math.log(2),
            bits_per_word_ci95=bits.ci95,
            items=len(self.items),
            groups=bits.groups,
            effective_groups=bits.effective_groups,
            alone=bits.alone,
            **known,
        )

    def rows(self) -> Iterator[dict[str, object]]:
        """One row per item, without its context."""
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


def score_cloze(
    model: LanguageModel, tokenizer: Tokenizer, items: Sequence[ClozeItem], *, profile: str
) -> ClozeScores:
    """Decode and score items, cleaned by `profile`, within the model's own context.

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
        max_tokens=tokens_to_write(items),
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


def tokens_to_write(items: Sequence[ClozeItem]) -> int:
    """Most tokens that a space, a word and what follows it can have."""
    return max(len(f" {item.word}".encode()) for item in items) + 1


def writes(sample: Sample, word: str) -> bool:
    """Whether a sample begins with a space and exactly this word, not a longer one."""
    return begins_with_word(sample.text, word, finished=sample.finished)


def begins_with_word(text: str, word: str, *, finished: bool) -> bool:
    """The same of a text; `finished`: it does not go on."""
    match = _FIRST_WORD.match(text)
    if match is None or match[1] != word:
        return False
    return match.end() < len(text) or finished


class Cloze(Task[ClozeResult]):
    """The last words of passages of the test split; also writes one row per item."""

    name = NAME
    result = ClozeResult
    shows_figures = False
    done = "last words guessed"

    def applies(self, subject: Subject) -> bool:
        """Whether the test documents yield any passage."""
        return bool(cloze_items(subject.corpus.documents(SPLIT)))

    def rows(self, run: Run) -> Path:
        """The file with the answer to each item."""
        return run.layout.evaluation(f"{NAME}-rows").with_suffix(".jsonl")

    def depends_on(self, subject: Subject) -> Mapping[str, object]:
        """The passages."""
        items = cloze_items(subject.corpus.documents(SPLIT))
        return {"items": content_hash([asdict(item) for item in items])}

    def evaluate(self, subject: Subject) -> ClozeResult:
        """Decode and score each passage."""
        run, corpus = subject.run, subject.corpus
        items = cloze_items(corpus.documents(SPLIT))
        found = score_cloze(subject.model, run.tokenizer, items, profile=corpus.profile)
        write_sealed_json_lines(self.rows(run), found.rows())
        return found.summary(profile=corpus.profile, corpus_hash=corpus.hash, split=SPLIT)


CLOZE = Cloze()
TASKS = (CLOZE,)
