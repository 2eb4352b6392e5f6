"""Find determiners and adjectives whose change of number or gender breaks agreement with a noun.

A `Spot` is the word to change, the feature to change, and the phenomenon that breaks. It is yielded
only where the other form is ungrammatical in every reading, so these are skipped:

- nouns whose number or gender is not visible (`lápis`, `o/a estudante`), names, hyphenated words;
- nouns that may be coordinated (`o autor e editor`);
- adjectives whose changed form could modify an earlier noun: `taxas de inflação elevada` is right,
  and so is `elevadas`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from escada.evaluation.portuguese.lexicon import lexicon
from escada.evaluation.portuguese.paradigms import Paradigms
from escada.evaluation.portuguese.treebank import AnnotatedSentence, feature
from escada.evaluation.portuguese.word_lists import word_list
from escada.text.sources.conllu import Word

OTHER = {"Sing": "Plur", "Plur": "Sing", "Masc": "Fem", "Fem": "Masc"}
FEATURES = {"number": "Number", "gender": "Gender"}
LEAST_GENDER_EVIDENCE = 5
"""Minimum occurrences, all in one gender, to treat a noun as having only that gender."""
CLAUSE_ENDS = frozenset(';:?!.()[]—–"“”«»')
LOOK_BACK_WORDS = 14
"""How far before a noun to search for another one that its adjective could modify."""
NOMINAL = ("NOUN", "PROPN", "PRON", "NUM", "X", "SYM")


@dataclass(frozen=True, slots=True)
class Spot:
    """A word that can be changed.

    Attributes:
        phenomenon: what breaks, such as `determiner_noun_gender`.
        feature: the feature to change.
        value: its value in the bad sentence.
        attractor: whether a noun of the other number stands between subject and verb.
    """

    word: Word
    phenomenon: str
    feature: str
    value: str
    attractor: bool = False


def is_plain_noun(word: Word) -> bool:
    """Whether a word is a common noun of the lexicon, which is lower case and excludes names."""
    return word.tag == "NOUN" and len(word.form) > 2 and word.form in lexicon()


def has_one_gender(noun: Word, paradigms: Paradigms) -> bool:
    """Whether a noun has only this gender, wherever it occurs."""
    form, lemma = noun.form.lower(), noun.lemma.lower()
    if {form, lemma} & word_list("either_gender") or paradigms.is_ever_an_adjective(form):
        return False
    endings = tuple(word_list("either_gender_endings"))
    if form.endswith(endings) or lemma.endswith(endings):
        return False
    genders = paradigms.genders(lemma)
    return len(genders) == 1 and genders[feature(noun, "Gender")] >= LEAST_GENDER_EVIDENCE


def agree(one: Word, other: Word) -> bool:
    """Whether two words have the same number and compatible genders."""
    number = feature(one, "Number")
    genders = {feature(one, "Gender"), feature(other, "Gender")} - {None}
    return number is not None and number == feature(other, "Number") and len(genders) < 2


def determiner_noun(sentence: AnnotatedSentence, paradigms: Paradigms) -> Iterator[Spot]:
    """`as falhas` → `a falhas`, `os falhas`: a determiner immediately before its noun."""
    words = sentence.words
    for i, (determiner, noun) in enumerate(itertools.pairwise(words)):
        if determiner.tag != "DET" or determiner.lemma.lower() not in word_list("determiners"):
            continue
        if noun.head and determiner.head != noun.number:
            continue
        if _is_sound(words, i + 1, noun, determiner):
            for name, of in _certain_features(noun, determiner, paradigms):
                value = OTHER[feature(noun, of) or ""]
                alone = len(sentence.place_of[determiner.number].words) == 1
                if alone and _may_be_preposition(words, i, of, value):
                    continue
                yield Spot(determiner, f"determiner_noun_{name}", of, value)


def _may_be_preposition(words: Sequence[Word], i: int, of: str, value: str) -> bool:
    """Whether the article at `i`, changed into `a`, can be read as the preposition.

    `vaporizar o gás` → `vaporizar a gás`, `atender as pessoas` → `atender a pessoas`. It cannot at
    the start of a sentence, or after a determiner or another preposition.
    """
    article = words[i]
    turned = {name: feature(article, name) for name in FEATURES.values()} | {of: value}
    if article.lemma.lower() != "o" or turned != {"Gender": "Fem", "Number": "Sing"}:
        return False
    if i == 0:
        return False
    before = words[i - 1]
    return before.tag not in ("DET", "SCONJ") and before.lemma not in word_list("prepositions")


def noun_adjective(sentence: AnnotatedSentence, paradigms: Paradigms) -> Iterator[Spot]:
    """`falha normal` → `falha normais`: an adjective immediately after its noun."""
    words = sentence.words
    for i, (noun, adjective) in enumerate(itertools.pairwise(words)):
        if adjective.tag != "ADJ" or not adjective.form.islower():
            continue
        if adjective.lemma.lower() in word_list("adverb_like"):
            continue
        if noun.head and (adjective.head, adjective.relation) != (noun.number, "amod"):
            continue
        if _tag(words, i + 2) in ("NOUN", "PROPN", "X"):
            continue
        if _is_sound(words, i + 1, noun, adjective):
            for name, of in _certain_features(noun, adjective, paradigms):
                if not _may_belong_earlier(words, i, of):
                    value = OTHER[feature(noun, of) or ""]
                    yield Spot(adjective, f"noun_adjective_{name}", of, value)


def _is_sound(words: Sequence[Word], last: int, noun: Word, other: Word) -> bool:
    """Whether a noun and its modifier (the later one at `last`) agree and are not coordinated."""
    return is_plain_noun(noun) and agree(noun, other) and not _is_coordinated_after(words, last)


def _certain_features(noun: Word, other: Word, paradigms: Paradigms) -> Iterator[tuple[str, str]]:
    """The features (as names) that noun and modifier share and that are fixed for the noun."""
    if feature(noun, "Number") in OTHER and paradigms.has_one_number(noun):
        yield "number", "Number"
    shared = feature(noun, "Gender") == feature(other, "Gender")
    if shared and feature(noun, "Gender") in OTHER and has_one_gender(noun, paradigms):
        yield "gender", "Gender"


def _tag(words: Sequence[Word], i: int) -> str:
    return words[i].tag if i < len(words) else ""


def _is_coordinated_after(words: Sequence[Word], i: int) -> bool:
    """Whether another conjunct may follow the word at `i`: `o autor e editor`."""
    if i + 1 >= len(words):
        return False
    following = words[i + 1]
    if following.tag == "CCONJ" or following.form in "/&-–":
        return True
    return following.form == "," and _tag(words, i + 2) in ("NOUN", "ADJ", "PROPN", "VERB")


def _may_belong_earlier(words: Sequence[Word], i: int, of: str) -> bool:
    """Whether the changed form of an adjective after the noun at `i` could modify an earlier noun.

    Searches back to the previous clause boundary for a nominal that agrees with the changed form or
    has unknown features; a nearby conjunction may join the noun to one.
    """
    noun = words[i]
    turned = {name: feature(noun, name) for name in FEATURES.values()}
    turned[of] = OTHER[turned[of] or ""]
    for word in reversed(words[max(0, i - LOOK_BACK_WORDS) : i]):
        if word.form in CLAUSE_ENDS:
            return False
        if word.tag == "CCONJ" and word.number >= noun.number - 5:
            return True
        if word.tag in NOMINAL and all(
            feature(word, name) in (value, None) for name, value in turned.items()
        ):
            return True
    return False
