import copy

import pytest

from escada.report.findings import find
from escada.report.i18n import Language
from escada.report.schema import Ladder
from escada.report.sentences import headline, verdict


def findings_of(table):
    ladder = Ladder.model_validate(table)
    return ladder, find(ladder)


def only_steps(table, *names):
    """The ladder with those rungs alone, each following the one before."""
    table = copy.deepcopy(table)
    table["rungs"] = [rung for rung in table["rungs"] if rung["name"] in names]
    return table


def test_the_best_rung_and_the_steps_are_found(table):
    _, found = findings_of(table)
    assert (found.best.name, found.runner_up.name, found.clear) == ("v5", "v4_gru", True)
    outcomes = {step.rung.name: step.outcome for step in found.steps}
    assert outcomes == {
        "v2": "better",
        "v3": "worse",
        "v4": "better",
        "v4_gru": "undecided",
        "v5": "better",
        "v_final": "unmeasured",
    }
    assert found.monotone is False
    assert [rung.name for rung in found.unfinished] == ["v_final"]


def test_intervals_that_do_not_touch_are_no_test(table):
    table["comparisons"] = []
    assert findings_of(table)[1].clear is False


def test_a_ladder_is_monotone_only_when_every_step_is_decided(table):
    _, found = findings_of(only_steps(table, "v1", "v2"))
    assert found.monotone is True
    undecided = only_steps(table, "v1", "v2")
    undecided["rungs"][1]["beats_previous"] |= {"ci95": [-0.1, 0.01], "verdict": "undecided"}
    assert findings_of(undecided)[1].monotone is None


def test_two_best_rungs_within_the_interval_are_not_told_apart(table):
    ladder, found = findings_of(only_steps(table, "v4", "v4_gru"))
    assert found.clear is False
    sentences = " ".join(text for _, text in headline(ladder, found, Language.load("en")))
    assert "v4_gru, the subword GRU, has the lowest figure" in sentences
    assert "the interval of the difference includes zero" in sentences
    assert "is the best rung" not in sentences


def test_rungs_on_different_texts_are_neither_ranked_nor_compared(table):
    table["rungs"][5]["profile"] = "roadmap"
    ladder, found = findings_of(table)
    assert found.best.name == "v4_gru"
    step = next(step for step in found.steps if step.rung.name == "v5")
    assert step.outcome == "other_text"
    sentences = " ".join(text for _, text in headline(ladder, found, Language.load("en")))
    assert "Measured on another text, and so not ranked here: v5." in sentences


def test_the_headline_says_plainly_what_failed(table):
    ladder, found = findings_of(table)
    english = headline(ladder, found, Language.load("en"))
    assert english[0][1] == "v5, the small Transformer, is the best rung: 2.254 bits per byte."
    assert ("bad", "Some rungs do not improve on the one before: v3 is worse than v2.") in english
    assert (
        "open",
        "Undecided, the interval of the difference includes zero: v4_gru against v4.",
    ) in english
    portuguese = headline(ladder, found, Language.load("pt"))
    assert portuguese[0][1] == "v5, Transformer pequeno, é o melhor degrau: 2,254 bits por byte."
    assert ("bad", "Alguns degraus não melhoram o anterior: v3 é pior que v2.") in portuguese


@pytest.mark.parametrize("verdict", ["worse", "undecided"])
def test_a_rung_that_the_paired_test_does_not_find_better_than_the_bigram_is_named(table, verdict):
    table["baseline_comparisons"][0]["verdict"] = verdict
    ladder, found = findings_of(table)
    sentences = headline(ladder, found, Language.load("en"))
    assert ("bad", "Not better than the character bigram model: v1.") in sentences


def test_nothing_is_said_of_a_baseline_that_nobody_compared(table):
    table["baseline_comparisons"] = []
    ladder, found = findings_of(table)
    sentences = " ".join(text for _, text in headline(ladder, found, Language.load("en")))
    assert "bigram" not in sentences


def test_sources_that_disagree_are_in_the_headline(table):
    step = next(rung for rung in table["rungs"] if rung["name"] == "v4_gru")["beats_previous"]
    step["sources_disagree"] = True
    ladder, found = findings_of(table)
    said = "Better on some sources and worse on others: v4_gru against v4."
    assert ("open", said) in headline(ladder, found, Language.load("en"))
    said = "Melhor em algumas fontes e pior em outras: v4_gru contra v4."
    assert ("open", said) in headline(ladder, found, Language.load("pt"))


def test_a_climb_without_any_figure_has_a_headline(table):
    ladder, found = findings_of(only_steps(table, "v_final"))
    assert headline(ladder, found, Language.load("en")) == [
        ("open", "No rung has been measured yet.")
    ]


def test_each_verdict_is_one_plain_sentence(table):
    ladder, found = findings_of(table)
    english = Language.load("en")
    said = {rung.name: verdict(rung, found, english).sentence for rung in ladder.rungs}
    assert said["v1"] == "The first rung: nothing comes before it."
    assert said["v2"].startswith("v2 beats v1: 0.066 fewer bits per byte, 95 % interval [0.054, 0")
    assert said["v3"].startswith("v3 does not beat v2: it needs 0.042 more bits per byte")
    assert "includes zero: the difference is undecided" in said["v4_gru"]
    assert said["v_final"] == "Not compared: v_final and v5 are not both measured yet."


def test_a_step_from_a_rung_that_was_not_climbed_is_not_compared(table):
    lone = only_steps(table, "v1", "v5")
    ladder, found = findings_of(lone)
    sentence = verdict(ladder.rungs[1], found, Language.load("en")).sentence
    assert sentence == "Not compared: v4, which it follows, is not in this report."
    said = {text for _, text in headline(ladder, found, Language.load("en"))}
    assert Language.load("en").say("headline.open") not in said


def off_plan(table, **row):
    """Which rungs are said to be off their plan, and how, if v1 is that row."""
    table["rungs"] = [table["rungs"][0] | row, table["rungs"][1]]
    ladder, found = findings_of(table)
    told = [text for text in headline(ladder, found, Language.load("en")) if "planned" in text[1]]
    return [rung.name for rung, _ in found.off_plan], told


def test_a_time_budget_that_was_missed_is_told(table):
    names, told = off_plan(table, training_seconds=108.0)
    assert names == ["v1"]
    ((tone, text),) = told
    assert tone == "bad"
    assert "More than 15 % off the budget of 60 s: v1 (1\u202fmin 48\u202fs, planned" in text


def test_a_budget_in_operations_has_no_time_to_miss(table):
    table["budget"] = "1e13 flop"
    assert off_plan(table, training_seconds=10_000.0) == ([], [])


def test_a_training_that_was_timed_before_is_held_to_that_time_under_any_budget(table):
    table["budget"] = "1e13 flop"
    names, told = off_plan(table, training_seconds=108.0, planned_seconds=90.0)
    assert names == ["v1"]
    ((tone, text),) = told
    assert tone == "open", "it is no failure: the rungs were trained for the same operations"
    assert "v1 (1\u202fmin 48\u202fs, planned 1\u202fmin 30\u202fs). Their steps are" in text
    assert off_plan(table, training_seconds=99.0, planned_seconds=90.0) == ([], [])


def test_a_training_that_stopped_early_has_missed_no_plan(table):
    assert off_plan(table, training_seconds=20.0, stopped_early=True) == ([], [])
