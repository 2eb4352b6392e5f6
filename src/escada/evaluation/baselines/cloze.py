"""Trivial baselines for the cloze task.

- `constant_word`: the most frequent last word of training passages (default corpus: "vacina").
- `repeated_word`: the passage's last content word that is repeated, else its last content word.
- `kneser_ney`: the n-gram model, right where the greedy decoding of a rung would be.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from escada.evaluation.baselines.kneser_ney import Asked, LastTokens
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.tasks.cloze import (
    ClozeItem,
    ClozeResult,
    ClozeScores,
    begins_with_word,
    is_content_word,
    passages,
    tokens_to_write,
)
from escada.text.cleaning import clean_prompt
from escada.text.corpus import Corpus
from escada.text.tokenizers import Tokenizer

_WORD = re.compile(r"[^\W\d_]+")


class ClozeBaseline(ClozeResult):
    """A row of `cloze_baselines`; `word` is the answer of the constant baseline."""

    key: str
    name: str
    word: str | None = None


def cloze_baselines(
    corpus: Corpus, items: Sequence[ClozeItem], ngrams: ClozeScores
) -> list[dict[str, Any]]:
    """One row per baseline: name, key and the fields of `ClozeResult`; `ngrams` of the items."""
    name = "character Kneser-Ney n-grams"
    return [
        *guesses(corpus, items),
        {"name": name, "key": "kneser_ney"} | ngrams.summary().to_json(),
    ]


def asked_of(items: Sequence[ClozeItem], *, profile: str) -> list[Asked]:
    """Two texts per item: for the nats of its word, and for the first choices as one decodes it.

    Greedy decoding writes a word if it is the first choice at each of its characters, and ends it
    with the next character; after a hyphen, with the next but one.
    """
    return [
        one
        for item in items
        for one in (
            Asked(f"{item.context} {item.word}", len(f" {item.word}")),
            Asked(f"{clean_prompt(item.context, profile)} {item.word}-", len(f" {item.word}-")),
        )
    ]


def cloze_scores(
    items: Sequence[ClozeItem], found: Sequence[LastTokens], tokenizer: Tokenizer
) -> ClozeScores:
    """What `score_cloze` finds, from the answers to `asked_of`, without decoding."""
    most = tokens_to_write(items)
    written: list[str] = []
    right: list[bool] = []
    nats: list[float] = []
    for item, scored, chosen in zip(items, found[::2], found[1::2], strict=True):
        nats.append(float(scored.nats[:-1].sum()))
        ids = tokenizer.encode(f" {item.word}")
        *first, end, after_hyphen = chosen.chosen.tolist()
        greedy = first
        if first == ids.tolist():
            greedy = [*first, end]
            if tokenizer.decode([end]) == "-":
                greedy.append(after_hyphen)
        greedy = greedy[:most]
        text = tokenizer.decode(greedy)
        is_right = first == ids.tolist() and begins_with_word(
            text, item.word, finished=greedy[-1] == tokenizer.eos_id
        )
        written.append(text if is_right else "")
        right.append(is_right)
    return ClozeScores(items, written, np.array(right), np.array(nats))


def guesses(corpus: Corpus, items: Sequence[ClozeItem]) -> list[dict[str, Any]]:
    """The rows of `cloze_baselines` that need no model (fast)."""
    word = most_frequent_word(corpus)
    return [
        {"name": f'always "{word}"', "key": "constant_word", "word": word}
        | guessed(items, [word] * len(items)),
        {"name": "the last repeated word", "key": "repeated_word"}
        | guessed(items, [repeated_word(item.context) for item in items]),
    ]


def most_frequent_word(corpus: Corpus) -> str:
    """The most frequent last word of training passages; ties in alphabetical order."""
    counts = Counter(item.word for item in passages(corpus.documents("train")))
    return min(counts, key=lambda word: (-counts[word], word), default="")


def repeated_word(context: str) -> str:
    """The last content word that occurs twice or more, else the last one, else the empty string."""
    words = [word for word in _WORD.findall(context) if is_content_word(word)]
    counts = Counter(words)
    repeated = [word for word in words if counts[word] > 1]
    return (repeated or words or [""])[-1]


def guessed(items: Sequence[ClozeItem], words: Sequence[str]) -> dict[str, Any]:
    """The accuracy of given answers; there are no bits."""
    right = np.array([a.word == word for a, word in zip(items, words, strict=True)], dtype=float)
    found = estimate(Items.of_questions(items, right))
    return {
        "accuracy": found.value,
        "ci95": found.share_ci95,
        "items": len(items),
        "groups": found.groups,
        "effective_groups": found.effective_groups,
        "alone": found.alone,
    }
