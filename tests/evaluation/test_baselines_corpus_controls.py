"""The controls of a climb: all there, in order, kept, and comparable with a rung."""

import math

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.evaluation.baselines import byte_ngrams, compressors, kneser_ney
from escada.evaluation.baselines.byte_ngrams import (
    bigram_model,
    character_tokenizer,
    uniform_model,
    unigram_model,
)
from escada.evaluation.baselines.corpus_controls import (
    control_scores,
    make_controls,
    read_controls,
)
from escada.evaluation.baselines.joint_ngrams import token_stream
from escada.evaluation.baselines.measurements import some_texts
from escada.evaluation.ruler import bits_per_byte, score_documents
from escada.evaluation.significance import Recipe, compare
from escada.models.ngrams.counting import count_ngrams
from escada.models.ngrams.kneser_ney import KneserNey
from escada.report.i18n import read_catalogue
from escada.text.corpus import Corpus

KEYS = ["kneser_ney", "bigram", "unigram", "uniform", "xz_train", "xz", "zstd_dictionary"]


@pytest.fixture(scope="module")
def measured(corpus_path, tmp_path_factory):
    path = tmp_path_factory.mktemp("climb") / "controls.json"
    return Corpus.open(corpus_path), path, make_controls(Corpus.open(corpus_path), path)


def test_every_baseline_is_there_with_its_settings(measured):
    _, _, found = measured
    assert [baseline.key for baseline in found.baselines] == KEYS
    for baseline in found.baselines:
        assert 0 < baseline.bits_per_byte < 10
        assert baseline.settings
        if baseline.ci95 is not None:
            low, high = baseline.ci95
            assert low < baseline.bits_per_byte < high
    assert found.human.lexicon_share > found.noise.lexicon_share


def test_who_knows_more_needs_fewer_bits(measured):
    bits = {baseline.key: baseline.bits_per_byte for baseline in measured[2].baselines}
    assert bits["kneser_ney"] < bits["bigram"] < bits["unigram"] < bits["uniform"]
    assert bits["xz_train"] < bits["xz"] < bits["uniform"]
    assert bits["kneser_ney"] < bits["xz_train"]


def test_uniform_charges_log2_v_for_each_character_and_end(measured):
    corpus, _, found = measured
    test = list(corpus.documents("test"))
    uniform = next(b for b in found.baselines if b.key == "uniform")
    targets = sum(len(document.text) + 1 for document in test)
    bits = targets * math.log2(uniform.settings["vocab_size"])
    n_bytes = sum(document.n_bytes for document in test)
    assert uniform.bits_per_byte == pytest.approx(bits / n_bytes)  # no character is unknown


def test_the_order_was_chosen_on_validation_documents(measured):
    settings = measured[2].baselines[0].settings
    figures = settings["validation_bits_per_byte"]
    assert min(figures, key=figures.get) == str(settings["order"])
    assert list(figures) == [str(order) for order in range(3, 21)]


def test_the_figures_are_those_of_models_with_a_row_of_logits_per_token(measured):
    corpus, path, found = measured
    training = [document.text for document in corpus.documents("train")]
    test = list(corpus.documents("test"))
    tokenizer = character_tokenizer(training)
    rows = {row.key: row for row in found.baselines}
    order = rows["kneser_ney"].settings["order"]
    ids_T = token_stream(tokenizer, training).astype(np.int64)
    levels = count_ngrams(ids_T, tokenizer.vocab_size, tokenizer.bos_id, order)
    models = {
        "kneser_ney": KneserNey(levels, tokenizer.bos_id, order),
        "bigram": bigram_model(tokenizer, training),
        "unigram": unigram_model(tokenizer, training),
        "uniform": uniform_model(tokenizer),
    }
    for key, model in models.items():
        expected = score_documents(model, tokenizer, test)
        rtol = 1e-7 if key == "kneser_ney" else 1e-12  # its logits were rounded to float32
        np.testing.assert_allclose(control_scores(path, key).nats, expected.nats, rtol=rtol)
        assert rows[key].bits_per_byte == pytest.approx(bits_per_byte(expected), rel=rtol)
    assert rows["kneser_ney"].settings["parameters"] == models["kneser_ney"].parameter_count()


