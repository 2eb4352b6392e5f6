"""The machine at hand: its pace, the micro-batch that it has memory for, and what a run records."""

from __future__ import annotations

import pytest
import torch

from escada.budget import Budget
from escada.errors import EscadaError
from escada.files import read_json
from escada.runs.record import MicroBatchChoice
from escada.spec import load_spec
from escada.training import calibration, memory
from escada.training import plan as planning
from escada.training.memory import choose_micro_batch, free_memory_bytes
from escada.training.plan import measure_pace, plan_training
from escada.training.precision import ResolvedPrecision
from escada.training.run import start

CPU = torch.device("cpu")
FP32 = ResolvedPrecision("fp32", "test")


def spec_of(*overrides: str, rung: str = "v1"):
    return load_spec(rung, preset="laptop", overrides=["train.precision=fp32", *overrides])


def test_a_number_in_the_spec_is_left_alone():
    spec = spec_of("train.micro_batch_sequences=4")
    assert choose_micro_batch(spec, 100, CPU, FP32, memory_bytes=1) == (
        spec,
        MicroBatchChoice(wanted=4, sequences=4),
    )


def test_auto_keeps_the_batch_and_fits_the_memory():
    spec = spec_of("train.micro_batch_sequences=auto", "train.batch_sequences=4096")
    chosen, choice = choose_micro_batch(spec, 100, CPU, FP32, memory_bytes=600 * 2**20)
    assert chosen.train.batch_sequences == 4096
    assert 1 < chosen.train.micro_batch_sequences < 4096
    assert choice.sequences == chosen.train.micro_batch_sequences


def test_a_batch_that_fits_stays_whole_and_one_that_does_not_is_divided():
    spec = spec_of("train.batch_sequences=4096")
    assert choose_micro_batch(spec, 100, CPU, FP32, memory_bytes=2**40)[0] == spec
    divided, _ = choose_micro_batch(spec, 100, CPU, FP32, memory_bytes=600 * 2**20)
    assert divided.train.micro_batch_sequences < 4096


def test_processes_share_the_batch_and_the_memory():
    spec = spec_of("train.micro_batch_sequences=auto", "train.batch_sequences=64")
    chosen, _ = choose_micro_batch(spec, 100, CPU, FP32, processes=4, memory_bytes=2**40)
    assert chosen.train.micro_batch_sequences == 16


def test_memory_for_not_even_one_sequence_is_one_line():
    with pytest.raises(EscadaError, match="single sequence"):
        choose_micro_batch(spec_of(), 100, CPU, FP32, memory_bytes=2**20)


def test_a_pace_is_measured_in_its_parts():
    pace = measure_pace(spec_of(), 100, CPU, FP32, 2, seconds=0.05)
    assert pace.basis == "measured"
    assert pace.micro_batch_seconds > 0
    assert pace.update_seconds > 0


def test_measuring_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    measure_pace(spec_of(), 100, CPU, FP32, 2, seconds=0.01)
    assert torch.equal(before, torch.get_rng_state())


def test_without_calibration_nothing_runs_and_hours_are_unknown(monkeypatch):
    monkeypatch.setattr(planning, "measure_pace", lambda *_: pytest.fail("it ran"))
    spec = spec_of().with_budget(Budget.parse("10 steps"))
    facts = plan_training(spec, None, CPU, calibrate=False).to_json()
    assert facts["hours"] is None
    assert any("not known" in warning for warning in facts["warnings"])


def test_memory_that_is_free_is_some():
    assert free_memory_bytes(CPU) > 2**24


@pytest.fixture
def little_memory(monkeypatch):
    """Room for a part of the batch only."""
    monkeypatch.setattr(memory, "free_memory_bytes", lambda _: 480 * 2**20)


def test_a_run_records_its_micro_batch_and_what_was_predicted(corpus, tmp_path, little_memory):
    spec = spec_of("train.micro_batch_sequences=auto", "train.batch_sequences=1024")
    run = start(spec.with_budget(Budget.parse("1 steps")), corpus, tmp_path, device="cpu")
    micro = run.record.setup.micro_batch_sequences
    assert 1 <= micro < 1024
    choice = run.record.micro_batch
    assert (choice.wanted, choice.sequences) == ("auto", micro)
    predicted = read_json(run.layout.cost)["predicted"]
    parts = dict(predicted["memory"])
    assert predicted["memory_bytes"] == parts.pop("total") == sum(parts.values())
    assert predicted["training_flops"] == run.record.training_flops


def test_a_chosen_micro_batch_changes_no_key(corpus, tmp_path, monkeypatch):
    """So that a climb finds the run again on a day with more memory."""
    spec = spec_of("train.micro_batch_sequences=auto", "train.batch_sequences=16")
    spec = spec.with_budget(Budget.parse("1 steps"))
    keys = set()
    for mib in (470, 4000):
        monkeypatch.setattr(memory, "free_memory_bytes", lambda _, m=mib: m * 2**20)
        keys.add(start(spec, corpus, tmp_path / str(mib), device="cpu").record.key)
    assert len(keys) == 1


def test_a_long_training_is_told_its_hours_whatever_its_budget(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(calibration, "CALIBRATION_SECONDS", 0.01)
    monkeypatch.setattr(calibration, "LONG_TRAINING_STEPS", 3)
    spec = spec_of("train.micro_batch_sequences=2", "train.batch_sequences=2")
    hours = {
        steps: start(
            spec.with_budget(Budget.parse(f"{steps} steps")), corpus, tmp_path, device="cpu"
        ).record.predicted.hours
        for steps in (2, 3)
    }
    assert hours[2] is None
    assert hours[3] > 0


def test_the_spread_of_a_pace_is_that_of_its_slow_steps_over_its_fast_ones():
    assert planning._spread([1.0] * 20) == 1
    assert planning._spread([1.0] * 10 + [3.0] * 10) == 3
    assert planning._spread([1.0] * 19 + [50.0]) == 1  # one step alone is no pace
    assert planning._spread([1.0, 2.0, 3.0]) == pytest.approx(2.8 / 1.2)
