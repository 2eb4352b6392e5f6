"""The lexicon tells Portuguese from noise, and a sample's cut-off words are not counted."""

import numpy as np
import pytest

from escada.evaluation.portuguese.lexicon import (
    lexicon,
    lexicon_share,
    samples_lexicon_share,
    whole_part,
    word_language,
    words,
)
from escada.generation.decoding import Sample
from escada.generation.prompts import load_prompts


def sample(text, prompt="Era uma vez ", *, finished=True):
    return Sample(prompt, text, 3, [1, 2], finished, 42, 1.0)


def whole(one):
    return whole_part(one.prompt, one.text, one.finished)


def test_words_are_runs_of_letters_in_lower_case():
    found = words("O São-João do Zé: disse-lhe 3 vezes, R$ 40!")
    assert found == ["o", "são", "joão", "do", "zé", "disse", "lhe", "vezes", "r"]


def test_letters_beside_digits_or_underscores_are_no_words():
    assert words("a1 b_c 2º x2y _d casa") == ["casa"]


def test_human_text_is_nearly_all_words():
    assert lexicon_share(p.text for p in load_prompts()) > 0.95


def test_german_is_not_portuguese():
    text = "Obwohl der Zug verspätet war, kamen wir rechtzeitig an und konnten noch etwas essen."
    assert lexicon_share([text]) < 0.4


@pytest.mark.parametrize("law", ["uniform", "by frequency"])
def test_noise_is_hardly_ever_a_word(law):
    text = "".join(p.text for p in load_prompts())
    characters, counts = np.unique(list(text), return_counts=True)
    p = None if law == "uniform" else counts / counts.sum()
    noise = "".join(np.random.default_rng(0).choice(characters, 50_000, p=p))
    assert lexicon_share([noise]) < 0.16


def test_single_letters_count_only_where_they_are_words():
    assert {"a", "e", "o", "é", "à"} <= lexicon()
    assert not set("bcdfghjklmnpqrstvwxyziu") & lexicon()


def test_every_word_that_counts_is_listed_by_wordfreq():
    from wordfreq import get_frequency_dict

    assert lexicon() <= set(get_frequency_dict("pt", wordlist="large"))


def test_the_share_is_over_all_words_of_all_texts():
    assert lexicon_share(["casa xqzt", "a casa é azul"]) == pytest.approx(5 / 6)
    assert lexicon_share(["123 !?", ""]) == 0.0


def test_a_word_cut_off_at_the_end_is_not_counted():
    assert whole(sample(" a casa az", finished=False)) == " a casa "
    assert whole(sample(" a casa azul", finished=True)) == " a casa azul"
    assert whole(sample(" a casa.", finished=False)) == " a casa."


def test_what_continues_the_prompts_last_word_is_not_counted():
    assert whole(sample("ndo a casa", prompt="Quando canta")) == " a casa"
    assert whole(sample(" a casa", prompt="Quando canta")) == " a casa"
    assert whole(sample("a casa", prompt="Quando: ")) == "a casa"
    assert whole(sample("a casa", prompt="")) == "a casa"


def test_the_share_of_samples_counts_whole_words_only():
    found = [sample("zxq casa xx", prompt="Bra", finished=False), sample("zxq", prompt="a ")]
    assert samples_lexicon_share(found) == pytest.approx(1 / 2)


@pytest.mark.parametrize(
    ("word", "language"),
    [
        *((word, "pt") for word in ("não", "uma", "são", "ele", "trabalhador", "coração")),
        *((word, "other") for word in ("the", "committee", "pero", "usted", "nessuno", "avec")),
        *((word, None) for word in ("de", "casa", "xqzjk", "subrelatoriamente")),
    ],
)
def test_a_word_belongs_where_it_is_clearly_more_frequent(word, language):
    assert word_language(word) == language
