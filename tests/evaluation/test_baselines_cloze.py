"""What one gets at the cloze without reading."""

import numpy as np
import pytest

from escada.evaluation.baselines import cloze as module
from escada.evaluation.baselines.cloze import (
    cloze_baselines,
    guessed,
    most_frequent_word,
    repeated_word,
)
from escada.evaluation.tasks.cloze import ClozeItem, ClozeScores, cloze_items
from escada.text.documents import Document

LINE = "O vento levou o chapéu do carteiro até a margem do rio, e ninguém o viu mais depois da {}"


def passage(name, word):
    text = "\n".join([LINE.format("chuva.")] * 2 + [LINE.format(f"{word}.")])
    return Document(name, "s", name, text)


class Held:
    """As much of a corpus as baselines read."""

    profile = "reference"

    def __init__(self, **splits):
        self.splits = splits

    def documents(self, split):
        return iter(self.splits[split])


def test_the_constant_is_the_last_word_of_most_training_passages():
    train = [passage(f"d{i}", word) for i, word in enumerate(["praça", "festa", "festa", "casa"])]
    test = [passage(f"t{i}", "praça") for i in range(9)]
    assert most_frequent_word(Held(train=train, test=test)) == "festa"


def test_of_equals_the_first_by_alphabet_whatever_the_order():
    train = [passage("d1", "praça"), passage("d2", "festa")]
    assert most_frequent_word(Held(train=train)) == "festa"
    assert most_frequent_word(Held(train=train[::-1])) == "festa"


def test_training_without_a_passage_has_no_constant():
    assert most_frequent_word(Held(train=[Document("d", "s", "g", "Curto.")])) == ""


@pytest.mark.parametrize(
    ("context", "word"),
    [
        ("A praça e a festa: a praça, a festa e o carteiro", "festa"),
        ("A praça, a praça e a festa", "praça"),
        ("A praça e a festa", "festa"),
        ("para para quando quando Praça Praça praça", "praça"),
        ("sol, mar 2016", ""),
    ],
)
def test_the_repeated_word_is_the_last_content_word_that_stands_twice(context, word):
    assert repeated_word(context) == word


def test_a_guess_is_right_where_it_is_the_word_and_has_an_interval_over_groups():
    words = ["praça", "praça", "festa", "casa", "praça", "festa", "casa", "rua"]
    items = [ClozeItem("…", word, str(i), "s", f"g{i // 2}") for i, word in enumerate(words)]
    found = guessed(items, ["praça"] * 8)
    assert found["accuracy"] == pytest.approx(3 / 8)
    low, high = found["ci95"]
    assert 0 <= low < 3 / 8 < high <= 1
    assert (found["items"], found["groups"]) == (8, 4)
    assert guessed(items, [w.upper() for w in words])["accuracy"] == 0


def test_all_baselines_answer_the_items_that_rungs_answer(monkeypatch):
    (item,) = cloze_items([passage("t", "festa")])
    words = ["festa", repeated_word(item.context), "chuva"]
    test = [passage(f"t{i}", word) for i, word in enumerate(words)]
    asked = []

    def scored(model, tokenizer, items, *, profile):
        asked.append((model, tokenizer, list(items), profile))
        return ClozeScores(items, [""] * 3, np.array([True, False, False]), np.ones(3))

    monkeypatch.setattr(module, "score_cloze", scored)
    corpus = Held(train=[passage("d", "festa")], test=test)
    rows = cloze_baselines(corpus, "n-grams", "characters")
    assert [row["key"] for row in rows] == ["constant_word", "repeated_word", "kneser_ney"]
    assert [row["items"] for row in rows] == [3, 3, 3]
    assert [row["accuracy"] for row in rows] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert rows[0]["word"] == "festa"
    assert asked == [("n-grams", "characters", cloze_items(test), "reference")]


def test_without_passages_there_is_no_row():
    short = [Document("d", "s", "g", "Curto.")]
    assert cloze_baselines(Held(train=short, test=short), None, None) == []
