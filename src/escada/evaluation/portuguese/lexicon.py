"""The share of words that are Portuguese: does a sample hold words at all?

    lexicon_share(documents)                       # human text: the ceiling
    samples_lexicon_share(samples)                 # a model's
    samples_lexicon_share(noise)                   # a uniform model's: the floor

The lexicon is wordfreq's list of Portuguese (its large list, 267,979 entries), cut by length. Long
strings rarely hit a word by chance, so any listed word of four letters or more counts if it occurs
once in ten million words. Short strings often do, and the list is full of abbreviations: two
letters count from once in ten thousand, three from once in a hundred thousand, and of single
letters only the five that are words of their own. So every word that counts is in wordfreq, and
noise stays low: on the test split of the default corpus human text scores 0.95 (0.88 to 0.98 by
source), text of a character bigram model 0.25, characters drawn by their frequency 0.12, uniform
characters 0.05.

A word is a run of letters with no digit or underscore beside it, in lower case; hyphens and
apostrophes divide ("disse-lhe" is two), as in the list. At the edges of a sample a word may be cut
off or continue the prompt's last one; those are not counted.

It tells text from noise, not Portuguese from English: the list, made from what people write and
say, holds many English words (English scores 0.80 to 0.86, Spanish 0.63, Galician 0.71).

    word_language("não"), word_language("the"), word_language("de")    # "pt", "other", None

What tells languages apart is how much more frequent a word is in one than in the others. Of the
words that have a language in this sense, human text of the default corpus has 0.89 to 0.97 in
Portuguese, by source, samples of trained rungs 0.91 to 0.97, Galician 0.65, and English, Spanish,
French and Italian at most 0.01.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Literal

from escada.generation.decoding import Sample

SINGLE_LETTERS = frozenset("aeoàé")
MINIMUM_FREQUENCY = {2: 1e-4, 3: 1e-5}
"""Least frequency (share of all words) by length, for the short ones."""
MINIMUM_FREQUENCY_OF_LONG = 1e-7

NEIGHBOURS = ("en", "es", "it", "fr", "ca")
"""Languages that a Portuguese word is set against."""
MORE_FREQUENT = 5
"""Times that a word is more frequent where it belongs than in the other languages."""

_WORD = re.compile(r"\b[^\W\d_]+\b")


@cache
def lexicon() -> frozenset[str]:
    """The Portuguese words that count; about 93,000."""
    from wordfreq import get_frequency_dict

    listed = get_frequency_dict("pt", wordlist="large")
    return SINGLE_LETTERS | {
        word
        for word, frequency in listed.items()
        if len(word) > 1
        and frequency >= MINIMUM_FREQUENCY.get(len(word), MINIMUM_FREQUENCY_OF_LONG)
    }


@cache
def word_language(word: str) -> Literal["pt", "other"] | None:
    """Where a word in lower case is clearly more frequent; None if nowhere, or too rare."""
    from wordfreq import get_frequency_dict

    portuguese = get_frequency_dict("pt", wordlist="best").get(word, 0.0)
    elsewhere = max(get_frequency_dict(one, wordlist="best").get(word, 0.0) for one in NEIGHBOURS)
    if max(portuguese, elsewhere) < MINIMUM_FREQUENCY_OF_LONG:
        return None
    if portuguese >= MORE_FREQUENT * elsewhere:
        return "pt"
    return "other" if elsewhere >= MORE_FREQUENT * portuguese else None


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return _WORD.findall(text.lower())


def lexicon_share(texts: Iterable[str]) -> float:
    """Share of all words of the texts that are in the lexicon; 0 if they hold no word."""
    return _share(word for text in texts for word in words(text))


def samples_lexicon_share(samples: Iterable[Sample]) -> float:
    """Share of the words that the samples wrote whole; 0 if they wrote none."""
    whole = (whole_part(one.prompt, one.text, one.finished) for one in samples)
    return _share(word for text in whole for word in words(text))


def whole_part(prompt: str, text: str, finished: bool) -> str:
    """A sample's text without what continues the prompt's last word, or was cut off at the end."""
    if re.search(r"\w\Z", prompt):
        text = re.sub(r"^\w+", "", text)
    return text if finished else re.sub(r"\w+$", "", text)


def _share(found: Iterable[str]) -> float:
    known = lexicon()
    total = hits = 0
    for word in found:
        total += 1
        hits += word in known
    return hits / total if total else 0.0