def test_of_a_corpus_beyond_a_pass_the_figures_are_the_same(measured, tmp_path, monkeypatch):
    corpus, _, found = measured
    for module, limit in (
        (kneser_ney, "PASS_TOKENS"),
        (byte_ngrams, "_COUNTED_CHARACTERS"),
        (compressors, "XZ_FED_CHARACTERS"),
    ):
        monkeypatch.setattr(module, limit, 5000)
    again = make_controls(corpus, tmp_path / "controls.json")
    for one, other in zip(again.baselines, found.baselines, strict=True):
        assert one.key == other.key
        assert one.bits_per_byte == pytest.approx(other.bits_per_byte, rel=1e-12)
        assert (one.ci95 or ()) == pytest.approx(other.ci95 or (), rel=1e-9)


def test_what_is_kept_is_read_again(measured):
    corpus, path, found = measured
    again = read_controls(corpus, path)
    assert again.baselines[0].bits_per_byte == found.baselines[0].bits_per_byte


def test_without_the_scores_beside_it_the_file_is_not_whole(measured, tmp_path):
    corpus, path, _ = measured
    copy = tmp_path / "controls.json"
    copy.write_bytes(path.read_bytes())
    assert read_controls(corpus, copy) is None
    make_controls(corpus, copy)
    assert read_controls(corpus, copy) is not None
    assert len(control_scores(copy)) == len(control_scores(path))


def test_the_ngrams_are_paired_with_another_model_by_document(measured):
    corpus, path, found = measured
    training = [document.text for document in corpus.documents("train")]
    tokenizer = character_tokenizer(training)
    scores = control_scores(path)
    assert bits_per_byte(scores) == pytest.approx(found.baselines[0].bits_per_byte)
    other = score_documents(
        bigram_model(tokenizer, training), tokenizer, list(corpus.documents("test"))
    )
    row = compare(Recipe("n-grams", [scores], "t"), Recipe("bigram", [other], "t"))
    assert row.verdict == "better"


def test_sums_are_kept_of_every_baseline_that_reads_documents_apart(measured):
    _, path, found = measured
    splits = {row.key: row.scored_splits for row in found.baselines}
    apart = {key for key, kept in splits.items() if "test" in kept}
    assert apart == {"kneser_ney", "bigram", "unigram", "uniform", "zstd_dictionary"}
    for row in found.baselines:
        if row.key in apart:
            scores = control_scores(path, row.key)
            assert bits_per_byte(scores) == pytest.approx(row.bits_per_byte)
        else:
            assert row.ci95 is None


def test_scores_before_any_climb_are_named_as_missing(tmp_path):
    with pytest.raises(EscadaError, match="file not found"):
        control_scores(tmp_path / "controls.json")


def test_of_a_larger_corpus_some_documents_are_read_from_its_whole_length(corpus):
    everything = [document.text for document in corpus.documents("train")]
    n_bytes = corpus.text_bytes("train")
    assert some_texts(corpus, "train", n_bytes) == everything
    assert some_texts(corpus, "train", n_bytes - 1) == everything[::2]
    few = some_texts(corpus, "train", n_bytes // 10)
    assert few == everything[::11] or few == everything[::10]
    assert np.isclose(sum(len(t.encode()) for t in few), n_bytes / 10, rtol=0.3)


@pytest.mark.parametrize("code", ["en", "pt"])
def test_the_report_knows_every_baseline_and_protocol(measured, code):
    messages = read_catalogue(code)
    for baseline in measured[2].baselines:
        assert f"baseline.{baseline.key}" in messages
        assert f"protocol.{baseline.protocol}" in messages
