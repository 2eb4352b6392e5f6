"""Comparisons, seeds, pairs, guardrails and judge on the page."""

import copy
import html
import json
import re

import pytest

from escada.errors import EscadaError
from escada.report.contents import Contents
from escada.report.data import read_climb, read_ladder
from escada.report.i18n import Language
from escada.report.sections.tests import summary_of_tests
from escada.report.writers.html import write_report

pytestmark = pytest.mark.usefixtures("undrawn")


def share(accuracy, reach=0.03, **more):
    return {"accuracy": accuracy, "ci95": [accuracy - reach, accuracy + reach], **more}


def pairs(accuracy):
    of = {"determiner_noun_gender": share(accuracy + 0.05, pairs=400)}
    with_attractor = {"with": share(accuracy - 0.1, pairs=128)}
    return share(accuracy, pairs=1566, by_phenomenon=of, by_attractor=with_attractor)


def guardrails(verdict):
    def one(value, limit, verdict):
        return {"value": value, "limit": limit, "direction": "at least", "verdict": verdict}

    return {
        "schema_version": 1,
        "verdict": verdict,
        "guardrails": {
            "lexicon_share": one(0.91 if verdict == "pass" else 0.07, 0.54, verdict),
            "short_piece_ratio": one(0.7, None, "invalid") | {"reason": "not told apart"},
            "byte_fallback_ratio": one(None, None, "not applicable"),
        },
        "controls": {
            "human": {"lexicon_share": {"value": 0.95, "verdict": "pass"}},
            "noise": {"lexicon_share": {"value": 0.05, "verdict": "fail"}},
        },
        "causes": [{"cause": "uniform", "text": "uniformly drawn", "shown_by": ["lexicon_share"]}]
        if verdict == "fail"
        else [],
    }


def comparison(a, b, difference, scope="run", significant=True):
    verdict = "undecided" if not significant else "better" if difference < 0 else "worse"
    reach = 0.01 if significant else 0.2
    return {
        "a": a,
        "b": b,
        "scope": scope,
        "difference": difference,
        "relative": difference / 2.4,
        "ci95": [difference - reach, difference + reach],
        "p_value": 0.0004 if significant else 0.31,
        "significant": significant,
        "verdict": verdict,
        "standard_error": {"documents": 0.004, "seeds": 0.009 if scope == "recipe" else None},
        "by_source": {"petrogold": {"difference": difference, "ci95": None, "p_value": None}},
        "minimal_pairs": {"a": 0.66, "b": 0.52},
        "cost": {"training_flops": {"a": 3e12, "b": 2e12, "ratio": 1.5}},
    }


def on_pairs(verdict, table):
    """The paired test of v5 and the n-gram model on the minimal pairs."""
    row = next(
        row for row in table["baseline_comparisons"] if (row["a"], row["b"]) == ("v5", "bigram")
    )
    row["minimal_pairs"] = {"difference": 0.1, "ci95": [0.05, 0.15], "verdict": verdict}


@pytest.fixture
def tested(table):
    """v1 with two seeds; v1, v2 and v5 with tests; a ladder's comparisons."""
    rows = {row["name"]: row for row in table["rungs"]}
    rows["v1"] |= {"guardrails": guardrails("fail"), "minimal_pairs": pairs(0.52)}
    rows["v2"] |= {"minimal_pairs": pairs(0.55), "cloze": share(0.0187)}
    rows["v5"] |= {"guardrails": guardrails("pass"), "minimal_pairs": pairs(0.81)}
    again = copy.deepcopy(rows["v1"]) | {"seed": 1, "bits_per_byte": 2.507, "run": "runs/again"}
    table["rungs"].append(again)
    table["baselines"][0]["minimal_pairs"] = pairs(0.7)
    on_pairs("better", table)
    table["comparisons"] = [
        comparison("v2", "v1", -0.066, scope="recipe"),
        comparison("v3", "v2", 0.042),
        comparison("v5", "v2", -0.001, significant=False),
    ]
    return table


def words_of(folder):
    """The words of a climb's page in both languages."""
    page = write_report(folder).read_text(encoding="utf-8")
    found = {}
    for code in ("en", "pt"):
        body = page.split(f'<main id="{code}-top"')[1].split("</main>")[0]
        bare = re.sub(r"<[^>]+>", " ", body)
        found[code] = html.unescape(re.sub(r"\s+", " ", bare)).replace("\u202f", " ")
    return found


@pytest.fixture
def texts(climb, tested):
    return words_of(climb(tested))


def test_a_second_seed_is_a_run_of_its_rung_and_no_rung(climb, tested):
    ladder = read_ladder(climb(tested))
    (v1,) = [rung for rung in ladder.rungs if rung.name == "v1"]
    assert (v1.seed, v1.bits_per_byte) == (0, 2.487)
    assert [(one.seed, one.bits_per_byte) for one in v1.other_seeds] == [(1, 2.507)]


def test_seeds_stand_with_their_mean_and_standard_deviation(texts):
    """(2.487 + 2.507) / 2 = 2.497; the standard deviation is 0.02 / sqrt 2 = 0.014."""
    assert "2.497 0.014 0: 2.487 · 1: 2.507" in texts["en"]
    assert "2,497 0,014 0: 2,487 · 1: 2,507" in texts["pt"]


