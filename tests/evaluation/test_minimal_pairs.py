"""Pairs against a naive reference, with ties, groups and attractors, for models and baselines."""

import itertools
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import (
    TableModel,
    bigram_model,
    uniform_model,
    unigram_model,
)
from escada.evaluation.portuguese.agreement import Pair
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.tasks import minimal_pairs as pairs_module
from escada.evaluation.tasks.minimal_pairs import (
    MinimalPairs,
    PairScores,
    score_pairs,
)

PAIRS = [
    Pair("O vento levou o chapéu.", "O vento levaram o chapéu.", "verb", True, group="g1", id="1"),
    Pair("A roupa secou no varal.", "As roupa secou no varal.", "noun", group="g1", id="2"),
    Pair("O sol voltou.", "O sol voltaram.", "verb", group="g2", id="3", split="test"),
    Pair("Custa 30 reais.", "Custam 30 reais.", "verb", group="g3", id="4", split="test"),
    Pair("O sol voltou.", "Os sol voltou.", "noun", group="g2", id="5", split="validation"),
    Pair("As notas 日本 caíram até a margem do rio.", "As nota 日本 caíram até a margem do rio.",
         "noun", group="g4", id="6"),
]  # fmt: skip


def reference_nats(model, tokenizer, text):
    """BOS + text + EOS, one token at a time."""
    ids = tokenizer.encode(text).tolist()
    tokens = [tokenizer.bos_id, *ids, tokenizer.eos_id]
    nats, read = 0.0, []
    for previous, target in itertools.pairwise(tokens):
        if model.context_tokens is not None and len(read) == model.context_tokens:
            read = read[model.context_tokens - model.context_tokens // 2 :]
        read.append(previous)
        with torch.no_grad():
            logits_V = model(torch.tensor([read]))[0, -1].double()
        nats -= float(logits_V.log_softmax(0)[target])
    unknown = sum(token == tokenizer.unk_id for token in ids)
    return nats + unknown * tokenizer.unknown_bits * math.log(2)


@pytest.mark.parametrize("kind", ["characters", "bpe"])
@pytest.mark.parametrize("name", ["lstm", "learned", "bigram", "unigram"])
def test_a_pair_is_right_when_the_good_sentence_costs_less(tiny, tokenizers, name, kind):
    tokenizer = tokenizers[kind]
    texts = ["O vento levou a roupa até a margem do rio.", "O sol voltou."]
    if name == "bigram":
        model = bigram_model(tokenizer, texts).eval()
    elif name == "unigram":
        model = unigram_model(tokenizer, texts).eval()
    else:
        model = tiny(name, tokenizer.vocab_size).eval()
    found = score_pairs(model, tokenizer, PAIRS)
    right = []
    for i, pair in enumerate(PAIRS):
        good, bad = (reference_nats(model, tokenizer, text) for text in (pair.good, pair.bad))
        assert found.good_nats[i] == pytest.approx(good, rel=1e-5)
        assert found.bad_nats[i] == pytest.approx(bad, rel=1e-5)
        right.append(1.0 if good < bad - 1e-4 else 0.5 if abs(good - bad) < 1e-4 else 0.0)
    assert found.right.tolist() == right
    assert found.summary().accuracy == pytest.approx(sum(right) / len(right))


def scores(right, pairs=PAIRS):
    right = np.array(right, dtype=np.float64)
    return PairScores(pairs, right, right, right, "document/carried-state", None)


def test_two_sentences_that_cost_the_same_are_half_right(tokenizers):
    tokenizer = tokenizers["characters"]
    pairs = [Pair("levou o", "o levou"), Pair("日 sim", "本 sim"), Pair("sim", "simsim")]
    found = score_pairs(uniform_model(tokenizer), tokenizer, pairs)
    assert found.right.tolist() == [0.5, 0.5, 1.0]
    assert found.summary().ties == 2


def test_rounding_is_no_reason_to_prefer_a_sentence(tokenizers):
    tokenizer = tokenizers["characters"]
    alike = [Pair("日 sim" + "a" * i, "本 sim" + "a" * i) for i in range(40)]
    table = np.random.default_rng(0).normal(size=(tokenizer.vocab_size,) * 2)
    assert set(score_pairs(TableModel(table), tokenizer, alike).right.tolist()) == {0.5}


def test_figures_by_phenomenon_split_and_attractor_are_counted_by_hand():
    found = scores([1, 0, 0.5, 1, 1, 0]).summary()
    assert found.accuracy == pytest.approx(3.5 / 6)
    by_phenomenon = found.by_phenomenon
    assert by_phenomenon["verb"].accuracy == pytest.approx(2.5 / 3)
    assert by_phenomenon["noun"].accuracy == pytest.approx(1 / 3)
    assert (by_phenomenon["verb"].pairs, by_phenomenon["verb"].groups) == (3, 3)
    assert (by_phenomenon["noun"].pairs, by_phenomenon["noun"].groups) == (3, 3)
    by_attractor = found.by_attractor  # nouns have none: they do not count
    assert by_attractor["with"].accuracy == 1
    assert by_attractor["with"].ci95 is None  # one group
    assert by_attractor["without"].accuracy == pytest.approx(0.75)
    assert by_attractor["without"].pairs == 2
    assert {name: share.accuracy for name, share in found.by_split.items()} == {
        "test": 0.75,
        "validation": 1,
    }
    summary = json.loads(json.dumps(found.to_json()))
    assert summary["pairs"] == 6
    assert summary["ties"] == 1
    assert set(summary["by_phenomenon"]["verb"]) == {
        *("accuracy", "ci95", "pairs", "groups", "effective_groups", "alone")
    }


def test_the_interval_divides_no_group():
    right = np.array([1, 0, 0.5, 1, 1, 0])
    found = scores(right).summary()
    groups = [pair.group for pair in PAIRS]
    expected = estimate(Items(["file"] * 6, groups, right, np.ones(6), questions=True))
    assert found.ci95 == expected.share_ci95
    assert found.effective_groups == expected.effective_groups < 6
    low, high = found.ci95
    assert low < found.accuracy < high


def test_rows_hold_the_pair_and_its_sums(tokenizers):
    tokenizer = tokenizers["characters"]
    found = score_pairs(uniform_model(tokenizer), tokenizer, PAIRS)
    row = next(found.rows())
    assert row["good"] == PAIRS[0].good
    assert row["good_nats"] == pytest.approx(
        (len(PAIRS[0].good) + 1) * math.log(tokenizer.vocab_size), rel=1e-6
    )
    assert row["right"] == 1.0


def test_a_sentence_of_several_pairs_is_read_once(tokenizers, monkeypatch):
    read = []
    score_documents = pairs_module.score_documents

    def spy(model, tokenizer, documents, **options):
        read.extend(document.text for document in documents)
        return score_documents(model, tokenizer, documents, **options)

    monkeypatch.setattr(pairs_module, "score_documents", spy)
    score_pairs(uniform_model(tokenizers["bytes"]), tokenizers["bytes"], PAIRS)
    assert len(read) == len(set(read)) == 11


def test_no_pair_is_one_clear_error(tokenizers):
    with pytest.raises(EscadaError, match="no pair"):
        score_pairs(uniform_model(tokenizers["bytes"]), tokenizers["bytes"], [])


def test_a_baseline_learns_what_its_training_text_shows(corpus):
    from escada.evaluation.baselines.byte_ngrams import character_tokenizer

    training = [document.text for document in corpus.documents("train")]
    tokenizer = character_tokenizer(training)
    asked = [Pair("o livro azul", "oo livro azul")]
    found = score_pairs(bigram_model(tokenizer, training), tokenizer, asked).summary()
    assert found.accuracy == 1
    assert found.protocol == "document/carried-state"


def test_a_corpus_without_pairs_is_refused_before_anything_is_read(corpus):
    with pytest.raises(EscadaError, match="--file"):
        MinimalPairs().depends_on(SimpleNamespace(corpus=corpus))
