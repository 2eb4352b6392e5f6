"""The window protocol against a naive loop: one window at a time, the sums in plain Python."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from escada.errors import EscadaError
from escada.evaluation import windows
from escada.evaluation.baselines.byte_ngrams import TableModel, uniform_model
from escada.evaluation.sampling import proportionally
from escada.evaluation.statistics import Items, estimate
from escada.evaluation.tasks.windows import summarise_windows
from escada.evaluation.windows import WindowSettings, default_settings, score_windows
from escada.models.contract import build_model
from escada.spec import load_spec, rung_names
from escada.text.documents import Document

LN2 = math.log(2)


def figures(scores, tokenizer):
    return summarise_windows(
        scores, tokenizer, profile="reference", corpus_hash="c0ffee", split="test"
    )


def charge(logits, target):
    """Nats of a target, and whether it was the first choice."""
    top = max(logits)
    log_sum = top + math.log(math.fsum(math.exp(x - top) for x in logits))
    return log_sum - logits[target], logits.index(top) == target


class Naive:
    """What the protocol says, done slowly; a list entry for each scored target."""

    def __init__(self, model, tokenizer, documents, settings):
        stream, owner = [], []
        self.all_groups = [(document.source, document.group) for document in documents]
        for document in documents:
            ids = [tokenizer.bos_id, *tokenizer.encode(document.text).tolist(), tokenizer.eos_id]
            stream += ids
            owner += [(document.source, document.group)] * len(ids)
        width, bos = settings.window_tokens, tokenizer.bos_id
        starts = range(0, len(stream) - width, settings.window_stride)
        kept = [start for start in starts if stream[start + width] != bos]
        self.left_out, self.available = len(starts) - len(kept), len(kept)
        if len(kept) > settings.max_windows:
            n = settings.max_windows
            kept = [kept[i * len(kept) // n] for i in range(n)]
        self.windows, self.nats, self.correct, self.groups = len(kept), [], [], []
        positions = range(width) if settings.score == "all" else [width - 1]
        for start in kept:
            with torch.no_grad():
                rows_TV = model(torch.tensor([stream[start : start + width]]))[0].tolist()
            for t in positions:
                target = stream[start + t + 1]
                if target != bos:
                    nats, right = charge(rows_TV[t], target)
                    self.nats.append(nats)
                    self.correct.append(right)
                    self.groups.append(owner[start + t + 1])
        self.loss = math.fsum(self.nats) / len(self.nats)
        self.accuracy = sum(self.correct) / len(self.correct)


def assert_agrees(found, naive):
    assert found.loss == pytest.approx(naive.loss, rel=1e-6)
    assert found.perplexity == pytest.approx(math.exp(naive.loss), rel=1e-6)
    assert found.accuracy == naive.accuracy
    assert (found.windows, found.windows_available) == (naive.windows, naive.available)
    assert found.windows_left_out == naive.left_out
    assert found.targets == len(naive.nats)
    assert found.groups == len(set(naive.groups))
    sources, groups = zip(*naive.groups, strict=True)
    ones = np.ones(len(naive.nats))
    loss = estimate(Items(sources, groups, np.array(naive.nats), ones))
    correct = np.array(naive.correct, dtype=np.float64)
    accuracy = estimate(Items(sources, groups, correct, ones, questions=True))
    assert found.loss_ci95 == pytest.approx(loss.ci95, rel=1e-5)
    assert found.accuracy_ci95 == pytest.approx(accuracy.share_ci95, rel=1e-6)
    assert found.perplexity_ci95 == pytest.approx(tuple(math.exp(x) for x in found.loss_ci95))


def opinionated(spec, vocab_size):
    """The rung's own model, untrained, with logits that differ by 2."""
    model = build_model(spec.model, vocab_size, seed=0).eval()
    with torch.no_grad():
        spread = model(torch.arange(vocab_size)[:, None]).std(dim=-1).mean()
        model.output.weight.mul_(2 / spread)
    return model


