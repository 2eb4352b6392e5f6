"""Last words: which passages are taken, what counts as written, and the bits of the word."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import TableModel
from escada.evaluation.ruler import score_documents
from escada.evaluation.tasks import cloze
from escada.evaluation.tasks.cloze import (
    ClozeItem,
    ClozeScores,
    cloze_items,
    is_content_word,
    score_cloze,
    writes,
)
from escada.generation.decoding import Sample
from escada.text.documents import Document

LINE = "O vento levou o chapéu do carteiro até a margem do rio, e ninguém o viu mais depois da {}"


def document(text, name="d", group="g"):
    return Document(name, "s", group, text)


def test_a_passage_is_whole_lines_that_end_in_a_content_word():
    text = "\n".join([LINE.format("chuva."), LINE.format("festa."), LINE.format("praça.")])
    (item,) = cloze_items([document(text)])
    assert item.word == "praça"
    assert item.context == text[: -len(" praça.")]
    assert item.id == "d/3"
    assert len(item.context) >= cloze.LEAST_CHARACTERS


def test_a_new_passage_begins_after_one_that_was_taken():
    text = "\n".join([LINE.format("chuva.")] * 6)
    items = cloze_items([document(text)])
    assert [item.id for item in items] == ["d/3", "d/6"]
    assert items[0].context == items[1].context


@pytest.mark.parametrize(
    "last", ["Praça.", "praça", "ela.", "também.", "xqzv.", "2016.", "guarda-sóis.", "praça 3."]
)
def test_a_line_with_another_end_is_not_a_last_word(last):
    text = "\n".join([LINE.format("chuva.")] * 2 + [LINE.format(last)])
    assert cloze_items([document(text)]) == []


def test_quotes_and_brackets_may_close_after_the_word():
    for last in ('praça."', "praça).", "praça”!", "praça…"):
        text = "\n".join([LINE.format("chuva.")] * 2 + [LINE.format(last)])
        assert [item.word for item in cloze_items([document(text)])] == ["praça"]


def test_the_choice_does_not_depend_on_the_order_and_no_group_fills_it(monkeypatch):
    monkeypatch.setattr(cloze, "MOST_ITEMS", 12)
    monkeypatch.setattr(cloze, "MOST_ITEMS_A_GROUP", 4)
    text = "\n".join([LINE.format("chuva.")] * 3)
    documents = [document(text, f"d{i}", "big" if i < 30 else f"g{i}") for i in range(40)]
    items = cloze_items(documents)
    assert items == cloze_items(documents[::-1])
    assert len(items) == 12
    assert sum(item.group == "big" for item in items) <= 4


def test_the_choice_among_few_at_a_time_is_the_choice_among_all(monkeypatch):
    monkeypatch.setattr(cloze, "MOST_ITEMS_A_GROUP", 3)
    text = "\n".join([LINE.format("chuva.")] * 6)
    documents = [document(text, f"d{i}", f"g{i * i % 7}") for i in range(60)]
    monkeypatch.setattr(cloze, "MOST_ITEMS", 10**6)
    by_lot = sorted(cloze_items(documents), key=cloze._lot)
    assert len(by_lot) == 4 * 3  # four groups are there, 0, 1, 2 and 4
    monkeypatch.setattr(cloze, "MOST_ITEMS", 5)
    assert sorted(cloze_items(iter(documents)), key=cloze._lot) == by_lot[:5]


def test_grammar_words_and_names_are_no_content_words():
    assert is_content_word("praça")
    for word in ("para", "Praça", "sol", "xqzv", "quando", "p4aça"):
        assert not is_content_word(word)


def sample(text, finished=False):
    return Sample("contexto", text, 1, [1], finished, 0, 1.0)


def test_a_word_counts_when_it_is_whole():
    assert writes(sample(" praça, e"), "praça")
    assert writes(sample(" praça", finished=True), "praça")
    assert writes(sample(" praça2"), "praça")  # a digit is no letter
    assert not writes(sample(" praça"), "praça")  # cut off: it may go on
    assert not writes(sample(" praças."), "praça")
    assert not writes(sample(" praça-forte."), "praça")
    assert not writes(sample(" Praça."), "praça")
    assert not writes(sample("praça."), "praça")  # goes on with the word before
    assert not writes(sample(" na praça."), "praça")
    assert not writes(sample(""), "praça")


@given(st.text("abç -.1", max_size=8))
def test_only_the_word_itself_is_ever_taken_for_it(text):
    expected = (
        text.startswith(" abç")
        and len(text) > 4
        and not (text[4].isalpha() or (text[4] == "-" and text[5:6].isalpha()))
    )
    assert writes(sample(text), "abç") == expected


def writer(tokenizer, text):
    """A model that writes `text` after each of its characters' neighbours, from a table."""
    table = np.zeros((tokenizer.vocab_size, tokenizer.vocab_size))
    ids = tokenizer.encode(text).tolist()
    for before, after in itertools.pairwise(ids):
        table[before, after] = 20
    return TableModel(table)


def test_greedy_decoding_and_the_bits_agree_on_a_model_that_knows_the_word(tokenizers):
    tokenizer = tokenizers["characters"]
    items = [ClozeItem("a roup", "sol", "1"), ClozeItem("a roup", "rio", "2")]
    model = writer(tokenizer, "p sol.")
    found = score_cloze(model, tokenizer, items, profile="reference")
    assert found.right.tolist() == [True, False]
    assert found.written[0].startswith(" sol.")
    assert found.summary().accuracy == 0.5
    assert found.nats[0] < 1e-3
    assert found.nats[1] > 20


@pytest.mark.parametrize("name", ["lstm", "sinusoidal"])
def test_the_bits_are_those_of_space_and_word_by_the_ruler(tiny, tokenizers, name):
    tokenizer = tokenizers["characters"]
    model = tiny(name, tokenizer.vocab_size)
    context, word = "O vento levou", "roupa"
    (nats,) = score_cloze(
        model, tokenizer, [ClozeItem(context, word, "1")], profile="reference"
    ).nats
    texts = [f"{context} {word}", context]
    whole, before = score_documents(
        model, tokenizer, [document(text, f"{i}") for i, text in enumerate(texts)]
    ).nats
    # the ruler charges EOS at both ends; the rest of the difference is the word
    ends = [_eos_nats(model, tokenizer, text) for text in texts]
    assert nats == pytest.approx((whole - ends[0]) - (before - ends[1]), rel=1e-5)


def _eos_nats(model, tokenizer, text):
    from escada.evaluation.continuations import score_continuations

    with_end, without = (
        score_continuations(model, tokenizer, [""], [text], with_eos=eos)[0].nats
        for eos in (True, False)
    )
    return with_end - without


def test_the_figures_are_counted_by_hand():
    items = [ClozeItem("c", "praça", f"{i}", group=f"g{i // 2}") for i in range(4)]
    nats = np.array([1.0, 2.0, 3.0, 4.0]) * math.log(2)
    found = ClozeScores(items, [""] * 4, np.array([True, False, True, True]), nats)
    summary = found.summary()
    assert summary.accuracy == 0.75
    assert summary.bits_per_word == pytest.approx(2.5)
    assert (summary.items, summary.groups) == (4, 2)
    low, high = summary.ci95
    assert 0 < low < 0.75 < high < 1
    assert list(found.rows())[3]["bits"] == pytest.approx(4)


def test_no_passage_is_one_clear_error(tokenizers, tiny):
    with pytest.raises(EscadaError, match="no passage"):
        score_cloze(tiny("lstm", 258), tokenizers["bytes"], [], profile="reference")
