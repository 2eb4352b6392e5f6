"""The normaliser: idempotent on anything, and it leaves alone what a person wrote."""

import re
import unicodedata

import ftfy
import pytest
import wordfreq
from hypothesis import given, settings
from hypothesis import strategies as st

from escada.choices import PROFILES
from escada.errors import EscadaError
from escada.text.cleaning import MIN_LINE_CHARACTERS, clean, clean_prompt

# Any code point at all, and many of those that cleaning has to do with.
_TRICKY = (
    "  \t\n\n\n\r\u00a0\u200b\u200d\ufeff\u00ad\u0301\u0303\u2028\u2029\x00\x0b\x85\x93\x1b"
    "\u2581\ufe0f\u2800ÃÂ£§©Ã§Ã£â€œéçãoaAÍß\ud83d\ude00\u0958\u212bİ0123²@./:_|—"
)
anything = st.text(alphabet=st.characters(exclude_categories=()))
tricky = st.text(alphabet=st.sampled_from(_TRICKY) | st.characters(exclude_categories=()))
broken = st.text(alphabet=st.sampled_from("ação é “isso” – 10 € não\n às")).map(
    lambda text: text.encode("utf-8").decode("latin-1")
)


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=400, deadline=None)
@given(text=anything | tricky | broken)
def test_cleaning_twice_is_cleaning_once(profile: str, text: str):
    once = clean(text, profile)
    assert clean(once, profile) == once
    prompt = clean_prompt(text, profile)
    assert clean_prompt(prompt, profile) == prompt


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=300, deadline=None)
@given(text=tricky)
def test_clean_text_is_tidy_unicode(profile: str, text: str):
    cleaned = clean(text, profile)
    cleaned.encode("utf-8")
    assert unicodedata.is_normalized("NFC", cleaned)
    assert cleaned == cleaned.strip()
    assert not re.search(
        "  |\t|\r| \n|\n |\n\n\n|[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\ufeff]", cleaned
    )


def test_what_a_person_wrote_stays():
    text = "“Às vezes…”, disse ‘Zé’ — 1º de Março, ﬁm: ＡＢＣ ½ ☕\nNÃO! R$ 2.500,00 \u2581"
    assert clean(text, "reference") == text


@pytest.mark.parametrize("encoding", ["latin-1", "windows-1252"])
def test_mojibake_is_repaired_line_by_line(encoding: str):
    good = "A ação começou na estação.\nJá não há razão para a comoção."
    first, second = good.split("\n")
    broken_line = first.encode("utf-8").decode(encoding)
    assert broken_line != first
    assert clean(f"{broken_line}\n{second}", "reference") == good


SIGNS = sorted(
    set(bytes(range(0x20, 0x100)).decode("cp1252", errors="ignore"))
    - {sign for sign in map(chr, range(0x20, 0x180)) if sign.isalnum() and sign not in "ªº¹²³"}
    - set(" \x7fƒˆ")
)
# One word for each ending of two letters, and every word in ã: the capital is the first byte of
# what most broken Portuguese begins with. A word of the list that is itself broken is rarer.
WORDS = [
    word
    for word in wordfreq.top_n_list("pt", 60_000)
    if word[-1] in "ãâáàéêíóôõúç" and word.isalpha() and len(word) > 1
]
ENDINGS = sorted(
    ({word[-2:]: word for word in WORDS} | {w: w for w in WORDS if w[-1] == "ã"}).values()
)


@pytest.mark.parametrize("sign", SIGNS)
def test_a_word_before_a_sign_is_not_taken_for_mojibake(sign: str):
    as_read = {"\u00a0": " ", "\u00ad": ""}.get(sign, sign)
    for word in ENDINGS:
        for form in (word.upper(), word):
            for text in ("{}{}.", "O {}{} e mais", "“{}{}” DISSE", "{}{} É BOA A MANHÃ"):
                expected = clean(text.format(form, as_read), "reference")
                if (form, sign) != ("JÃ", "¡"):  # "jã" is no word, but in the list
                    assert text.format(form, as_read).replace("  ", " ") == expected
                    assert clean(text.format(form, sign), "reference") == expected


@pytest.mark.parametrize(
    "text",
    ["CAMPEÃ”", "AMANHÃ– disse", "ALEMû", "IRMÃ®", "ALEMÃ–BRASIL", "É»", "JÁ§§", "você”…", "Ã”"],
)
def test_correct_text_that_could_be_mojibake_stays(text: str):
    assert clean(text, "reference") == text
    assert clean_prompt(text, "reference") == text


def test_a_word_in_a_tilde_before_a_no_break_space_stays():
    assert clean("AMANHÃ\u00a0CEDO, DE MANHÃ\u00a0", "reference") == "AMANHÃ CEDO, DE MANHÃ"


