"""Duplicates fall, exact and near; what is new stays, in its order."""

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.text.documents import Document, DocumentCounts
from escada.text.preparation import dedup
from escada.text.preparation.dedup import THRESHOLD, comparison_form, shingles, unique

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


def signature_like(one: np.ndarray, agreeing: int, chance: np.random.Generator) -> np.ndarray:
    """A signature that agrees with another in that many minima."""
    other = chance.integers(0, 2**16, dedup.N_MINIMA, dtype=np.uint16)
    same = chance.permutation(dedup.N_MINIMA)[:agreeing]
    other[same] = one[same]
    return other


def found_of(rows: list[np.ndarray], scratch: Path | None = None) -> list[int]:
    marks = np.arange(len(rows), dtype=np.uint64)
    return dedup.duplicates(marks, np.array(rows), scratch).tolist()


def test_pairs_at_the_threshold_are_found_and_just_below_it_stay():
    chance = np.random.default_rng(0)
    least = int(np.ceil(THRESHOLD * dedup.N_MINIMA))
    n = 400
    rows: list[np.ndarray] = []
    for agreeing in [least] * n + [least - 1] * n:
        first = chance.integers(0, 2**16, dedup.N_MINIMA, dtype=np.uint16)
        rows += [first, signature_like(first, agreeing, chance)]
    found = found_of(rows)
    assert sum(one == dedup.NEAR for one in found[1 : 2 * n : 2]) >= n - 1
    assert not any(found[2 * n :])
    assert not any(found[0 : 2 * n : 2])


def test_a_document_is_found_behind_kept_and_removed_ones_of_its_bands(tmp_path: Path):
    chance = np.random.default_rng(1)
    first = chance.integers(0, 2**16, dedup.N_MINIMA, dtype=np.uint16)
    below = [signature_like(first, 60, chance) for _ in range(20)]
    removed = [signature_like(first, 110, chance) for _ in range(50)]
    rows = [first, *below, *removed, first.copy()]
    expected = [dedup.NEW] * 21 + [dedup.NEAR] * 51
    assert found_of(rows) == expected
    assert found_of(rows, tmp_path) == expected


def test_near_duplicates_of_removed_documents_stay():
    """A chain of edits: only what is near a *kept* document goes."""
    chance = np.random.default_rng(2)
    rows = [chance.integers(0, 2**16, dedup.N_MINIMA, dtype=np.uint16)]
    order = chance.permutation(dedup.N_MINIMA)
    for step in range(1, 5):  # each differs from the one before in 25 other minima
        row = rows[-1].copy()
        places = order[25 * (step - 1) : 25 * step]
        row[places] = chance.integers(0, 2**16, len(places), dtype=np.uint16)
        rows.append(row)
    assert found_of(rows) == [dedup.NEW, dedup.NEAR, dedup.NEW, dedup.NEAR, dedup.NEW]


def test_thousands_of_texts_of_one_template_leave_one():
    texts = [f"Prezado cliente, sua compra número {i} foi entregue. " * 4 for i in range(3000)]
    assert len(kept(*texts)[0]) < 5


def test_a_long_text_is_signed_in_pieces_as_in_one(monkeypatch: pytest.MonkeyPatch):
    form = comparison_form(" ".join(sentence(i) for i in range(30)))
    whole = dedup.signature(form)
    monkeypatch.setattr(dedup, "PIECE_CHARACTERS", 100)
    np.testing.assert_array_equal(dedup.signature(form), whole)
    forms = ["a", "um texto curto", form, "", form[:99]]
    several = dedup.signatures(forms)
    for one, row in zip(forms, several, strict=True):
        np.testing.assert_array_equal(dedup.signature(one), row)


def test_the_estimate_follows_the_exact_similarity():
    pairs = [
        (sentence(i, 60), " ".join([*sentence(i, 60).split()[: 20 + i], "fim"])) for i in range(40)
    ]
    left = dedup.signatures([comparison_form(a) for a, _ in pairs])
    right = dedup.signatures([comparison_form(b) for _, b in pairs])
    errors = [
        (one == other).mean() - jaccard(a, b)
        for one, other, (a, b) in zip(left, right, pairs, strict=True)
    ]
    assert np.abs(errors).max() < 0.16
    assert abs(np.mean(errors)) < 0.025
