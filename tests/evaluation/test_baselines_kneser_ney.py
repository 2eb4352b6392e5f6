"""The Kneser-Ney baseline gives what the model gives that holds all n-grams in tables."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from escada.evaluation.baselines import joint_ngrams, kneser_ney
from escada.evaluation.baselines.byte_ngrams import character_tokenizer
from escada.evaluation.baselines.joint_ngrams import JointCounter, token_stream
from escada.evaluation.baselines.kneser_ney import Asked, KneserNeyBaseline
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.models.ngrams.counting import NOT_SEEN, count_ngrams
from escada.models.ngrams.kneser_ney import KneserNey, NgramTable, ngram_rows, single_tokens
from escada.text.documents import Document

TEXTS = [
    "a menina viu o carteiro",
    "o carteiro viu a menina na praça",
    "na praça a chuva caiu",
    "a chuva caiu na menina e no carteiro",
    "caiu a noite; o carteiro não viu nada",
    "",
    "a",
]
HELD_OUT = ["o carteiro caiu na chuva", "a", "", "à noite a menina viu Ω", "xyz"]
TOKENIZER = character_tokenizer(TEXTS)
V, BOS, EOS, UNK = TOKENIZER.vocab_size, TOKENIZER.bos_id, TOKENIZER.eos_id, TOKENIZER.unk_id
LETTERS = character_tokenizer(["abc" * 3])

short_texts = st.lists(st.text("abcd", max_size=12), max_size=8)
"""Few letters, so that n-grams occur again; d is unknown."""


def levels_of(tokenizer, texts, longest):
    ids_T = token_stream(tokenizer, texts).astype(np.int64)
    return count_ngrams(ids_T, tokenizer.vocab_size, tokenizer.bos_id, longest)


def probabilities(levels, tokenizer, texts, order):
    """Of every token of the texts, from tables of all n-grams, in float64."""
    ids_T = token_stream(tokenizer, texts).astype(np.int64)
    lengths = ngram_rows(levels[:order], ids_T[None], np.full((1, order), NOT_SEEN))
    rows_T = next(lengths)[0]
    p_T = single_tokens(levels[0], tokenizer.bos_id)[ids_T]
    for length, (longer_T,) in enumerate(lengths, start=2):
        contexts_T = np.concatenate([[NOT_SEEN], rows_T[:-1]])
        table = NgramTable.of(levels, length, longest=length == order)
        p_T = table.interpolate(p_T, contexts_T, longer_T)
        rows_T = longer_T
    return ids_T, p_T


def nats_of(levels, tokenizer, texts, order):
    """Of each text, from BOS to EOS."""
    ids_T, p_T = probabilities(levels, tokenizer, texts, order)
    price = tokenizer.unknown_bits * math.log(2)
    nats_T = np.where(ids_T == tokenizer.bos_id, 0, -np.log(p_T))
    nats_T += (ids_T == tokenizer.unk_id) * price
    return np.add.reduceat(nats_T, np.flatnonzero(ids_T == tokenizer.bos_id))


def baseline(order, texts=TEXTS, tokenizer=TOKENIZER):
    return KneserNeyBaseline(tokenizer, texts, [], order=order)


@pytest.fixture(params=[3, 2**21])
def slices(request, monkeypatch):
    """Contexts sorted a few at a time, and all at once."""
    monkeypatch.setattr(joint_ngrams, "SLICE_PLACES", request.param)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("order", [2, 3, 5, 12])
def test_every_text_costs_what_tables_of_all_ngrams_charge(order):
    found = baseline(order).score(map(Asked, HELD_OUT))
    expected = nats_of(levels_of(TOKENIZER, TEXTS, order), TOKENIZER, HELD_OUT, order)
    np.testing.assert_allclose(found.nats, expected, rtol=1e-12)
    assert found.tokens.tolist() == [len(text) + 1 for text in HELD_OUT]
    assert found.unknown.tolist() == [
        TOKENIZER.encode(text).tolist().count(UNK) for text in HELD_OUT
    ]


@given(short_texts, short_texts.filter(bool), st.integers(2, 9), st.sampled_from([1, 4, 2**21]))
def test_any_texts_cost_what_tables_of_all_ngrams_charge(texts, held_out, order, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_ngrams, "SLICE_PLACES", size)
        found = baseline(order, ["a" * 12, *texts], LETTERS).score(map(Asked, held_out))
    levels = levels_of(LETTERS, ["a" * 12, *texts], order)
    expected = nats_of(levels, LETTERS, held_out, order)
    np.testing.assert_allclose(found.nats, expected, rtol=1e-12)


@given(short_texts, short_texts, st.sampled_from([2, 2**21]))
def test_counts_are_those_of_the_tables(texts, held_out, size):
    levels = levels_of(LETTERS, ["a" * 12, *texts], 8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint_ngrams, "SLICE_PLACES", size)
        streams = token_stream(LETTERS, ["a" * 12, *texts]), token_stream(LETTERS, held_out)
        counter = JointCounter(*streams, LETTERS.vocab_size, LETTERS.bos_id, LETTERS.eos_id)
        lengths = [counter.count() for _ in levels[1:]]
    assert counter.counts_V.tolist() == levels[0].counts_N.tolist()
    assert counter.kinds_V.tolist() == levels[0].kinds_N.tolist()
    for length, level in zip(lengths, levels[1:], strict=True):
        assert length.distinct == len(level)
        seen = length.counts_E > 0
        for found, expected in (
            (length.counts_E, level.counts_N),
            (length.adjusted(), level.adjusted()),
        ):
            everything = np.concatenate([found[seen], np.ones(length.once)])
            assert sorted(everything.tolist()) == sorted(expected.tolist())


def test_the_ruler_finds_the_same_of_the_model_but_for_rounding():
    documents = [Document(f"d{i}", "s", f"g{i}", text) for i, text in enumerate(HELD_OUT)]
    fitted = KneserNeyBaseline(TOKENIZER, TEXTS, HELD_OUT, orders=(2, 6))
    fitted.score([Asked("a")])
    levels = levels_of(TOKENIZER, TEXTS, 6)
    assert list(fitted.figures) == [2, 3, 4, 5, 6]
    for order, figure in fitted.figures.items():
        model = KneserNey(levels, BOS, order)
        scores = score_documents(model, TOKENIZER, documents)
        assert figure == pytest.approx(bits_per_byte(scores), rel=1e-7)
        assert fitted.parameters[order] == model.parameter_count()


@pytest.mark.parametrize(("validation", "best"), [(TEXTS, 6), (["nhoc. au ;aivtm"], 2)])
def test_the_order_is_the_one_that_suits_validation_documents(validation, best):
    fitted = KneserNeyBaseline(TOKENIZER, TEXTS, validation, orders=(2, 6))
    found = fitted.score([Asked(text, 1) for text in HELD_OUT])
    assert fitted.order == min(fitted.figures, key=fitted.figures.get) == best
    expected = baseline(best).score([Asked(text, 1) for text in HELD_OUT])
    np.testing.assert_array_equal(found.nats, expected.nats)
    for i, one in found.last.items():
        np.testing.assert_array_equal(one.nats, expected.last[i].nats)
        np.testing.assert_array_equal(one.chosen, expected.last[i].chosen)


@pytest.mark.usefixtures("slices")
@pytest.mark.parametrize("order", [2, 4, 9])
def test_the_first_choice_is_that_of_the_model(order):
    texts = [*HELD_OUT, "a menina caiu"]
    found = baseline(order).score(Asked(text, len(text)) for text in texts)
    model = KneserNey(levels_of(TOKENIZER, TEXTS, order), BOS, order)
    for i, text in enumerate(texts):
        ids = [BOS, *TOKENIZER.encode(text).tolist()]
        logits = model(torch.tensor([ids]))[0]
        logits[:, [BOS, UNK]] = -math.inf
        if text:
            assert found.last[i].chosen.tolist() == logits.argmax(dim=1).tolist()
            assert found.last[i].nats.sum() == pytest.approx(found.nats[i])
        else:
            assert i not in found.last


def test_nats_of_the_last_tokens_are_those_of_the_text_less_those_of_its_beginning():
    whole = Asked("a menina viu", 3)
    found = baseline(4).score([Asked("a menina "), Asked("o"), whole])
    last = found.last[2].nats
    assert len(last) == 4  # v, i, u, EOS
    _, p_T = probabilities(levels_of(TOKENIZER, TEXTS, 4), TOKENIZER, [whole.text], 4)
    np.testing.assert_allclose(last, -np.log(p_T[-4:]), rtol=1e-12)


def test_passes_over_the_training_text_change_nothing(monkeypatch):
    asked = [Asked(text, len(text) // 2) for text in (*HELD_OUT, *TEXTS)]
    whole = baseline(5).score(asked)
    monkeypatch.setattr(kneser_ney, "PASS_TOKENS", 30)
    heard = []
    pieces = baseline(5)
    pieces.progress = heard.append
    found = pieces.score(iter(asked))
    np.testing.assert_array_equal(found.nats, whole.nats)
    assert found.last.keys() == whole.last.keys()
    for i, one in whole.last.items():
        np.testing.assert_array_equal(found.last[i].nats, one.nats)
        np.testing.assert_array_equal(found.last[i].chosen, one.chosen)
    assert heard == sorted(heard)
    assert heard[-1] >= found.tokens.sum()


def test_nothing_asked_is_nothing_scored():
    found = baseline(3).score([])
    assert (len(found.nats), len(found.tokens), found.last) == (0, 0, {})
