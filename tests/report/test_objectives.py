import pytest

from escada.report.data import read_ladder
from escada.report.findings import find
from escada.report.i18n import Language
from escada.report.objectives import objectives


def judged(folder):
    """Outcome and sentences of each rung, in English."""
    ladder, language = read_ladder(folder), Language.load("en")
    findings = find(ladder)
    found = {rung.name: objectives(rung, ladder, findings) for rung in ladder.rungs}
    return {
        name: (one.outcome, " ".join(goal.sentence(language) for goal in one.goals))
        for name, one in found.items()
    }


def test_each_rung_is_judged_by_the_data(climb):
    found = judged(climb())
    assert {name: outcome for name, (outcome, _) in found.items()} == {
        "v1": "met",
        "v2": "met",
        "v3": "missed",
        "v4": "missed",  # better, but its steps per byte are those of v3
        "v4_gru": "open",
        "v5": "met",
        "v_final": "open",
    }
    assert found["v1"][1] == (
        "2.487 bits per byte, better than the character bigram model (3.412)."
    )
    assert found["v3"][1] == "+0.042 bits per byte against v2 [0.031, 0.054]: worse."
    assert found["v4"][1].endswith("0.29 steps per byte, no fewer than v3 (0.29).")
    assert found["v_final"][1] == "Not compared with v5."


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("undecided", "open"), ("worse", "missed"), ("better", "met")],
)
def test_a_first_rung_is_set_beside_the_bigram_model_by_the_paired_test(
    climb, table, verdict, outcome
):
    table["rungs"] = table["rungs"][:1]
    table["baseline_comparisons"][0]["verdict"] = verdict
    assert judged(climb(table))["v1"][0] == outcome


def test_without_the_bigram_model_a_first_rung_is_open(climb, table):
    table["baselines"] = []
    assert judged(climb(table))["v1"] == ("open", "")


@pytest.fixture
def beside_v1(table):
    """v5 is set beside v1 too, and beside a rung that is not there."""
    v5 = next(rung for rung in table["rungs"] if rung["name"] == "v5")
    v5["about"]["also_against"] = ["v1", "nowhere"]
    return table


def test_what_nobody_compared_is_open(climb, beside_v1):
    assert judged(climb(beside_v1))["v5"][0] == "open"


def test_a_rung_must_beat_all_that_it_is_set_beside(climb, beside_v1):
    row = {"a": "v5", "b": "v1", "scope": "run", "difference": 0.1, "relative": 0.05}
    row |= {"ci95": [0.05, 0.15], "p_value": 0.01, "significant": True, "verdict": "worse"}
    beside_v1["comparisons"] = [row]
    outcome, said = judged(climb(beside_v1))["v5"]
    assert outcome == "missed"
    assert "+0.100 bits per byte against v1 [0.050, 0.150]: worse." in said
    assert "nowhere" not in said


def test_fewer_steps_a_byte_are_asked_of_a_new_tokenizer(climb, table):
    v4 = next(rung for rung in table["rungs"] if rung["name"] == "v4")
    v4["training_bytes"] = 8_600_000
    outcome, said = judged(climb(table))["v4"]
    assert outcome == "met"
    assert said.endswith("0.14 steps per byte; v3: 0.29.")


@pytest.fixture
def of_v2(climb, table):
    """The climb with the specs of v1 and v2 under a preset, and v2's objective about `tests`."""
    from escada.report.changes import settings_of
    from escada.spec import load_spec

    def write(preset, tests):
        for rung in table["rungs"][:2]:
            spec = load_spec(rung["name"], preset=preset)
            rung["settings"] = settings_of(spec).model_dump()
        table["rungs"][1]["about"]["tests"] = tests
        return climb(table)

    return write


def judged_v2(folder, code="en"):
    ladder, language = read_ladder(folder), Language.load(code)
    found = objectives(ladder.rungs[1], ladder, find(ladder))
    return found.outcome, found.verdict(language), found.sentences(language)


ABOUT_V2 = ["model.d_hidden", "model.dropout", "model.recurrent_dropout"]


def test_an_objective_is_judged_only_as_far_as_the_preset_tests_it(of_v2):
    folder = of_v2("laptop", ABOUT_V2)
    outcome, verdict, said = judged_v2(folder)
    assert (outcome, verdict) == ("met", "reached, as far as it is tested")
    assert said.endswith("Not tested here, the same in both: dropout and weight-drop.")
    assert judged_v2(folder, "pt")[1] == "alcançado, no que se testa aqui"


def test_an_objective_that_the_preset_tests_is_judged_whole(of_v2):
    outcome, verdict, said = judged_v2(of_v2("full", ABOUT_V2))
    assert (outcome, verdict) == ("met", "reached")
    assert "Not tested" not in said


def test_an_objective_that_the_preset_does_not_test_is_not_judged(of_v2):
    outcome, verdict, said = judged_v2(of_v2("laptop", ABOUT_V2[1:]))
    assert (outcome, verdict) == ("untested", "not judged")
    assert "bits per byte against v1" in said, "what was expected is still compared"


def test_of_runs_without_specs_nothing_is_said_to_be_untested(climb, table):
    table["rungs"][1]["about"]["tests"] = ABOUT_V2
    assert judged_v2(climb(table))[1] == "reached"
