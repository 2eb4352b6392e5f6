"""What is measured of a text, against references that are slow and plain."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.errors import EscadaError
from escada.evaluation.baselines.byte_ngrams import bigram_model, uniform_model
from escada.evaluation.portuguese.lexicon import whole_part
from escada.evaluation.ruler import score_documents
from escada.generation.decoding import generate
from escada.generation.samplers import SamplerSettings
from escada.guardrails.automaton import Matches, SuffixAutomaton
from escada.guardrails.copying import longest_copies
from escada.guardrails.likelihood import replay
from escada.guardrails.measures import kinds_of_pieces
from escada.guardrails.repetition import distinct, repetition
from escada.guardrails.texts import SampleText, read_samples, stored_bits_per_token
from escada.text.filters.language import PIECE_CHARACTERS, languages
from escada.text.tokenizers.statistics import tokenizer_statistics

few_letters = st.text("ab ", max_size=24)
few_words = st.lists(st.sampled_from(["o", "gato", "e", "a"]), max_size=12).map(" ".join)


def naive_longest_repeat(symbols):
    n = len(symbols)
    lengths = [
        length
        for length in range(1, n)
        for i in range(n - length + 1)
        for j in range(i + 1, n - length + 1)
        if symbols[i : i + length] == symbols[j : j + length]
    ]
    return max(lengths, default=0)


def holds(sequence, part):
    return any(sequence[i : i + len(part)] == part for i in range(len(sequence) - len(part) + 1))


@given(few_letters)
def test_the_longest_repeat_is_that_of_all_pairs_of_parts(text):
    assert SuffixAutomaton(text).longest_repeat == naive_longest_repeat(text)


@given(few_letters, st.lists(few_letters, max_size=4))
def test_the_longest_matches_are_those_of_all_parts(sequence, texts):
    matches = Matches(SuffixAutomaton(sequence))
    for text in texts:
        matches.read(text)
    expected = [
        max(
            n
            for n in range(end + 1)
            if n == 0 or any(holds(text, sequence[end - n : end]) for text in texts)
        )
        for end in range(1, len(sequence) + 1)
    ]
    assert matches.longest_ending_at() == expected


@given(st.lists(few_words, max_size=3), st.lists(few_words, max_size=4))
def test_the_longest_copy_of_each_text_is_that_of_all_its_passages(texts, training):
    found = longest_copies(texts, training)
    for text, copy in zip(texts, found, strict=True):
        symbols = text.split()
        expected = max(
            n
            for n in range(len(symbols) + 1)
            if n == 0
            or any(
                holds(document.split(), symbols[i : i + n])
                for document in training
                for i in range(len(symbols) - n + 1)
            )
        )
        assert copy.words == expected
        assert len(copy.passage.split()) == expected
        assert copy.passage in text


def test_a_copy_is_found_whatever_its_case_and_commas_and_shown_as_it_stands():
    training = ["Ontem, o carteiro perdeu o chapéu na ponte.", "O rio subiu dois metros."]
    (copy,) = longest_copies(["Dizem que O Carteiro perdeu: o chapéu! O rio secou."], training)
    assert (copy.words, copy.passage) == (5, "O Carteiro perdeu: o chapéu")
    assert copy.characters == 27


def test_a_copy_does_not_go_on_from_one_document_to_the_next():
    (copy,) = longest_copies(["um dois três quatro"], ["zero um dois", "três quatro cinco"])
    assert copy.words == 2


@given(few_words, st.integers(1, 4))
def test_distinct_n_counts_different_grams(text, n):
    symbols = text.split()
    grams = [" ".join(symbols[i : i + n]) for i in range(len(symbols)) if i + n <= len(symbols)]
    assert distinct(symbols, n) == (len(set(grams)) / len(grams) if grams else 1)


def test_repetition_of_a_loop_worked_by_hand():
    found = repetition("o gato e o gato e o gato e ")
    # 9 words, 6 four-grams of 3 kinds; 27 characters of period 9: 18 occur twice
    assert found.distinct == (3 / 9, 3 / 8, 3 / 7, 3 / 6)
    assert (found.longest_repeat_words, found.longest_repeat_characters) == (6, 18)
    assert found.repeated_share == 18 / 27


def test_a_loop_of_letters_without_words_is_a_loop_too():
    assert repetition("na" * 60).repeated_share > 0.95
    assert repetition("").repeated_share == 0


def test_languages_are_told_apart_and_short_texts_are_left_out():
    portuguese = " e depois fomos à praia, mas o mar estava frio e ninguém quis entrar na água"
    english = " and then we went to the beach, but the sea was cold and nobody wanted to swim"
    for text, code in ((portuguese, "pt"), (english, "en")):
        found = languages(text)
        assert found.most_common(1)[0][0] == code
        assert found[code] > found.total() / 2
    assert not languages("x" * (PIECE_CHARACTERS - 1))
    assert not languages("x" + " " * 100)


def test_pieces_of_a_text_have_whole_words_and_are_long_enough():
    assert languages("na praia havia muita gente de fora daqui nesse dia de sol").total() == 2
    assert languages("na " * 100).total() == 100 // 9  # nine words have 26 characters


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_short_and_fallback_pieces_are_those_of_the_tokenizers_statistics(tokenizers, kind):
    tokenizer = tokenizers[kind]
    texts = ["Preço: 日本 ≠ 30 reais 🙂", "O vento levou o chapéu.\nNinguém viu."]
    is_byte_V, is_short_V = kinds_of_pieces(tokenizer)
    ids = np.concatenate(tokenizer.encode_batch(texts))
    expected = tokenizer_statistics(tokenizer, texts)
    assert is_byte_V[ids].mean() == pytest.approx(expected.fallback_ratio)
    assert is_short_V[ids].mean() == pytest.approx(expected.short_piece_ratio)
    assert 0 < expected.fallback_ratio < expected.short_piece_ratio


# What a model says of a text.


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
@pytest.mark.parametrize("name", ["lstm", "learned"])
def test_a_text_costs_what_the_ruler_charges_for_it(tiny, tokenizers, documents, name, kind):
    tokenizer = tokenizers[kind]
    model = tiny(name, tokenizer.vocab_size)
    texts = [SampleText("", document.text, finished=True) for document in documents]
    found = replay(model, tokenizer, texts, SamplerSettings(), batch_tokens=30)
    scores = score_documents(model, tokenizer, documents)
    assert [one.tokens for one in found] == scores.tokens.tolist()
    bits = [one.bits for one in found]
    np.testing.assert_allclose(bits, scores.nats / math.log(2), rtol=1e-4)


@pytest.mark.parametrize("finished", [True, False])
def test_a_prompt_is_context_and_is_not_charged(tiny, tokenizers, finished):
    tokenizer = tokenizers["characters"]
    model = tiny("lstm", tokenizer.vocab_size)

    def bits(prompt, text, finished):
        one = SampleText(prompt, text, finished)
        return replay(model, tokenizer, [one], SamplerSettings())[0].bits

    whole = bits("", "O rio subiu", finished)
    assert whole == pytest.approx(
        bits("", "O rio", False) + bits("O rio", " subiu", finished), rel=1e-5
    )


SETTINGS = [
    SamplerSettings(),
    SamplerSettings(temperature=1.0, top_p=None),
    SamplerSettings(top_k=5, repetition_penalty=1.3),
    SamplerSettings(greedy=True),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: f"{s.temperature} {s.greedy}")
def test_what_the_sampler_wrote_costs_what_was_to_be_expected_and_what_it_said(
    tokenizers, settings
):
    tokenizer = tokenizers["characters"]
    model = bigram_model(tokenizer, ["o rato roeu a roupa do rei de roma", "a rainha riu"] * 3)
    samples = generate(model, tokenizer, ["o r"] * 60, settings, max_tokens=40, profile="reference")
    texts = [SampleText(one.prompt, one.text, one.finished) for one in samples]
    found = replay(model, tokenizer, texts, settings)
    for one, sample in zip(found, samples, strict=True):
        assert one.bits / one.tokens == pytest.approx(sample.bits_per_token, rel=1e-4)
    excess = np.array([one.excess_bits for one in found])
    assert abs(excess.mean()) <= 4 * excess.std() / math.sqrt(len(excess)) + 1e-6
    noise = [SampleText("o r", "ixtgp?"), SampleText("o r", "uuoooe")]
    for one in replay(model, tokenizer, noise, settings):
        assert one.excess_bits / one.tokens > 1


def test_uniform_tokens_cost_log2_v_under_a_uniform_model(tokenizers):
    tokenizer = tokenizers["bytes"]
    (found,) = replay(
        uniform_model(tokenizer), tokenizer, [SampleText("", "chapéu")], SamplerSettings()
    )
    assert found.tokens == 7
    assert found.bits == pytest.approx(7 * math.log2(tokenizer.vocab_size), rel=1e-6)


def test_an_unknown_character_costs_its_name_too(tokenizers):
    tokenizer = tokenizers["characters"]
    texts = [SampleText("", "本"), SampleText("", "a")]
    unknown, known = replay(uniform_model(tokenizer), tokenizer, texts, SamplerSettings())
    assert unknown.bits - known.bits == pytest.approx(tokenizer.unknown_bits, rel=1e-6)


def test_an_empty_text_costs_nothing(tokenizers):
    tokenizer = tokenizers["characters"]
    (found,) = replay(
        uniform_model(tokenizer), tokenizer, [SampleText("O rio", "")], SamplerSettings()
    )
    assert (found.tokens, found.bits, found.expected_bits) == (0, 0, 0)


# The file of samples.


def write(path, rows, **facts):
    table = {"settings": {"temperature": 0.5}, "max_tokens": 9, "seed": 3, "samples": rows}
    path.write_text(json.dumps(table | facts))
    return path


def row(text, finished=False, **facts):
    return {"prompt": "O rio", "text": text, "finished": finished, **facts}


def test_samples_are_read_with_how_they_were_made(tmp_path):
    rows = [
        row(" subiu", True, bits_per_token=2.0, tokens=30),
        row(" caiu", bits_per_token=4.0, tokens=10),
    ]
    found = read_samples(write(tmp_path / "s.json", rows, weights="last"))
    assert found.continuations[0] == SampleText("O rio", " subiu", True, "", 2.0, 30)
    assert (found.settings.temperature, found.seed, found.max_tokens) == (0.5, 3, 9)
    assert found.weights == "last"
    assert stored_bits_per_token(found.continuations) == (2 * 30 + 4 * 10) / 40
    bare = read_samples(write(tmp_path / "s.json", [row("a"), row("b", bits_per_token=1)]))
    assert bare.weights == "best"
    assert stored_bits_per_token(bare.continuations) is None


def test_a_character_that_the_end_cut_in_two_is_left_out_and_no_other(tmp_path):
    rows = [row("ma\ufffd\ufffd"), row("m\ufffda"), row("ma\ufffd", finished=True)]
    found = read_samples(write(tmp_path / "s.json", rows)).continuations
    assert [one.text for one in found] == ["ma", "m\ufffda", "ma\ufffd"]


def test_only_whole_words_count_as_words():
    assert whole_part("O car", "teiro viu o ri", finished=False) == " viu o "
    assert whole_part("O", " carteiro viu", finished=True) == " carteiro viu"


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "a", "text": 3, "finished": False}],
        [{"prompt": "a", "text": "b"}],
        [row("\ud800")],
        [row(" subiu", bits_per_token="many")],
        [row(" subiu", bits_per_token=math.nan)],
        {"a": 1},
        None,
    ],
)
def test_another_file_is_not_taken_for_samples(tmp_path, rows):
    with pytest.raises(EscadaError, match="not a file of samples"):
        read_samples(write(tmp_path / "s.json", rows))


@pytest.mark.parametrize("rows", [[], [row("", True), row("\ufffd")]])
def test_samples_without_text_are_refused(tmp_path, rows):
    with pytest.raises(EscadaError, match="no text to judge"):
        read_samples(write(tmp_path / "s.json", rows))


def test_a_sampler_setting_without_meaning_is_the_samplers_own_error(tmp_path):
    path = write(tmp_path / "s.json", [row("a")], settings={"temperature": 0})
    with pytest.raises(EscadaError, match="temperature"):
        read_samples(path)
