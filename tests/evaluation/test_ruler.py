"""The ruler against a slow, obvious reference: one token at a time, in plain Python."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.evaluation import ruler, scoring
from escada.evaluation.baselines.byte_ngrams import TableModel, uniform_model
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.evaluation.scoring import windows_of
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.text.documents import Document

MODELS = ["lstm", "gru", "sinusoidal", "learned"]
KINDS = ["characters", "bytes", "bpe", "unigram"]


def reference_charges(model, tokens, window):
    """Nats of each token after the first, and the model's guess there.

    With a window W, the context grows to W tokens; then its older half is dropped, and so on.
    """
    context = []
    for before, target in itertools.pairwise(tokens):
        if window is not None and len(context) == window:
            context = context[window - window // 2 :]
        context.append(before)
        with torch.no_grad():
            logits = [float(x) for x in model(torch.tensor([context]))[0, -1]]
        top = max(logits)
        log_sum = top + math.log(math.fsum(math.exp(x - top) for x in logits))
        yield target, log_sum - logits[target], logits.index(top)


def reference_score(model, tokenizer, text, window):
    """Nats, tokens, right guesses and unknown characters of one document."""
    tokens = [tokenizer.bos_id, *tokenizer.encode(text).tolist(), tokenizer.eos_id]
    nats, correct, unknown = 0.0, 0, 0
    for target, charge, guess in reference_charges(model, tokens, window):
        nats += charge
        if target == tokenizer.unk_id:
            unknown += 1
            nats += tokenizer.unknown_bits * math.log(2)
        elif guess == target:
            correct += 1
    return nats, len(tokens) - 1, correct, unknown


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", MODELS)
def test_the_ruler_agrees_with_the_slow_reference(tiny, tokenizers, documents, name, kind):
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size).eval()
    scores = score_documents(model, tokenizer, documents)
    total_nats = 0.0
    for i, document in enumerate(documents):
        nats, tokens, correct, unknown = reference_score(
            model, tokenizer, document.text, model.context_tokens
        )
        assert scores.nats[i] == pytest.approx(nats, rel=1e-5)
        assert scores.tokens[i] == tokens
        assert scores.correct[i] == correct
        assert scores.unknown[i] == unknown
        assert scores.bytes[i] == len(document.text.encode())
        total_nats += nats
    total_bytes = sum(len(d.text.encode()) for d in documents)
    assert bits_per_byte(scores) == pytest.approx(total_nats / math.log(2) / total_bytes, rel=1e-6)
    assert (scores.unknown.sum() > 0) == (kind == "characters")
    carried = model.context_tokens is None
    assert scores.protocol == ("document/carried-state" if carried else "document/half-window")
    assert scores.context_tokens == model.context_tokens
    assert scores.ids == [d.id for d in documents]


def test_a_shorter_window_than_the_models_agrees_with_the_reference(tiny, tokenizers, documents):
    tokenizer = tokenizers["bpe"]
    model = tiny("sinusoidal", tokenizer.vocab_size).eval()
    for window in (2, 5, 11):
        scores = score_documents(model, tokenizer, documents, context_tokens=window)
        expected = [reference_score(model, tokenizer, d.text, window)[0] for d in documents]
        np.testing.assert_allclose(scores.nats, expected, rtol=1e-5)
        assert scores.context_tokens == window


@pytest.mark.parametrize("name", MODELS)
def test_batch_size_changes_the_figure_by_less_than_a_millionth(
    tiny, tokenizers, documents, name, monkeypatch
):
    tokenizer = tokenizers["bpe"]
    model = tiny(name, tokenizer.vocab_size)
    figures = []
    for batch_tokens, rows in ((None, 64), (1, 1), (7, 2), (40, 3), (100_000, 64)):
        monkeypatch.setitem(scoring.CARRIED_ROWS, "cpu", rows)
        scores = score_documents(model, tokenizer, documents, batch_tokens=batch_tokens)
        figures.append(scores.nats)
    for nats in figures[1:]:
        np.testing.assert_allclose(nats, figures[0], rtol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_documents_are_streamed_a_few_at_a_time(tiny, tokenizers, documents, name, monkeypatch):
    tokenizer = tokenizers["bpe"]
    model = tiny(name, tokenizer.vocab_size)
    at_once = score_documents(model, tokenizer, documents)
    monkeypatch.setattr(ruler, "TEXT_BYTES", 60)
    asked = []
    encode_batch = tokenizer.encode_batch

    def encoding(texts):
        asked.append(sum(len(text.encode()) for text in texts))
        return encode_batch(texts)

    monkeypatch.setattr(tokenizer, "encode_batch", encoding)
    streamed = score_documents(model, tokenizer, iter(documents))
    longest = max(document.n_bytes for document in documents)
    assert len(asked) > 2
    assert max(asked) <= max(60, longest)
    np.testing.assert_allclose(streamed.nats, at_once.nats, rtol=1e-6)
    for column in ("ids", "sources", "groups", "protocol", "context_tokens"):
        assert getattr(streamed, column) == getattr(at_once, column)
    for column in ("bytes", "tokens", "correct", "unknown"):
        assert getattr(streamed, column).tolist() == getattr(at_once, column).tolist()


def test_no_documents_have_no_scores(tiny, tokenizers):
    scores = score_documents(tiny("gru", tokenizers["bytes"].vocab_size), tokenizers["bytes"], [])
    assert (len(scores), scores.protocol) == (0, "document/carried-state")


def test_the_order_of_the_documents_changes_nothing(tiny, tokenizers, documents):
    model = tiny("learned", tokenizers["bytes"].vocab_size)
    forward = score_documents(model, tokenizers["bytes"], documents)
    backward = score_documents(model, tokenizers["bytes"], documents[::-1])
    np.testing.assert_allclose(backward.nats[::-1], forward.nats, rtol=1e-6)
    assert backward.ids == forward.ids[::-1]


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=5), batch=st.integers(1, 60))
@pytest.mark.parametrize(("name", "kind"), [("gru", "characters"), ("learned", "bytes")])
def test_any_documents_agree_with_the_reference(tiny, tokenizers, name, kind, texts, batch):
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size).eval()
    documents = [Document(str(i), "s", str(i), text) for i, text in enumerate(texts)]
    scores = score_documents(model, tokenizer, documents, batch_tokens=batch)
    for document, nats, unknown in zip(documents, scores.nats, scores.unknown, strict=True):
        expected = reference_score(model, tokenizer, document.text, model.context_tokens)
        assert nats == pytest.approx(expected[0], rel=1e-5)
        assert unknown == expected[3]


@given(st.integers(2, 400), st.integers(2, 64))
def test_windows_score_each_target_once_with_half_a_window_of_context(length, window):
    scored = []
    for w in windows_of(length, window):
        assert 0 <= w.start < w.first_target <= w.stop < length
        assert w.stop - w.start <= window
        for target in range(w.first_target, w.stop + 1):
            scored.append(target)
            assert w.start == 0 or target - w.start > window // 2
    assert scored == list(range(1, length))


def test_a_document_within_the_window_is_read_once():
    assert len(list(windows_of(17, 16))) == 1
    assert len(list(windows_of(18, 16))) == 2


def test_a_uniform_model_costs_log2_v_a_token_by_hand(tokenizers):
    tokenizer = tokenizers["bytes"]
    document = Document("d", "s", "g", "ação")  # 4 characters, 6 bytes, 7 targets with EOS
    scores = score_documents(uniform_model(tokenizer), tokenizer, [document])
    assert scores.tokens.tolist() == [7]
    assert scores.bytes.tolist() == [6]
    assert bits_per_byte(scores) == pytest.approx(7 * math.log2(tokenizer.vocab_size) / 6, rel=1e-7)


def test_an_unknown_character_costs_unk_and_the_bits_that_name_it(tokenizers):
    tokenizer = tokenizers["characters"]
    assert tokenizer.unknown_bits == math.log2(1_112_064 - (tokenizer.vocab_size - 3))
    known, strange = (Document(t, "s", t, t) for t in ("o rio", "o r日o"))
    scores = score_documents(uniform_model(tokenizer), tokenizer, [known, strange])
    assert scores.unknown.tolist() == [0, 1]
    extra = (scores.nats[1] - scores.nats[0]) / math.log(2)
    assert extra == pytest.approx(tokenizer.unknown_bits)


def test_guessing_unk_right_is_not_counted_as_a_right_guess(tokenizers):
    tokenizer = tokenizers["characters"]
    logits = np.zeros((1, tokenizer.vocab_size))
    logits[0, tokenizer.unk_id] = 5.0
    scores = score_documents(TableModel(logits), tokenizer, [Document("d", "s", "g", "日日")])
    assert scores.unknown.tolist() == [2]
    assert scores.correct.tolist() == [0]


def test_an_empty_document_pays_for_its_end(tiny, tokenizers):
    tokenizer = tokenizers["bpe"]
    model = tiny("learned", tokenizer.vocab_size)
    scores = score_documents(model, tokenizer, [Document("d", "s", "g", "")])
    assert (scores.tokens.tolist(), scores.bytes.tolist()) == ([1], [0])
    assert scores.nats[0] > 0
    with pytest.raises(EscadaError, match="no text"):
        bits_per_byte(scores)


def test_no_documents_are_no_text(tiny, tokenizers):
    for name in ("gru", "learned"):
        model = tiny(name, tokenizers["bytes"].vocab_size)
        with pytest.raises(EscadaError, match="no text"):
            bits_per_byte(score_documents(model, tokenizers["bytes"], []))


@pytest.mark.parametrize("name", ["gru", "sinusoidal"])
@pytest.mark.parametrize("prompt", ["Era uma vez", ""])
def test_a_samples_bits_per_token_are_what_the_ruler_charges_for_it(tiny, tokenizers, name, prompt):
    """Decoding and ruler cut contexts alike."""
    tokenizer = tokenizers["bytes"]
    model = tiny(name, tokenizer.vocab_size).eval()
    sampler = SamplerSettings(temperature=1.0, top_p=None)
    (sample,) = generate(model, tokenizer, [prompt], sampler, max_tokens=50, profile="reference")
    tokens = [tokenizer.bos_id, *tokenizer.encode(prompt).tolist(), *sample.ids]
    charges = [nats for _, nats, _ in reference_charges(model, tokens, model.context_tokens)]
    expected = sum(charges[sample.prompt_tokens - 1 :]) / math.log(2) / len(sample.ids)
    assert sample.bits_per_token == pytest.approx(expected, rel=1e-5)


def test_scoring_leaves_the_model_as_it_was(tiny, tokenizers, documents):
    tokenizer = tokenizers["bytes"]
    model = tiny("lstm", tokenizer.vocab_size).train()
    first = score_documents(model, tokenizer, documents)
    assert model.training
    assert torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())
    second = score_documents(model.eval(), tokenizer, documents)
    assert not model.training
    assert (first.nats == second.nats).all()  # dropout of 0.5 played no part


def test_the_mode_is_restored_after_an_error_too(tiny, tokenizers, documents, monkeypatch):
    model = tiny("lstm", tokenizers["bytes"].vocab_size).train()

    def fail(*args):
        raise RuntimeError

    monkeypatch.setattr(model, "advance", fail)
    with pytest.raises(RuntimeError):
        score_documents(model, tokenizers["bytes"], documents)
    assert model.training


def test_autocast_does_not_reach_the_ruler(tiny, tokenizers, documents):
    tokenizer = tokenizers["bytes"]
    model = tiny("sinusoidal", tokenizer.vocab_size)
    plain = score_documents(model, tokenizer, documents)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        within = score_documents(model, tokenizer, documents)
    assert (plain.nats == within.nats).all()


def test_a_score_that_is_not_finite_names_the_document(tokenizers):
    tokenizer = tokenizers["bytes"]
    logits = np.zeros((tokenizer.vocab_size,) * 2)
    logits[tokenizer.encode("z")[0]] = np.nan
    documents = [Document(t, "s", t, t) for t in ("abc", "azb")]
    with pytest.raises(EscadaError, match=r"not a finite number \(document azb\)"):
        score_documents(TableModel(logits), tokenizer, documents)


@pytest.mark.parametrize("window", [1, 17, 0, -3])
def test_a_window_that_the_model_cannot_read_is_an_error(tiny, tokenizers, documents, window):
    model = tiny("sinusoidal", tokenizers["bytes"].vocab_size)
    with pytest.raises(EscadaError, match=f"context_tokens is {window}"):
        score_documents(model, tokenizers["bytes"], documents, context_tokens=window)


def test_a_model_with_a_state_has_no_use_for_a_window(tiny, tokenizers, documents):
    model = tiny("gru", tokenizers["bytes"].vocab_size)
    free = score_documents(model, tokenizers["bytes"], documents)
    asked = score_documents(model, tokenizers["bytes"], documents, context_tokens=8)
    assert (free.nats == asked.nats).all()
    assert asked.context_tokens is None


def test_one_forward_pass_stays_within_its_tokens(tiny, tokenizers, documents, monkeypatch):
    tokenizer = tokenizers["bytes"]
    for name, method in (("gru", "advance"), ("learned", "forward")):
        model = tiny(name, tokenizer.vocab_size)
        sizes = []
        original = getattr(model, method)

        def counting(ids_BT, *state, original=original, sizes=sizes):
            sizes.append(ids_BT.numel())
            return original(ids_BT, *state)

        monkeypatch.setattr(model, method, counting)
        score_documents(model, tokenizer, documents, batch_tokens=64)
        assert max(sizes) <= 64
