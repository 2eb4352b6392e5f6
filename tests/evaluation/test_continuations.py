"""Continuations against the slow reference, and against the ruler that charges whole documents."""

import itertools
import math

import numpy as np
import pytest
import torch

from escada.errors import EscadaError
from escada.evaluation import scoring
from escada.evaluation.baselines.byte_ngrams import TableModel, bigram_model
from escada.evaluation.continuations import score_continuations
from escada.evaluation.ruler import score_documents

MODELS = ["lstm", "gru", "sinusoidal", "learned"]
KINDS = ["characters", "bytes", "bpe", "unigram"]
ASKED = [
    ("O vento levou", " o chapéu do carteiro até a margem do rio."),
    ("", "A menina"),
    ("O sol voltou e a roupa secou no varal. " * 3, "Choveu"),
    ("O vent", "o levou"),  # a subword may reach across
    ("Preço: 日本", " ≠ 30 reais"),
    ("O rio", ""),
    ("A", "b"),
]


def reference(model, tokenizer, context, continuation, window, with_eos):
    """Nats, tokens and whether greedy, one token at a time."""
    before = tokenizer.encode(context).tolist()
    ids = tokenizer.encode(context + continuation).tolist()
    common = 0
    while common < min(len(before), len(ids)) and before[common] == ids[common]:
        common += 1
    tokens = [tokenizer.bos_id, *ids, *([tokenizer.eos_id] if with_eos else [])]
    read, nats, count, greedy = [], 0.0, 0, True
    for place, (previous, target) in enumerate(itertools.pairwise(tokens)):
        if window is not None and len(read) == window:
            read = read[window - window // 2 :]
        read.append(previous)
        if place < common:
            continue
        with torch.no_grad():
            logits = model(torch.tensor([read]))[0, -1].double().tolist()
        top = max(logits)
        nats += top + math.log(math.fsum(math.exp(x - top) for x in logits)) - logits[target]
        count += 1
        if target == tokenizer.unk_id:
            nats += tokenizer.unknown_bits * math.log(2)
        greedy &= logits.index(top) == target and target != tokenizer.unk_id
    return nats, count, greedy


@pytest.mark.parametrize("with_eos", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_a_continuation_costs_what_the_slow_reference_charges(
    tiny, tokenizers, monkeypatch, name, kind, with_eos
):
    monkeypatch.setattr(scoring, "CARRIED_TOKENS", 7)
    monkeypatch.setattr(scoring, "BATCH_TOKENS", {"cpu": 40})
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size).eval()
    found = score_continuations(
        model, tokenizer, [a for a, _ in ASKED], [b for _, b in ASKED], with_eos=with_eos
    )
    for one, (context, continuation) in zip(found, ASKED, strict=True):
        nats, count, greedy = reference(
            model, tokenizer, context, continuation, model.context_tokens, with_eos
        )
        assert one.nats == pytest.approx(nats, rel=1e-5, abs=1e-6)
        assert (one.tokens, one.greedy) == (count, greedy)


@pytest.mark.parametrize("name", ["lstm", "sinusoidal"])
def test_an_empty_context_with_eos_costs_what_the_ruler_charges(tiny, tokenizers, documents, name):
    tokenizer = tokenizers["characters"]
    model = tiny(name, tokenizer.vocab_size).eval()
    texts = [document.text for document in documents]
    found = score_continuations(model, tokenizer, [""] * len(texts), texts, with_eos=True)
    scores = score_documents(model, tokenizer, documents)
    np.testing.assert_allclose([one.nats for one in found], scores.nats, rtol=1e-6)
    assert [one.tokens for one in found] == scores.tokens.tolist()


def test_what_a_model_writes_greedily_is_told_from_what_it_would_not(tokenizers):
    tokenizer = tokenizers["characters"]
    a, b = tokenizer.encode("oe").tolist()
    table = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    table[a, b] = table[b, a] = 9
    found = score_continuations(TableModel(table), tokenizer, ["o"] * 2, ["eoe", "eoo"])
    assert [one.greedy for one in found] == [True, False]
    assert found[0].nats < found[1].nats


def test_the_model_is_left_in_the_mode_it_came_in(tiny, tokenizers):
    model = tiny("lstm", tokenizers["bytes"].vocab_size)
    assert model.training
    score_continuations(model, tokenizers["bytes"], ["a"], ["b"])
    assert model.training


def test_a_score_that_is_not_finite_names_the_text(tokenizers):
    tokenizer = tokenizers["characters"]
    model = bigram_model(tokenizer, ["O vento levou"] * 3)
    with torch.no_grad():
        model.logits_KV[:] = float("nan")
    with pytest.raises(EscadaError, match="levou"):
        score_continuations(model, tokenizer, ["O vento"], [" levou"])
