"""Plans: their arithmetic by hand, their keys, their warnings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from escada.budget import Budget
from escada.cost.gpus import known_devices
from escada.cost.machine import Pace, known_gpu, parse_memory, unknown_gpu
from escada.cost.money import load_prices
from escada.cost.planner import make_plan, predicted_cost_of
from escada.cost.sheet import COMPARED
from escada.cost.tokens import TrainingText, bytes_per_token, training_text
from escada.errors import EscadaError
from escada.models import transformer
from escada.spec import load_spec
from escada.training.memory import shape_of

TEXT = TrainingText(tokens=10_000_000, bytes=34_000_000, vocab_size=4096, basis="counted")


def plan_of(rung="v5", gpu="rtx3060-12gb", text=TEXT, budget=None, overrides=(), cost=()):
    spec = load_spec(rung, overrides=list(overrides))
    if budget:
        spec = spec.with_budget(Budget.parse(budget))
    machine = known_gpu(gpu, spec) if gpu else unknown_gpu(parse_memory("12GB"), spec)
    return make_plan(spec, shape_of(spec, text.vocab_size), text, machine, load_prices(list(cost)))


def test_hours_energy_and_money_by_hand():
    """v5 full: 50,000 steps of 1.2565e12 FLOP at 0.26 of 25.5 TFLOP/s and 170 W."""
    facts = plan_of(cost=["electricity_usd_per_kwh=0.2", "brl_per_usd=5"]).to_json()
    flops = 76_690_944 * 16_384
    efficiency = 0.45 * (384 / 768) ** 0.8
    hours = 50_000 * flops / (efficiency * 25.5e12) / 3600
    assert facts["training_flops"] == 50_000 * flops
    assert facts["training_tokens"] == 50_000 * 16_384
    assert facts["hours"] == pytest.approx(hours)
    assert facts["kwh"] == pytest.approx(hours * 0.170)
    assert facts["usd"] == pytest.approx(hours * 0.170 * 0.2)
    assert facts["brl"] == pytest.approx(5 * facts["usd"])
    assert facts["tokens_per_parameter"] == pytest.approx(819_200_000 / 12_220_416)


GPT2 = (
    *("model.d_model=768", "model.d_ff=3072", "model.n_heads=12", "model.n_layers=12"),
    *("model.context_tokens=1024", "model.dropout=0.0", "model.attention_dropout=0.0"),
    *("train.window_tokens=1024", "train.batch_sequences=60", "train.micro_batch_sequences=12"),
)
"""GPT-2 124M and what one of eight GPUs does of nanoGPT's batch of 480 sequences."""
BABY = ("train.window_tokens=256", "train.batch_sequences=64")
"""v5 with 65 characters in place of subwords is nanoGPT's model of Shakespeare."""


@pytest.mark.parametrize(
    ("overrides", "rung", "vocabulary", "published_seconds"),
    [
        (GPT2, "v_final", 50_304, 4 * 86_400 / 600_000),
        (GPT2, "v_final", 50_304, 0.562),
        (BABY, "v5", 65, 0.894 / 40),
    ],
    ids=["README: 4 days of 600,000", "issue 110", "issue 178"],
)
def test_a_step_on_an_a100_takes_about_as_long_as_nanogpt_s_published_one(
    overrides, rung, vocabulary, published_seconds
):
    text = replace(TEXT, vocab_size=vocabulary)
    plan = plan_of(rung, "a100-40gb", text, "10 steps", overrides)
    assert plan.seconds_per_step == pytest.approx(published_seconds, rel=0.25)
    assert f"assumed efficiency {0.28 if overrides is GPT2 else 0.16:.2f} of 312" in warnings(
        gpu="a100-40gb", overrides=overrides, rung=rung, text=text
    )


def test_a_rented_gpu_costs_its_hours():
    facts = plan_of(cost=["rent_usd_per_hour=0.5"]).to_json()
    assert facts["money_basis"] == "rent"
    assert facts["usd"] == pytest.approx(0.5 * facts["hours"])


@pytest.mark.parametrize(
    ("budget", "steps"),
    [("7 steps", 7), ("163840 tokens", 10), ("2 epochs", 2 * 39_063 / 64), ("1e15 flop", 795.86)],
)
def test_a_budget_becomes_steps(budget, steps):
    found = plan_of(budget=budget).total_steps
    assert steps <= found < steps + 1


def test_a_budget_in_minutes_is_its_own_time_even_where_the_pace_is_unknown():
    plan = plan_of(gpu=None, budget="30 min")
    assert (plan.hours, plan.total_steps) == (0.5, None)
    assert plan.to_json()["kwh"] is None


def test_a_measured_pace_adds_micro_batches_and_one_update():
    pace = Pace("measured", "", sequences=8, micro_batch_seconds=0.5, update_seconds=0.1)
    assert pace.seconds_per_step(1e12, 8, 64) == pytest.approx(8 * 0.5 + 0.1)
    assert pace.seconds_per_step(1e12, 16, 64) == pytest.approx(8 * 0.5 + 0.1)


def warnings(**options) -> str:
    return "\n".join(plan_of(**options).to_json()["warnings"])


