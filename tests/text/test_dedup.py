"""Duplicates fall, exact and near; what is new stays, in its order."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.text import dedup
from escada.text.dedup import THRESHOLD, comparison_form, shingles, unique
from escada.text.documents import Document, DocumentCounts

WORDS = "casa rio vento livro mar noite pedra caminho festa janela cidade chuva tempo".split()


def documents(*texts: str) -> list[Document]:
    return [Document(str(i), "s", str(i), text) for i, text in enumerate(texts)]


def kept(*texts: str) -> tuple[list[str], DocumentCounts]:
    counts = DocumentCounts()
    return [d.text for d in unique(documents(*texts), counts)], counts


def sentence(seed: int, n_words: int = 25) -> str:
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) + str(chance.randrange(1000)) for _ in range(n_words))


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def test_exact_duplicates_fall_and_the_first_stays():
    texts, counts = kept("um texto qualquer", "outro texto bem diferente", "um texto qualquer")
    assert texts == ["um texto qualquer", "outro texto bem diferente"]
    assert (counts.exact_duplicates, counts.near_duplicates) == (1, 0)


def test_a_retweet_is_its_tweet():
    tweet = "A vacina chegou hoje à cidade, e a fila já dobra a esquina! #vacina"
    retweet = "RT @alguem: a Vacina chegou hoje à cidade e a fila já dobra a esquina #vacina http://t.co/x"
    assert kept(tweet, retweet)[0] == [tweet]
    assert comparison_form(tweet) == comparison_form(retweet)


def test_one_changed_word_in_many_is_a_near_duplicate():
    text = sentence(1, 60)
    changed = text.replace(text.split()[30], "algo")
    assert jaccard(text, changed) > THRESHOLD + 0.1
    texts, counts = kept(text, changed)
    assert texts == [text]
    assert (counts.exact_duplicates, counts.near_duplicates) == (0, 1)


def test_a_text_that_shares_half_stays():
    one, other = sentence(1, 40), sentence(2, 40)
    mixed = " ".join(one.split()[:20] + other.split()[:20])
    assert jaccard(one, mixed) < THRESHOLD - 0.15
    assert kept(one, mixed)[1] == DocumentCounts()


def test_texts_of_mentions_and_signs_alone_are_not_one():
    texts = ["@ana", "@bia @caio", "😀😀😀", "!!!", "http://a.br/1", "http://b.br/2"]
    assert kept(*texts)[0] == texts


def test_duplicates_are_found_across_batches():
    texts = [sentence(i) for i in range(1500)]
    found, counts = kept(*texts, *(text.upper() for text in texts), *texts)
    assert found == texts
    assert (counts.exact_duplicates, counts.near_duplicates) == (1500, 1500)


def test_of_a_thousand_near_duplicates_none_above_the_threshold_is_missed():
    chance = random.Random(0)
    texts: list[str] = []
    for seed in range(1000):
        words = sentence(seed, 60).split()
        texts.append(" ".join(words))
        words[chance.randrange(60)] = "outra"
        texts.append(" ".join(words))
    assert min(jaccard(a, b) for a, b in zip(texts[::2], texts[1::2], strict=True)) > 0.85
    assert kept(*texts)[0] == texts[::2]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=40), max_size=30))
def test_deduplicating_again_removes_nothing(texts: list[str]):
    first, counts = kept(*texts)
    assert len(first) + counts.exact_duplicates + counts.near_duplicates == len(texts)
    again, none = kept(*first)
    assert (again, none) == (first, DocumentCounts())


@pytest.mark.parametrize("later", [0, 3000])
def test_a_document_is_found_behind_others_that_share_its_bands(later: int):
    chance = np.random.default_rng(0)
    index = dedup._Index()

    def random_signature() -> np.ndarray:
        return chance.integers(0, 2**16, dedup.N_MINIMA, dtype=np.uint16)

    first = random_signature()
    assert index.add_if_new(first)
    for band in range(dedup.N_BANDS):
        other = random_signature()
        other[4 * band : 4 * band + 4] = first[4 * band : 4 * band + 4]
        assert index.add_if_new(other)
    for _ in range(later):
        assert index.add_if_new(random_signature())
    assert not index.add_if_new(first)
    assert index.n == 1 + dedup.N_BANDS + later


def test_the_estimate_follows_the_exact_similarity():
    pairs = [
        (sentence(i, 60), " ".join([*sentence(i, 60).split()[: 20 + i], "fim"])) for i in range(40)
    ]
    left = dedup._signatures([comparison_form(a) for a, _ in pairs])
    right = dedup._signatures([comparison_form(b) for _, b in pairs])
    errors = [
        (one == other).mean() - jaccard(a, b)
        for one, other, (a, b) in zip(left, right, pairs, strict=True)
    ]
    assert np.abs(errors).max() < 0.16
    assert abs(np.mean(errors)) < 0.025
