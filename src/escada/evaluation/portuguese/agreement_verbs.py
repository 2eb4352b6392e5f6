"""Find verbs that can be changed in number so that they no longer agree with their subject.

With dependency heads (petrogold) the subject may be far from its verb; without (porttinari) only
two unambiguous word orders are used. A spot is yielded only where the other form is ungrammatical
in every reading, so these are skipped:

- coordinated subjects, and those that allow either number (`a maioria dos casos`);
- subjects after a preposition, relative ones (`que`), and those after the verb;
- `haver`, `parecer`, clauses with `se`, predicates of another number (`o problema são as falhas`).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

from escada.evaluation.portuguese.agreement_nouns import OTHER, Spot, agree, is_plain_noun
from escada.evaluation.portuguese.paradigms import Paradigms
from escada.evaluation.portuguese.treebank import AnnotatedSentence, feature
from escada.evaluation.portuguese.word_lists import word_list
from escada.text.sources.conllu import Word

PHENOMENON = "subject_verb_number"
PRONOUNS = {"ele": "Sing", "ela": "Sing", "eles": "Plur", "elas": "Plur"}
"""Pronouns that are subjects unless a preposition precedes them, with their number."""
BEFORE_VERB = ("não", "já", "também", "ainda", "só")


def subject_verb(sentence: AnnotatedSentence, paradigms: Paradigms) -> Iterator[Spot]:
    """All verbs of a sentence with an unambiguous subject."""
    if any(word.head for word in sentence.words):
        yield from _by_heads(sentence, paradigms)
    else:
        yield from _by_order(sentence, paradigms)
    yield from _after_pronoun(sentence)


def _is_safe_verb(verb: Word, number: str | None) -> bool:
    return (
        verb.tag in ("VERB", "AUX")
        and feature(verb, "VerbForm") == "Fin"
        and feature(verb, "Mood") in ("Ind", "Sub", "Cnd")
        and feature(verb, "Person") == "3"
        and feature(verb, "Number") == number
        and verb.lemma.lower() not in word_list("unsafe_verbs")
    )


def _is_safe_subject(noun: Word, paradigms: Paradigms) -> bool:
    return (
        is_plain_noun(noun)
        and feature(noun, "Number") in OTHER
        and noun.lemma.lower() not in word_list("quantities")
        and paradigms.has_one_number(noun)
    )


def _spot(verb: Word, number: str, between: Sequence[Word]) -> Spot:
    attracts = any(
        word.tag in ("NOUN", "PROPN") and feature(word, "Number") == OTHER[number]
        for word in between
    )
    return Spot(verb, PHENOMENON, "Number", OTHER[number], attracts)


def _by_heads(sentence: AnnotatedSentence, paradigms: Paradigms) -> Iterator[Spot]:
    """`a análise das amostras indica` → `indicam`."""
    words = sentence.words
    by_number = {word.number: word for word in words}
    children: dict[int, list[Word]] = defaultdict(list)
    for word in words:
        children[word.head].append(word)
    for subject in words:
        head = by_number.get(subject.head)
        if head is None or subject.relation not in ("nsubj", "nsubj:pass"):
            continue
        if not _is_safe_subject(subject, paradigms):
            continue
        number = feature(subject, "Number") or ""
        if _is_doubtful(subject, number, children[subject.number], words):
            continue
        verb = _finite_verb(head, children[head.number], number)
        if verb is None or verb.number < subject.number or not _is_safe_verb(verb, number):
            continue
        between = [w for w in words if subject.number < w.number < verb.number]
        if number == "Sing" and any(word.lemma in ("com", "como") for word in between):
            continue  # "o autor, com seus alunos, propõem" occurs in speech
        if any(word.number == verb.number + 1 and word.form == ":" for word in words):
            continue  # "as propriedades são: a massa, …" may agree with what follows
        yield _spot(verb, number, between)


def _is_doubtful(
    subject: Word, number: str, children: Sequence[Word], words: Sequence[Word]
) -> bool:
    """Whether a subject may have another number than its head, or not be a subject at all."""
    if any(child.relation in word_list("subject_trouble") for child in children):
        return True
    if number == "Sing" and not any(child.tag == "DET" for child in children):
        return True  # "caso contrário", "parte"
    before = itertools.dropwhile(
        lambda word: word.tag in ("DET", "ADJ", "NUM"),
        reversed([word for word in words if word.number < subject.number]),
    )
    closest = next(before, None)
    return closest is not None and closest.tag == "ADP"  # "dentre as aminas está a MEA"


def _finite_verb(head: Word, children: Sequence[Word], number: str) -> Word | None:
    """The verb that agrees with the subject of `head`; None where that is unclear.

    A predicate must have the subject's number; there must be no clitic `se`, which can make the
    clause impersonal, and no relative pronoun, which can be the subject instead.
    """
    for child in children:
        if child.relation.startswith("expl") or child.form.lower().strip("-") == "se":
            return None
        if (
            feature(child, "PronType") == "Rel"
            and child.tag == "PRON"
            and child.number < head.number
        ):
            return None
    finite = [
        word
        for word in (head, *children)
        if feature(word, "VerbForm") == "Fin"
        and (word is head or word.relation in ("aux", "aux:pass", "cop"))
    ]
    if len(finite) != 1:
        return None
    if finite[0] is head or feature(head, "Number") == number:
        return finite[0]
    form = feature(head, "VerbForm")
    compound = form in ("Inf", "Ger") or (form == "Part" and finite[0].lemma in ("ter", "haver"))
    return finite[0] if compound else None


def _by_order(sentence: AnnotatedSentence, paradigms: Paradigms) -> Iterator[Spot]:
    """Sentence-initial determiner and noun, optionally an adjective, optionally `de` and a noun.

    If the second noun has another number, the verb's number shows that the first is the subject.
    """
    words = sentence.words
    if len(words) < 6 or words[0].tag != "DET" or not agree(words[0], words[1]):
        return
    subject = words[1]
    if words[0].lemma.lower() not in word_list("determiners"):
        return
    if not _is_safe_subject(subject, paradigms) or subject.lemma.lower() in word_list("times"):
        return
    number = feature(subject, "Number") or ""
    i = _after_subject(words)
    if i is None or i + 1 >= len(words):
        return
    verb, following = words[i], words[i + 1]
    if not _is_safe_verb(verb, number) or following.form.lower() == "se":
        return
    predicate = following.tag == "ADJ" or feature(following, "VerbForm") == "Part"
    if verb.lemma == "ser" and not (predicate and feature(following, "Number") == number):
        return
    yield _spot(verb, number, words[2:i])


def _after_subject(words: Sequence[Word]) -> int | None:
    """Index of the verb after a subject that begins at 0; None where that is unclear."""
    i = _skip_adjective(words, 2, words[1])
    if words[i].lemma == "de":
        i += 1 + (words[i + 1].tag == "DET")
        if i >= len(words) - 2 or not is_plain_noun(words[i]):
            return None
        i = _skip_adjective(words, i + 1, words[i])
    return i + 1 if words[i].lemma in BEFORE_VERB else i


def _skip_adjective(words: Sequence[Word], i: int, noun: Word) -> int:
    """Index after an adjective at `i`, if there is one that agrees with the noun before it."""
    if i < len(words) - 2 and words[i].tag == "ADJ" and agree(words[i], noun):
        return i + 1
    return i


def _after_pronoun(sentence: AnnotatedSentence) -> Iterator[Spot]:
    """`eles disseram` → `eles disse`: a pronoun immediately before its verb."""
    words = sentence.words
    for i, (pronoun, verb) in enumerate(itertools.pairwise(words)):
        number = PRONOUNS.get(pronoun.form.lower())
        before = words[i - 1] if i else None
        if before and (before.tag in ("ADP", "ADV", "VERB") or before.lemma in ("e", "ou", "nem")):
            continue
        if pronoun.tag == "PRON" and number and _is_safe_verb(verb, number):
            yield _spot(verb, number, [])