@pytest.mark.parametrize(("rung", "kind"), [("v1", "characters"), ("v5", "bpe")])
def test_v1_and_v5_agree_with_the_naive_loop(rung, kind, tokenizers, corpus):
    spec, tokenizer = load_spec(rung, preset="laptop"), tokenizers[kind]
    model = opinionated(spec, tokenizer.vocab_size)
    documents = list(corpus.documents("test"))
    settings = replace(default_settings(spec), max_windows=150)
    scores = score_windows(model, tokenizer, documents, settings)
    assert scores.left_out > 0
    assert_agrees(figures(scores, tokenizer), Naive(model, tokenizer, documents, settings))


@pytest.mark.parametrize("score", ["last", "all"])
@pytest.mark.parametrize(
    ("width", "stride", "most"), [(1, 1, 1000), (5, 3, 1000), (9, 2, 40), (4, 11, 1000)]
)
@pytest.mark.parametrize(
    ("name", "kind"), [("lstm", "characters"), ("gru", "bytes"), ("learned", "unigram")]
)
def test_any_window_and_stride_agree_with_the_naive_loop(
    tiny, tokenizers, documents, name, kind, width, stride, most, score
):
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size).eval()
    settings = WindowSettings(width, stride, most, score)
    scores = score_windows(model, tokenizer, documents, settings, batch_tokens=60)
    assert_agrees(figures(scores, tokenizer), Naive(model, tokenizer, documents, settings))


def worked_example(tokenizers):
    """The example of docs/windows-protocol.md: two documents, `ab` and `c`."""
    tokenizer = tokenizers["bytes"]
    a, b, c = (int(tokenizer.encode(letter)[0]) for letter in "abc")
    logits = np.zeros((tokenizer.vocab_size,) * 2)
    for before, after, p in (
        (tokenizer.bos_id, c, 1 / 8),
        (a, b, 1 / 2),
        (b, tokenizer.eos_id, 1 / 4),
        (c, tokenizer.eos_id, 1 / 2),
    ):
        logits[before] = np.log((1 - p) / (tokenizer.vocab_size - 1))
        logits[before, after] = np.log(p)
    logits[b] = -np.inf  # after `b` comes `a` or the end, more likely `a`
    logits[b, a], logits[b, tokenizer.eos_id] = np.log(3 / 4), np.log(1 / 4)
    documents = [Document("1", "s", "x", "ab"), Document("2", "s", "y", "c")]
    return TableModel(logits), tokenizer, documents


def test_a_worked_example(tokenizers):
    """BOS a b EOS BOS c EOS; of the targets b, EOS, BOS, c, EOS the BOS is left out."""
    model, tokenizer, documents = worked_example(tokenizers)
    scores = score_windows(model, tokenizer, documents, WindowSettings(2, 1, 100))
    assert (scores.windows, scores.available, scores.left_out) == (4, 4, 1)
    np.testing.assert_allclose(scores.nats, [3 * LN2, 4 * LN2], rtol=1e-6)
    np.testing.assert_array_equal(scores.weights, [2, 2])
    found = figures(scores, tokenizer)
    assert found.loss == pytest.approx(7 / 4 * LN2)
    assert found.perplexity == pytest.approx(2 ** (7 / 4))
    assert found.accuracy == 3 / 4
    reach = stats.t.ppf(0.975, 1) * 0.25 * LN2  # of 1.5 and 2 bits, a document each
    assert found.loss_ci95 == pytest.approx((7 / 4 * LN2 - reach, 7 / 4 * LN2 + reach))
    assert found.perplexity_ci95 == pytest.approx(tuple(map(math.exp, found.loss_ci95)))
    assert 0 < found.accuracy_ci95[0] < 3 / 4 < found.accuracy_ci95[1] < 1


def test_all_positions_of_the_worked_example(tokenizers):
    """The same windows have the targets `a b`, `b EOS`, `BOS c` and `c EOS`; BOS is not scored."""
    model, tokenizer, documents = worked_example(tokenizers)
    scores = score_windows(model, tokenizer, documents, WindowSettings(2, 1, 100, "all"))
    assert (scores.windows, scores.targets) == (4, 7)
    first = (1 - 1 / 8) / (tokenizer.vocab_size - 1)  # `a` after BOS
    bits = [-math.log2(first) + 1 + 1 + 2, 3 + 3 + 1]
    np.testing.assert_allclose(scores.nats, np.array(bits) * LN2, rtol=1e-6)
    np.testing.assert_array_equal(scores.weights, [4, 3])