def test_a_machine_whose_pace_varied_is_warned_of():
    spec = load_spec("v5")
    for spread, warned in ((1.2, False), (2.5, True)):
        pace = Pace("measured", "", 8, 0.5, 0.1, spread=spread)
        machine = replace(known_gpu("rtx3060-12gb", spec), pace=pace)
        plan = make_plan(spec, shape_of(spec, 4096), TEXT, machine, load_prices([]))
        found = "pace varied 2.5 times" in "\n".join(plan.to_json()["warnings"])
        assert found is warned


def test_a_long_warmup_is_warned_of_and_a_short_one_is_not():
    assert "warm-up of 2,000 steps is 40%" in warnings(budget="5000 steps")
    assert "warm-up" not in warnings(budget="20k steps")


def test_windows_seen_hundreds_of_times_are_warned_of():
    small = TrainingText(900_000, 3_000_000, 4096, "counted")
    assert "910 epochs: expect overfitting" in warnings(text=small)
    assert "epochs: expect" not in warnings()


def test_a_vocabulary_too_large_for_the_text_is_warned_of():
    assert "vocabulary of 4,096 is large" in warnings(
        text=TrainingText(900_000, 3_000_000, 4096, "counted")
    )
    assert "vocabulary" not in warnings()
    assert "vocabulary" not in warnings(rung="v1", text=TrainingText(10**5, 10**5, 210, "counted"))


def test_too_few_and_too_many_tokens_a_parameter_are_warned_of():
    assert "a smaller model does better" in warnings(budget="1000 steps")
    assert "a larger model does better" in warnings(budget="400k steps")
    assert "compute-optimal" not in warnings(budget="20k steps")


def test_what_does_not_fit_is_warned_of_with_the_micro_batch_that_does():
    fits_not = ["train.micro_batch_sequences=4096", "train.batch_sequences=4096"]
    plan = plan_of(overrides=fits_not)
    largest = plan.largest_micro_batch
    assert plan.fits is False
    assert f"train.micro_batch_sequences={largest} fits" in plan.to_json()["warnings"][0]
    mended = plan_of(overrides=[f"train.micro_batch_sequences={largest}", fits_not[1]])
    assert mended.fits


def test_a_kind_of_model_may_state_its_own_efficiency(monkeypatch):
    usual = plan_of().seconds_per_step
    half = (384 / 768) ** 0.8 / 2
    monkeypatch.setattr(transformer, "PLANNED_EFFICIENCY", half, raising=False)
    assert plan_of().seconds_per_step == pytest.approx(2 * usual)


def test_auto_takes_the_largest_micro_batch_that_fits():
    plan = plan_of(overrides=["train.micro_batch_sequences=auto", "train.batch_sequences=4096"])
    assert plan.micro_batch == plan.largest_micro_batch < 4096
    assert plan.fits


def test_a_prediction_has_what_a_cost_sheet_compares():
    facts = predicted_cost_of(plan_of()).model_dump()
    assert set(COMPARED) <= set(facts)
    assert facts["memory_bytes"] == facts["memory"]["total"]


@pytest.mark.parametrize("gpu", known_devices())
@pytest.mark.parametrize("rung", ["v1", "v5"])
def test_every_known_gpu_can_be_planned_for(gpu, rung):
    facts = plan_of(rung=rung, gpu=gpu).to_json()
    assert facts["hours"] > 0
    assert facts["memory"]["total"] > 0


@pytest.mark.parametrize(
    ("text", "expected"), [("12GB", 12 * 2**30), ("800 MiB", 800 * 2**20), ("1.5g", 1.5 * 2**30)]
)
def test_memory_is_read_in_powers_of_1024(text, expected):
    assert parse_memory(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "12 bananas", "0GB"])
def test_memory_that_is_no_memory_is_one_line(text):
    with pytest.raises(EscadaError, match="12GB"):
        parse_memory(text)


def test_without_a_corpus_the_text_is_assumed_and_said_so():
    facts = training_text(load_spec("v5"), None)
    assert facts.basis == "assumed"
    assert "default corpus is assumed" in warnings(text=facts)


def test_a_corpus_without_tokens_is_estimated_near_what_they_will_be(corpus):
    from escada.text.token_cache import prepare_tokens

    spec = load_spec("v1", preset="laptop")
    before = training_text(spec, corpus)
    tokenizer, stream = prepare_tokens(corpus, spec.tokenizer)
    after = training_text(spec, corpus)
    assert (after.tokens, after.vocab_size) == (stream.n_tokens, tokenizer.vocab_size)
    assert after.basis == "counted"
    assert before.tokens == pytest.approx(after.tokens, rel=0.1)


def test_more_vocabulary_makes_longer_tokens():
    sizes = [260, 1024, 2000, 4096, 8000, 16_384, 65_536]
    lengths = [
        bytes_per_token(load_spec("v5", overrides=[f"tokenizer.vocab_size={n}"]).tokenizer)
        for n in sizes
    ]
    assert lengths == sorted(lengths)
    assert lengths[1] == pytest.approx(2.378)
    assert lengths[3] == pytest.approx(3.393)
