"""The time that a training took is told apart from the time that was planned for it."""

import pytest

from escada.runs.record import Continued, RunRecord
from escada.runs.time_budget import planned_seconds, time_in_words, time_warning

FINISHED = {"status": "finished", "dry_run": False, "stopped_early": False, "total_steps": 300}
EARLIER = Continued(run="r", key="k", budget="1 min", step=100, training_seconds=70.0)


@pytest.mark.parametrize(
    ("budget", "record", "planned"),
    [
        ("60 s", {}, 60.0),
        ("5 min", {}, 300.0),
        ("60 s", {"continued_from": EARLIER}, 130.0),
        ("60 s", {"calibrated_seconds_per_step": 9.0}, 60.0),
        ("1e13 flop", {}, None),
        ("1e13 flop", {"calibrated_seconds_per_step": 0.5}, 150.0),
        ("300 steps", {"calibrated_seconds_per_step": 0.5, "continued_from": EARLIER}, 170.0),
        ("60 s", {"status": "interrupted"}, None),
        ("60 s", {"dry_run": True}, None),
        ("60 s", {"stopped_early": True}, None),
        ("1e13 flop", {"calibrated_seconds_per_step": 0.5, "stopped_early": True}, None),
    ],
)
def test_only_a_whole_training_that_was_timed_or_given_a_time_has_a_plan(budget, record, planned):
    record = RunRecord.model_construct(budget=budget, **FINISHED | record)
    assert planned_seconds(record) == planned


@pytest.mark.parametrize(("seconds", "said"), [(108.0, "+80%"), (50.9, "-15%"), (69.1, "+15%")])
def test_a_miss_of_more_than_15_percent_is_said(seconds, said):
    warning = time_warning("v1", seconds, 60.0)
    assert warning is not None
    assert said in warning


@pytest.mark.parametrize(("seconds", "given"), [(51.1, 60.0), (68.9, 60.0), (108.0, None)])
def test_a_training_near_its_time_or_without_one_is_not_warned_of(seconds, given):
    assert time_warning("v1", seconds, given) is None


def test_the_table_sets_the_two_side_by_side():
    assert time_in_words(77.7, 60.0) == "78 s of 60 s †"
    assert time_in_words(60.7, 60.0) == "61 s of 60 s"
    assert time_in_words(77.7, None) == "78 s"