def test_a_uniform_model_has_a_perplexity_of_its_vocabulary(tokenizers, documents):
    tokenizer = tokenizers["characters"]
    scores = score_windows(
        uniform_model(tokenizer), tokenizer, documents, WindowSettings(3, 1, 10_000)
    )
    found = figures(scores, tokenizer)
    assert found.perplexity == pytest.approx(tokenizer.vocab_size)
    assert scores.unknown == sum(tokenizer.encode(d.text).tolist().count(0) for d in documents) > 0


@pytest.mark.parametrize("score", ["last", "all"])
@pytest.mark.parametrize("name", ["lstm", "sinusoidal"])
def test_the_batch_changes_the_figures_by_less_than_a_millionth(
    tiny, tokenizers, documents, name, score
):
    tokenizer = tokenizers["bpe"]
    model = tiny(name, tokenizer.vocab_size)
    settings = WindowSettings(7, 2, 1000, score)
    nats = [
        score_windows(model, tokenizer, documents, settings, batch_tokens=most).nats
        for most in (None, 1, 20, 100)
    ]
    for other in nats[1:]:
        np.testing.assert_allclose(other, nats[0], rtol=1e-6)
    assert model.training


def with_rate(monkeypatch, windows_per_second, spent=0.5):
    monkeypatch.setattr(
        windows._Reader, "calibrate", lambda self, ends_M: (windows_per_second, spent)
    )


def test_a_budget_draws_a_sample_by_source_and_records_it(tiny, tokenizers, corpus, monkeypatch):
    tokenizer = tokenizers["bytes"]
    model = tiny("gru", tokenizer.vocab_size).eval()
    documents = list(corpus.documents("test"))
    settings = WindowSettings(8, 4, 1000)
    with_rate(monkeypatch, 200.0)
    scores = score_windows(model, tokenizer, documents, replace(settings, budget_seconds=3))
    sample = scores.sample
    assert (sample.of_windows, sample.budget_seconds) == (1000, 3)
    assert sample.stratified_by == "source"
    assert set(sample.windows) == {"contos", "cartas"}
    assert sum(sample.windows.values()) == scores.windows == scores.targets
    assert 498 <= scores.windows <= 502
    whole = Naive(model, tokenizer, documents, settings)
    sources = np.array([source == "cartas" for source, _ in whole.groups], dtype=np.int64)
    drawn, weights = proportionally(sources, 500)
    found = figures(scores, tokenizer)
    for figure, values in ((found.loss, whole.nats), (found.accuracy, whole.correct)):
        expected = np.average(np.array(values, dtype=np.float64)[drawn], weights=weights)
        assert figure == pytest.approx(expected, rel=1e-6)


def test_a_budget_that_all_windows_fit_into_changes_nothing(
    tiny, tokenizers, documents, monkeypatch
):
    tokenizer = tokenizers["bytes"]
    model = tiny("gru", tokenizer.vocab_size)
    settings = WindowSettings(4, 1, 10_000)
    whole = score_windows(model, tokenizer, documents, settings)
    with_rate(monkeypatch, 1e6)
    within = score_windows(model, tokenizer, documents, replace(settings, budget_seconds=60))
    assert within.sample is None
    np.testing.assert_array_equal(within.nats, whole.nats)


@pytest.mark.parametrize("seconds", [0.1, 0.6])
def test_a_budget_for_a_handful_of_windows_is_an_error(
    tiny, tokenizers, documents, monkeypatch, seconds
):
    with_rate(monkeypatch, 500.0)
    model = tiny("gru", tokenizers["bytes"].vocab_size)
    settings = WindowSettings(4, 1, 10_000, budget_seconds=seconds)
    with pytest.raises(EscadaError, match=r"leave time for .* at least 100"):
        score_windows(model, tokenizers["bytes"], documents, settings)