def test_every_comparison_says_whether_it_is_significant_and_what_it_speaks_of(texts):
    en, pt = texts["en"], texts["pt"]
    assert "v2 against v1 yes: better −0.066 [−0.076, −0.056] < 0.001 the two recipes" in en
    assert "standard error: 0.004 by documents, 0.009 by seeds" in en
    assert "v3 against v2 yes: worse +0.042 [0.032, 0.052] < 0.001 these two runs" in en
    assert "v5 against v2 no −0.001 [−0.201, 0.199] 0.310 these two runs" in en
    assert "v2 contra v1 sim: melhor −0,066 [−0,076; −0,056] < 0,001 as duas receitas" in pt


def test_pairs_stand_by_phenomenon_beside_the_n_gram_model(texts):
    assert "determiner–noun, gender 400" in texts["en"]
    assert "v5 81.0 % [78.0, 84.0] 86.0 %" in texts["en"]
    assert "character bigrams 70.0 % [67.0, 73.0]" in texts["en"]
    assert (
        "v5 is above the n-gram model on the pairs: 81.0 % [78.0, 84.0] against 70.0 %"
        in texts["en"]
    )
    assert "v5 está acima do modelo de n-gramas" in texts["pt"]


@pytest.mark.parametrize(
    ("verdict", "words"), [("undecided", "not clearly above"), ("worse", "is below")]
)
def test_a_last_rung_that_does_not_beat_the_n_grams_is_said_not_to(climb, tested, verdict, words):
    on_pairs(verdict, tested)
    assert words in write_report(climb(tested)).read_text(encoding="utf-8")


@pytest.fixture
def with_cloze_baselines(tested):
    tested["cloze_baselines"] = [
        share(0.019) | {"key": "constant_word", "name": "always", "word": "anos"},
        share(0.05) | {"key": "repeated_word", "name": "repeated"},
        share(0.098) | {"key": "bigram", "name": "n-grams"},
    ]
    return tested


def test_last_words_without_a_model_are_rows_of_the_table(climb, with_cloze_baselines):
    texts = words_of(climb(with_cloze_baselines))
    assert "always “anos” – – – 1.9 % [" in texts["en"]
    assert "sempre “anos” – – – 1,9 % [" in texts["pt"]
    assert "last repeated word – – – 5.0 % [" in texts["en"]
    assert (
        "character bigrams 70.0 % [67.0, 73.0] 75.0 % [72.0, 78.0] 60.0 % [57.0, 63.0] 9.8 % ["
        in texts["en"]
    )


def test_a_corpus_without_pairs_shows_its_last_words(climb, with_cloze_baselines):
    for row in (*with_cloze_baselines["rungs"], *with_cloze_baselines["baselines"]):
        row.pop("minimal_pairs", None)
    texts = words_of(climb(with_cloze_baselines))
    assert "v2 – – 1.9 % [" in texts["en"]
    assert "always “anos” – – 1.9 % [" in texts["en"]


def test_tables_have_the_last_words_of_baselines_too(climb, with_cloze_baselines):
    folder = climb(with_cloze_baselines)
    table = summary_of_tests(Contents(read_climb(folder), Language.load("en")))
    last_words = [column.key for column in table.columns].index("cloze")
    found = {row.cells[0].value: row.cells[last_words].value for row in table.rows if row.control}
    assert found["constant_word"] == 0.019
    assert found["bigram"] == 0.098


def test_guardrails_show_verdict_limit_cause_and_controls(texts):
    assert "0.0700 fails ≥ 0.540" in texts["en"]
    assert "0.700 ignored" in texts["en"]
    assert "does not apply" in texts["en"]
    assert "the samples look uniformly drawn, not drawn from this model" in texts["en"]
    assert "as amostras parecem sorteadas uniformemente" in texts["pt"]
    assert re.search(r"Human text – 0.950", texts["en"])


def judged(reliable):
    def row(name, rating):
        rubric = {"overall": {"mean": 2.5, "ci95": [2.0, 3.0]}}
        return {
            "name": name,
            "rating": rating,
            "ci95": [rating - 50, rating + 50],
            "rubric": rubric,
        }

    return {
        "schema_version": 1,
        "kind": "endpoint",
        "model": "a-small-model",
        "reliable": reliable,
        "reasons": [] if reliable else [{"code": "rating_control", "text": "+0.0 points"}],
        "ratings": [row("v5", 120.0)],
        "controls": {"human": row("human", 400.0), "noise": row("noise", -300.0)},
    }


@pytest.mark.parametrize("reliable", [True, False])
def test_a_judge_is_shown_with_its_controls_and_whether_to_believe_it(climb, tested, reliable):
    folder = climb(tested)
    (folder / "judge").mkdir()
    (folder / "judge" / "verdict.json").write_text(json.dumps(judged(reliable)))
    page = write_report(folder).read_text(encoding="utf-8")
    assert ("Do not rely on this judge (a-small-model)" in page) is not reliable
    assert ("Its ratings do not put noise below human text" in page) is not reliable
    assert ("não colocam o ruído abaixo do texto humano" in page) is not reliable
    assert ("a-small-model rated human text above noise" in page) is reliable
    assert "uniform noise (control)" in page


def test_without_any_test_the_page_says_so(page):
    for words in ("No minimal pairs were scored", "No guardrails were run", "No judge was used"):
        assert words in page


def test_a_p_value_that_contradicts_a_verdict_is_refused(climb, table):
    step = next(row for row in table["rungs"] if row["name"] == "v2")["beats_previous"]
    step["p_value"] = 0.2
    with pytest.raises(EscadaError, match="contradicts"):
        read_ladder(climb(table))