@pytest.mark.parametrize(
    ("broken", "good"),
    [
        ("SÃ£o Paulo", "São Paulo"),
        ("nÃ£o", "não"),
        ("JÃ¡ fui", "Já fui"),
        ("SÃ³ isso nÃ£o", "Só isso não"),  # "sã" is a word, but "nÃ£o" gives the line away
        ("Ã© bom", "é bom"),
        ("Ã\u00a0 noite", "à noite"),
        ("SITUAÃ‡ÃƒO, CORAÃ‡Ã•ES", "SITUAÇÃO, CORAÇÕES"),
        ("NÃƒO Ã‰ CAFÃ‰", "NÃO É CAFÉ"),
        ("CAFÃ‰ QUENTE", "CAFÉ QUENTE"),
        ("AVÃ”", "AVÔ"),
        ("10Â° e 2Âª", "10° e 2ª"),
        ("dizâ€” que â€œissoâ€\x9d", "diz— que “isso”"),
    ],
)
def test_what_is_surely_broken_is_repaired(broken: str, good: str):
    assert clean(broken, "reference") == good


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from(ENDINGS + [word.upper() for word in ENDINGS] + SIGNS), max_size=6),
    st.sampled_from(["", " ", "\u00a0"]),
    st.booleans(),
)
def test_words_and_signs_settle_at_once(parts: list[str], joint: str, break_it: bool):
    text = joint.join(parts)
    if break_it:
        text = text.encode().decode("latin-1")
    once = clean(text, "reference")
    assert clean(once, "reference") == once


def test_mojibake_of_mojibake_is_repaired():
    once = "coração".encode().decode("latin-1")
    assert clean(once.encode().decode("latin-1"), "reference") == "coração"


def test_a_windows_quote_read_as_latin_1_is_restored():
    assert clean("\x93sim\x94 \x96 disse\x85", "reference") == "“sim” – disse…"


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet=st.sampled_from("açãoéíçõ ÇÃOàÂ“”–ªº°€\n")),
    st.sampled_from(["latin-1", "windows-1252", "mac_roman", "cp1250", "cp1251", "cp437"]),
)
def test_the_quick_test_hides_no_mojibake(text: str, encoding: str):
    from escada.text import cleaning

    mangled = text.encode("utf-8").decode(encoding, errors="replace").replace("\n", "")
    if ftfy.fix_encoding(mangled, cleaning._MOJIBAKE) != mangled:
        assert cleaning._may_be_mojibake(mangled) or not re.search(r"[^\x00-\x9f]", mangled)


def test_spaces_are_tidied_and_newlines_kept():
    assert clean("  um\t dois\u00a0três  \r\nquatro \n\n\n\n cinco\n", "reference") == (
        "um dois três\nquatro\n\ncinco"
    )


def test_invisible_marks_go_without_a_trace():
    assert clean("in\u00advi\u200bsí\ufeffvel\u202e \x07❤\ufe0f", "reference") == "invisível ❤"


def test_decomposed_accents_are_composed_even_across_a_removed_mark():
    assert clean("e\u200d\u0301 a\u0303", "reference") == "é ã"


def test_lone_surrogates_become_replacement_characters():
    assert clean("a\ud800b \ud83d\ude00", "reference") == "a\ufffdb 😀"


def test_roadmap_lowers_case_and_writes_numbers_as_zero():
    line = "Em 2014, o Brasil gastou R$ 3 milhões em 12 estádios de futebol."
    assert clean(line, "roadmap") == (
        "em 0, o brasil gastou r$ 0 milhões em 0 estádios de futebol."
    )


def test_roadmap_drops_short_shouted_and_letterless_lines():
    kept = "esta linha tem mais de quarenta caracteres e fica."
    text = "\n".join(
        ["curta demais", kept, "TÍTULO EM MAIÚSCULAS COM MAIS DE QUARENTA LETRAS", "12 - " * 20]
    )
    assert len(kept) >= MIN_LINE_CHARACTERS
    assert clean(text, "roadmap") == kept


def test_roadmap_removes_addresses_and_odd_signs():
    text = (
        "visite https://exemplo.br/x ou escreva a fulano@exemplo.br ☃ e conte tudo o que viu por lá"
    )
    assert clean(text, "roadmap") == "visite ou escreva a e conte tudo o que viu por lá"


def test_a_short_prompt_survives_the_roadmap_profile():
    assert clean("O Brasil é", "roadmap") == ""
    assert clean_prompt("O Brasil é", "roadmap") == "o brasil é"


def test_unknown_profile_names_the_nearest():
    with pytest.raises(EscadaError, match="did you mean 'reference'"):
        clean("x", "referense")
