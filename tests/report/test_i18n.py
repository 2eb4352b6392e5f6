import string
import tomllib
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from escada.report.i18n import Language, read_catalogue

ENGLISH, PORTUGUESE = Language.load("en"), Language.load("pt")


def braces(text):
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def test_both_catalogues_have_the_same_keys_and_values_to_fill_in():
    english, portuguese = read_catalogue("en"), read_catalogue("pt")
    assert english.keys() == portuguese.keys()
    differing = [key for key in english if braces(english[key]) != braces(portuguese[key])]
    assert differing == []


def test_no_message_was_left_untranslated():
    same_in_both = {
        "compare.p_value",
        "ladder.tokens_per_second",
        "tokenizer.bpe",
        "tokenizer.bytes",
        "ladder.flops",
        "grid.argentina",
        "grid.chile",
        "grid.china",
        "budget_unit.tokens",
        "budget_unit.epoch",
        "budget_unit.step",
        "budget_unit.token",
        "budget_unit.seconds",
        "budget_unit.flop",
        *(f"changes.name.model.{name}" for name in ("d_embedding", "dropout", "layer_norm")),
        "changes.name.model.recurrent_dropout",
        "changes.name.train.betas",
        "changes.of_preset",
        *(f"changes.value.{name}" for name in ("bpe", "bytes", "lstm", "gru", "transformer")),
        *(f"changes.value.{name}" for name in ("adam", "adamw", "muon")),
    }
    english, portuguese = read_catalogue("en"), read_catalogue("pt")
    assert {key for key in english if english[key] == portuguese[key]} <= same_in_both


@pytest.mark.parametrize("code", ["en", "pt"])
def test_every_grid_of_the_price_list_has_a_name(code):
    prices = resources.files("escada.cost").joinpath("prices.toml").read_text("utf-8")
    grids = tomllib.loads(prices)["grids"]
    assert {f"grid.{grid}" for grid in grids} <= read_catalogue(code).keys()


@pytest.mark.parametrize(
    ("written", "english", "portuguese"),
    [
        (lambda t: t.bits(2.4128), "2.413", "2,413"),
        (lambda t: t.number(12121), "12,121", "12.121"),
        (lambda t: t.number(-0.0004, 3), "0.000", "0,000"),
        (lambda t: t.number(-0.0061, 3), "−0.006", "−0,006"),
        (lambda t: t.interval((2.38, 2.444)), "[2.380, 2.444]", "[2,380; 2,444]"),
        (lambda t: t.percent(0.7345), "73.5 %", "73,5 %"),
        (lambda t: t.power(1.3e17), "1.3 × 10¹⁷", "1,3 × 10¹⁷"),
        (lambda t: t.power(9.99e11), "1.0 × 10¹²", "1,0 × 10¹²"),
        (lambda t: t.power(0), "0", "0"),
        (lambda t: t.compact(12_240_000), "12.2 M", "12,2 M"),
        (lambda t: t.compact(512), "512", "512"),
        (lambda t: t.compact(999_960), "1.0 M", "1,0 M"),
        (lambda t: t.compact(4e15), "4.0 × 10¹⁵", "4,0 × 10¹⁵"),
        (lambda t: t.significant(127.4), "127", "127"),
        (lambda t: t.significant(6.114), "6.11", "6,11"),
        (lambda t: t.significant(7.0), "7", "7"),
        (lambda t: t.significant(3e12), "3.0 × 10¹²", "3,0 × 10¹²"),
        (lambda t: t.memory(812_345_678), "812 MB", "812 MB"),
        (lambda t: t.memory(1.25e10), "12.5 GB", "12,5 GB"),
        (lambda t: t.duration(42), "42.0 s", "42,0 s"),
        (lambda t: t.duration(59.97), "1 min 00 s", "1 min 00 s"),
        (lambda t: t.duration(11_520), "3 h 12 min", "3 h 12 min"),
        (lambda t: t.duration(356_400), "4 d 03 h", "4 d 03 h"),
        (lambda t: t.budget("60 s"), "60 s", "60 s"),
        (lambda t: t.budget("50000 steps"), "50,000 steps", "50.000 passos"),
        (lambda t: t.budget("1.5 epochs"), "1.5 epochs", "1,5 época"),
        (lambda t: t.budget("2 epochs"), "2 epochs", "2 épocas"),
        (lambda t: t.budget("1 epochs"), "1 epoch", "1 época"),
        (lambda t: t.budget("1e17 flop"), "1.0 × 10¹⁷ FLOP", "1,0 × 10¹⁷ FLOP"),
        (lambda t: t.names(["v1", "v2", "v3"]), "v1, v2 and v3", "v1, v2 e v3"),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(written, english, portuguese):
    assert written(ENGLISH).replace("\u202f", " ") == english
    assert written(PORTUGUESE).replace("\u202f", " ") == portuguese


@given(st.floats(min_value=0, max_value=1e40))
def test_any_number_of_any_size_is_written_short(value):
    for write in ("power", "compact", "significant", "memory", "duration", "bits", "percent"):
        assert 0 < len(getattr(PORTUGUESE, write)(value)) < 30


def test_a_missing_figure_is_a_dash_and_never_zero():
    for write in ("number", "bits", "power", "compact", "significant", "memory", "duration"):
        assert getattr(ENGLISH, write)(None) == "–"


def test_an_unknown_message_is_a_bug():
    with pytest.raises(KeyError):
        ENGLISH.say("headline.nonsense")
