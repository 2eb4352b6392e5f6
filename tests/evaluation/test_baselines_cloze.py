"""What one gets at the cloze without reading."""

import numpy as np
import pytest

from escada.evaluation.baselines.byte_ngrams import character_tokenizer
from escada.evaluation.baselines.cloze import (
    asked_of,
    cloze_baselines,
    cloze_scores,
    guessed,
    most_frequent_word,
    repeated_word,
)
from escada.evaluation.baselines.joint_ngrams import token_stream
from escada.evaluation.baselines.kneser_ney import KneserNeyBaseline, LastTokens
from escada.evaluation.tasks.cloze import ClozeItem, ClozeScores, cloze_items, score_cloze
from escada.models.ngrams.counting import count_ngrams
from escada.models.ngrams.kneser_ney import KneserNey
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


def test_all_baselines_answer_the_items_that_rungs_answer():
    (item,) = cloze_items([passage("t", "festa")])
    words = ["festa", repeated_word(item.context), "chuva"]
    items = cloze_items([passage(f"t{i}", word) for i, word in enumerate(words)])
    ngrams = ClozeScores(items, [""] * 3, np.array([True, False, False]), np.ones(3))
    rows = cloze_baselines(Held(train=[passage("d", "festa")]), items, ngrams)
    assert [row["key"] for row in rows] == ["constant_word", "repeated_word", "kneser_ney"]
    assert [row["items"] for row in rows] == [3, 3, 3]
    assert [row["accuracy"] for row in rows] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert rows[0]["word"] == "festa"


SENTENCES = ["veio a chuva", "veio a chuva.", "veio a chuva-de-ouro", "o rio", "o sol, o sol, sol"]


@pytest.mark.parametrize("order", [2, 4, 8])
def test_the_ngrams_write_the_words_that_decoding_writes(order):
    """Right, wrong, unknown, ended by EOS, by a sign and by a hyphen that goes on or does not."""
    texts = SENTENCES * 3
    tokenizer = character_tokenizer(texts)
    ids_T = token_stream(tokenizer, texts).astype(np.int64)
    levels = count_ngrams(ids_T, tokenizer.vocab_size, tokenizer.bos_id, order)
    model = KneserNey(levels, tokenizer.bos_id, order)
    words = ["chuva", "sol", "rio", "chuva", "ouro", "xyz"]
    contexts = ["veio a", "o", "o", "Ω a", "veio a chuva-de", "o sol,"]
    items = [
        ClozeItem(context, word, str(i))
        for i, (context, word) in enumerate(zip(contexts, words, strict=True))
    ]
    baseline = KneserNeyBaseline(tokenizer, texts, [], order=order)
    last = baseline.score(asked_of(items, profile="reference")).last
    found = cloze_scores(items, [last[i] for i in sorted(last)], tokenizer)
    expected = score_cloze(model, tokenizer, items, profile="reference")
    assert found.right.tolist() == expected.right.tolist()
    np.testing.assert_allclose(found.nats, expected.nats, rtol=1e-6)


@pytest.mark.parametrize(
    ("after", "is_right"), [([" "], True), (["$"], True), (["a"], False), (["-", "a"], False)]
)
def test_what_is_written_after_the_word_decides_whether_it_ends_there(after, is_right):
    tokenizer = character_tokenizer([" abcd-" * 3])
    items = [ClozeItem("a", "bc", "1"), ClozeItem("a", "abcd", "2")]
    end = [tokenizer.eos_id if one == "$" else int(tokenizer.encode(one)[0]) for one in after]
    end += [int(tokenizer.encode(" ")[0])] * (2 - len(end))
    last = []
    for item in items:
        ids = [*tokenizer.encode(f" {item.word}").tolist(), *end]
        last.append(LastTokens(np.ones(len(ids) - 1), np.array(ids[:-1])))
        last.append(LastTokens(np.ones(len(ids)), np.array(ids)))
    found = cloze_scores(items, last, tokenizer)
    assert found.right.tolist()[0] == is_right
    assert found.nats.tolist() == [3.0, 5.0]
