"""The figures and their files."""

import math

import numpy as np
import pytest

from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import uniform_model
from escada.evaluation.tasks.documents import measure, read_scores, write_scores
from escada.files import read_json, read_json_lines, write_json


@pytest.fixture
def found(tokenizers, documents):
    tokenizer = tokenizers["characters"]
    return measure(
        uniform_model(tokenizer),
        tokenizer,
        documents,
        profile="reference",
        corpus_hash="c0ffee",
        split="test",
    )


def test_the_figures_of_a_uniform_model_are_those_worked_out(found, tokenizers, documents):
    measurement, scores = found
    tokenizer = tokenizers["characters"]
    characters = sum(len(d.text) for d in documents)
    n_bytes = sum(len(d.text.encode()) for d in documents)
    tokens = characters + len(documents)
    bits = tokens * math.log2(tokenizer.vocab_size) + measurement.unknown * tokenizer.unknown_bits
    assert measurement.tokens == tokens
    assert measurement.bytes == n_bytes
    assert measurement.unknown == int(scores.unknown.sum()) > 0
    assert measurement.bits_per_byte == pytest.approx(bits / n_bytes)
    assert measurement.perplexity == pytest.approx(2 ** (bits / tokens))
    assert measurement.groups == len({(d.source, d.group) for d in documents})
    low, high = measurement.ci95
    assert low < measurement.bits_per_byte < high


def test_sources_are_measured_apart_and_add_up(found, documents):
    measurement, _scores = found
    sources = sorted({d.source for d in documents})
    assert list(measurement.by_source) == sources
    weights = {s: sum(len(d.text.encode()) for d in documents if d.source == s) for s in sources}
    mean = sum(measurement.by_source[s] * weights[s] for s in sources) / sum(weights.values())
    assert mean == pytest.approx(measurement.bits_per_byte)


def test_every_source_counts_the_same_in_the_macro_average(found):
    measurement, _ = found
    mean = sum(measurement.by_source.values()) / len(measurement.by_source)
    assert measurement.macro_bits_per_byte == pytest.approx(mean)
    for source, figure in measurement.sources.items():
        assert figure.bits_per_byte == measurement.by_source[source]
        assert 1 <= figure.effective_groups <= figure.groups
        assert (source in measurement.ci95_leaves_out) == (figure.groups == 1)
    assert sum(f.bytes for f in measurement.sources.values()) == measurement.bytes


def test_the_json_holds_what_a_reader_needs(found, tmp_path):
    measurement, _ = found
    write_json(tmp_path / "test.json", measurement.to_json())
    table = read_json(tmp_path / "test.json")
    assert table["schema_version"] == 2
    promised = (
        "bits_per_byte ci95 perplexity accuracy documents bytes tokens tokenizer "
        "tokens_per_second protocol context_tokens profile corpus_hash split by_source unknown "
        "groups effective_groups macro_bits_per_byte macro_ci95 "
        "ci95_leaves_out ci95_borrowed sources"
    )
    assert set(promised.split()) <= set(table)
    assert table["protocol"] == "document/carried-state"
    assert table["tokenizer"]["kind"] == "characters"
    assert len(table["ci95"]) == 2


def test_document_scores_come_back_as_they_were_written(found, tmp_path):
    _, scores = found
    path = tmp_path / "documents.jsonl"
    write_scores(path, scores)
    back = read_scores(path)
    for name in ("ids", "sources", "groups", "protocol", "context_tokens", "seconds"):
        assert getattr(back, name) == getattr(scores, name)
    for name in ("nats", "bytes", "tokens", "correct", "unknown"):
        assert np.array_equal(getattr(back, name), getattr(scores, name))
        assert getattr(back, name).dtype == getattr(scores, name).dtype
    rows = read_json_lines(path)
    assert rows[0]["schema_version"] == 1
    assert set(rows[1]) == {
        *("id", "source", "group"),
        *("nats", "bytes", "tokens", "correct", "unknown"),
    }


@pytest.mark.parametrize("content", ["", "{}", "[1]\n", "not json", '{"protocol": "x"}\n{"id": 1}'])
def test_another_file_is_not_taken_for_document_scores(tmp_path, content):
    path = tmp_path / "documents.jsonl"
    path.write_text(content)
    with pytest.raises(EscadaError, match="evaluate again"):
        read_scores(path)


def test_missing_document_scores_say_what_to_run(tmp_path):
    with pytest.raises(EscadaError, match="escada evaluate"):
        read_scores(tmp_path / "none.jsonl")
