"""The time that a training took is told apart from the time that it was given."""

import pytest

from escada.budget import Budget
from escada.runs.record import RunRecord
from escada.runs.time_budget import budget_seconds, time_in_words, time_warning
from escada.spec import load_spec

FINISHED = {"status": "finished", "dry_run": False, "stopped_early": False}


@pytest.mark.parametrize(
    ("budget", "record", "given"),
    [
        ("60 s", FINISHED, 60.0),
        ("5 min", FINISHED, 300.0),
        ("300 steps", FINISHED, None),
        ("60 s", FINISHED | {"status": "interrupted"}, None),
        ("60 s", FINISHED | {"dry_run": True}, None),
        ("60 s", FINISHED | {"stopped_early": True}, None),
    ],
)
def test_only_a_whole_training_for_a_time_is_held_to_it(budget, record, given):
    spec = load_spec("v1", preset="laptop").with_budget(Budget.parse(budget))
    assert budget_seconds(spec, RunRecord.model_construct(**record)) == given


@pytest.mark.parametrize(("seconds", "said"), [(108.0, "+80%"), (50.9, "-15%"), (69.1, "+15%")])
def test_a_miss_of_more_than_15_percent_is_said(seconds, said):
    warning = time_warning("v1", seconds, 60.0)
    assert warning is not None
    assert said in warning


@pytest.mark.parametrize(("seconds", "given"), [(51.1, 60.0), (68.9, 60.0), (108.0, None)])
def test_a_training_near_its_time_or_without_one_is_not_warned_of(seconds, given):
    assert time_warning("v1", seconds, given) is None


def test_the_table_sets_the_two_side_by_side():
    assert time_in_words(77.7, 60.0) == "78 s of 60 s"
    assert time_in_words(77.7, None) == "78 s"
