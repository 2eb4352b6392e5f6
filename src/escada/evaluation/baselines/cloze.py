"""Trivial baselines for the cloze task.

- `constant_word`: the most frequent last word of training passages (default corpus: "vacina").
- `repeated_word`: the passage's last content word that is repeated, else its last content word.
- `kneser_ney`: the n-gram model, with the same greedy decoding as a rung.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from escada.evaluation.statistics import Items, estimate
from escada.evaluation.tasks.cloze import (
    SPLIT,
    ClozeItem,
    ClozeResult,
    cloze_items,
    is_content_word,
    passages,
    score_cloze,
)
from escada.models.contract import LanguageModel
from escada.text.corpus import Corpus
from escada.text.tokenizers import Tokenizer

_WORD = re.compile(r"[^\W\d_]+")


class ClozeBaseline(ClozeResult):
    """A row of `cloze_baselines`; `word` is the answer of the constant baseline."""

    key: str
    name: str
    word: str | None = None


def cloze_baselines(
    corpus: Corpus, ngrams: LanguageModel, tokenizer: Tokenizer
) -> list[dict[str, Any]]:
    """One row per baseline: name, key and the fields of `ClozeResult`; empty without passages."""
    items = cloze_items(corpus.documents(SPLIT))
    if not items:
        return []
    found = score_cloze(ngrams, tokenizer, items, profile=corpus.profile)
    name = "character Kneser-Ney n-grams"
    return [
        *guesses(corpus, items),
        {"name": name, "key": "kneser_ney"} | found.summary().to_json(),
    ]


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