def test_progress_begins_with_an_estimate_and_ends_at_the_end(tiny, tokenizers, documents):
    seen = []
    tokenizer = tokenizers["bytes"]
    score_windows(
        tiny("gru", tokenizer.vocab_size),
        tokenizer,
        documents,
        WindowSettings(4, 1, 200),
        batch_tokens=40,
        progress=seen.append,
    )
    assert [p.windows for p in seen] == list(range(0, 201, 10))
    assert all(p.of == 200 and p.windows_per_second > 0 for p in seen)
    assert seen[0].seconds_left == pytest.approx(200 / seen[0].windows_per_second)
    assert seen[-1].seconds_left == 0


def test_the_calibration_measures_a_rate(tiny, tokenizers, documents, monkeypatch):
    """A model that takes a hundredth of a second a batch of ten reads less than 1,000 a second."""
    tokenizer = tokenizers["bytes"]
    model = tiny("gru", tokenizer.vocab_size)
    quick = model.last_logits

    def slow(ids_BT):
        import time

        time.sleep(0.01)
        return quick(ids_BT)

    monkeypatch.setattr(model, "last_logits", slow)
    seen = []
    settings = WindowSettings(4, 1, 100)
    score_windows(model, tokenizer, documents, settings, batch_tokens=40, progress=seen.append)
    assert 10 < seen[0].windows_per_second < 1000


def test_the_roadmaps_settings_by_rung():
    for rung in rung_names():
        settings = default_settings(load_spec(rung))
        characters = rung in ("v1", "v2", "v3")
        expected = (160, 4, 300_000) if characters else (None, 2, 250_000)
        window = settings.window_tokens if characters else None
        assert (window, settings.window_stride, settings.max_windows) == expected
        assert settings.window_tokens == load_spec(rung).train.window_tokens
        assert (settings.score, settings.budget_seconds) == ("last", None)


@pytest.mark.parametrize("key", ["window_tokens", "window_stride", "max_windows"])
def test_a_number_below_one_is_an_error(key):
    values = {"window_tokens": 4, "window_stride": 1, "max_windows": 9, key: 0}
    with pytest.raises(EscadaError, match=f"{key} is 0"):
        WindowSettings(**values)


def test_a_window_longer_than_the_models_context_is_an_error(tiny, tokenizers, documents):
    model = tiny("learned", tokenizers["bytes"].vocab_size)
    with pytest.raises(EscadaError, match="reads 9 tokens at once, not 10"):
        score_windows(model, tokenizers["bytes"], documents, WindowSettings(10, 1, 5))


@pytest.mark.parametrize("texts", [[], ["abc"]])
def test_a_text_shorter_than_a_window_is_an_error(tiny, tokenizers, texts):
    model = tiny("gru", tokenizers["bytes"].vocab_size)
    documents = [Document(text, "s", text, text) for text in texts]
    with pytest.raises(EscadaError, match="a window and its target need 6"):
        score_windows(model, tokenizers["bytes"], documents, WindowSettings(5, 1, 5))


def test_a_score_that_is_not_finite_names_the_document(tokenizers):
    tokenizer = tokenizers["bytes"]
    logits = np.zeros((tokenizer.vocab_size,) * 2)
    logits[tokenizer.encode("z")[0]] = np.nan
    documents = [Document(t, "s", t, t) for t in ("abc", "azb")]
    with pytest.raises(EscadaError, match=r"not a finite number .*azb"):
        score_windows(TableModel(logits), tokenizer, documents, WindowSettings(2, 1, 50))


def test_fewer_than_two_groups_give_figures_without_intervals(tiny, tokenizers):
    tokenizer = tokenizers["bytes"]
    documents = [Document("d", "s", "g", "uma casa")]
    model = tiny("gru", tokenizer.vocab_size)
    found = figures(score_windows(model, tokenizer, documents, WindowSettings(2, 1, 50)), tokenizer)
    assert found.loss_ci95 is found.perplexity_ci95 is found.accuracy_ci95 is None
    assert found.loss > 0
