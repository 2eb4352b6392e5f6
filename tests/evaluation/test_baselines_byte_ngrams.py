"""The baselines are sound distributions, counted as by hand, and worse than they look."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from escada.evaluation.baselines import byte_ngrams
from escada.evaluation.baselines.byte_ngrams import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.text.documents import Document

TEXTS = ["abab", "abc abc ab", "ba", "cab cab", "xaa"]
TOKENIZER = character_tokenizer(TEXTS)  # x occurs once: UNK


def probabilities(model):
    return np.exp(model.logits_KV.detach().double().numpy())


def test_every_row_is_a_distribution_with_nothing_impossible_but_bos():
    for build in (unigram_model, bigram_model):
        table = probabilities(build(TOKENIZER, TEXTS))
        np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-6)
        others = np.delete(table, TOKENIZER.bos_id, axis=1)
        assert others.min() > 1e-3
        assert table[:, TOKENIZER.bos_id].max() < 1e-8


def test_unigram_probabilities_are_the_counts_plus_one():
    counts = Counter("".join(TEXTS))
    table = probabilities(unigram_model(TOKENIZER, TEXTS))[0]
    total = sum(counts.values()) + len(TEXTS) + TOKENIZER.vocab_size - 1
    for character in "abc ":
        token = TOKENIZER.encode(character)[0]
        assert table[token] == pytest.approx((counts[character] + 1) / total, rel=1e-6)
    assert table[TOKENIZER.eos_id] == pytest.approx((len(TEXTS) + 1) / total, rel=1e-6)
    assert table[TOKENIZER.unk_id] == pytest.approx((1 + 1) / total, rel=1e-6)


def test_bigram_probabilities_are_witten_and_bells_by_hand():
    """After b: a 2 (abab, ba), c 2, EOS 3 (abab, ab, and cab), space 1 (cab cab): 8 in 4 kinds."""
    unigram = probabilities(unigram_model(TOKENIZER, TEXTS))[0]
    table = probabilities(bigram_model(TOKENIZER, TEXTS))
    a, b, c, space = (int(i) for i in TOKENIZER.encode("abc "))
    seen = {a: 2, c: 2, TOKENIZER.eos_id: 3, space: 1}
    for token in (a, b, c, space, TOKENIZER.eos_id, TOKENIZER.unk_id):
        expected = (seen.get(token, 0) + 4 * unigram[token]) / (8 + 4)
        assert table[b, token] == pytest.approx(expected, rel=1e-6)


def test_a_context_never_seen_is_the_unigram_model():
    unigram = probabilities(unigram_model(TOKENIZER, TEXTS))[0]
    table = probabilities(bigram_model(TOKENIZER, TEXTS))
    np.testing.assert_allclose(table[TOKENIZER.eos_id], unigram, rtol=1e-5)


def test_the_ruler_charges_a_bigram_what_its_table_says():
    model = bigram_model(TOKENIZER, TEXTS)
    table = probabilities(model)
    text = "abcz a"  # z is unknown
    ids = [TOKENIZER.bos_id, *TOKENIZER.encode(text).tolist(), TOKENIZER.eos_id]
    bits = -sum(math.log2(table[i, j]) for i, j in itertools.pairwise(ids))
    scores = score_documents(model, TOKENIZER, [Document("d", "s", "g", text)])
    assert bits_per_byte(scores) == pytest.approx((bits + TOKENIZER.unknown_bits) / 6, rel=1e-6)


@pytest.mark.parametrize("build", [bigram_model, unigram_model, lambda t, _: uniform_model(t)])
def test_a_table_is_scored_as_the_ruler_scores_its_rows_of_logits(build, monkeypatch):
    monkeypatch.setattr(byte_ngrams, "_COUNTED_CHARACTERS", 12)  # several batches
    model = build(TOKENIZER, TEXTS)
    texts = ["abcz a", "", "cab", "bbbbzzaccb", "a"]
    documents = [Document(f"d{i}", f"s{i % 2}", f"g{i}", text) for i, text in enumerate(texts)]
    found = model.score(TOKENIZER, iter(documents))
    expected = score_documents(model, TOKENIZER, documents)
    np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-13)
    for name in ("ids", "sources", "groups", "protocol", "context_tokens"):
        assert getattr(found, name) == getattr(expected, name)
    for name in ("bytes", "tokens", "correct", "unknown"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
    assert len(model.score(TOKENIZER, [])) == 0


def test_more_context_is_fewer_bits(corpus):
    training = [d.text for d in corpus.documents("train")]
    held_out = list(corpus.documents("test"))
    tokenizer = character_tokenizer(training)
    uniform, unigram, bigram = (
        bits_per_byte(score_documents(model, tokenizer, held_out))
        for model in (
            uniform_model(tokenizer),
            unigram_model(tokenizer, training),
            bigram_model(tokenizer, training),
        )
    )
    assert bigram < unigram - 0.5 < uniform - 1.0


def test_noise_scores_log2_v_under_its_own_model():
    model = uniform_model(TOKENIZER)
    settings = SamplerSettings(temperature=1.0, top_p=None)
    (noise,) = generate(model, TOKENIZER, [""], settings, max_tokens=200, profile="reference")
    assert noise.bits_per_token == pytest.approx(math.log2(TOKENIZER.vocab_size))
