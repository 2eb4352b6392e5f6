"""Plans a training for this machine, with measured pace and available memory.

    plan = plan_training(spec, corpus)                    # shown by `escada plan`
    run.update(predicted=predicted_cost(spec, …))         # compared in the cost sheet

The arithmetic is in `escada.cost`; here is only what needs to run training steps.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from escada.cost.energy import estimated_watts
from escada.cost.hardware import hardware
from escada.cost.machine import Machine, Pace
from escada.cost.money import Prices, load_prices
from escada.cost.planner import (
    TrainingPlan,
    make_plan,
    micro_batch_of,
    predicted_cost_of,
)
from escada.cost.tokens import TrainingText, training_text
from escada.models.activation_memory import setting_of
from escada.models.contract import LanguageModel, build_model
from escada.runs.device import memory_errors, synchronize
from escada.runs.record import PredictedCost
from escada.spec import Spec
from escada.text.corpus import Corpus
from escada.training.compilation import ResolvedCompile
from escada.training.distributed import ALONE
from escada.training.memory import (
    MEMORY_SHARE,
    SMALLER,
    free_memory_bytes,
    settle_host_memory,
    shape_of,
)
from escada.training.precision import ResolvedPrecision, resolve_matmul_library, resolve_precision
from escada.training.setup import Setup
from escada.training.step import Stepper

CALIBRATION_SECONDS = 3.0


def plan_training(
    spec: Spec,
    corpus: Corpus | None,
    device: torch.device,
    *,
    memory_bytes: int | None = None,
    calibrate: bool = True,
    prices: Prices | None = None,
) -> TrainingPlan:
    """Plan a training on this machine.

    Args:
        corpus: the training corpus; None: the size of the default corpus is assumed.
        memory_bytes: available to the training; None: 90 % of what is free.
        calibrate: time a few micro-batches; otherwise the pace is unknown.
        prices: None: the user's.

    Raises:
        EscadaError: the precision is unavailable here, or the calibration runs out of memory.
    """
    precision = resolve_precision(spec.train.precision, device)
    prices = prices or load_prices()
    text = training_text(spec, corpus)
    model = shape_of(spec, text.vocab_size)
    machine = machine_here(device, precision, prices, memory_bytes=memory_bytes)
    plan = make_plan(spec, model, text, machine, prices)
    if not calibrate or plan.fits is False:
        return plan
    pace = measure_pace(spec, text.vocab_size, device, precision, plan.micro_batch)
    machine = machine_here(device, precision, prices, memory_bytes=memory_bytes, pace=pace)
    return make_plan(spec, model, text, machine, prices)


def machine_here(
    device: torch.device,
    precision: ResolvedPrecision,
    prices: Prices,
    *,
    memory_bytes: int | None = None,
    pace: Pace | None = None,
    shards: int = 1,
) -> Machine:
    """Describe this machine for the planner."""
    found = hardware(device)
    watts, basis = estimated_watts(found, prices.settings) or (None, "not known")
    return Machine(
        title=found.title,
        setting=replace(setting_of(precision.name, device), shards=shards),
        memory_bytes=memory_bytes or int(MEMORY_SHARE * free_memory_bytes(device)),
        gpu=found.device,
        watts=watts,
        watts_basis=basis,
        pace=pace,
    )


def measure_pace(
    spec: Spec,
    vocab_size: int,
    device: torch.device,
    precision: ResolvedPrecision,
    sequences: int,
    *,
    seconds: float = CALIBRATION_SECONDS,
) -> Pace:
    """Median times of a micro-batch and of an update, for random ids and a throwaway model.

    The parts of a step are timed and added up, rather than whole steps of many micro-batches.
    """
    with torch.random.fork_rng(), memory_errors("calibration", SMALLER):
        plain = ResolvedCompile(False, "parts are timed")
        matmul_library = resolve_matmul_library(precision.name, device)
        setup = Setup(device, precision, plain, ALONE, matmul_library=matmul_library)
        model = build_model(spec.model, vocab_size, seed=0).to(device).train()
        stepper = Stepper(model, spec.train, setup)
        ids_BT = torch.randint(vocab_size, (sequences, spec.train.window_tokens + 1), device=device)
        windows = ids_BT, torch.zeros(sequences, dtype=torch.int64)
        settle_host_memory(spec, model, device, precision, sequences=sequences)

        def clip_and_update() -> None:  # keeps the gradient for the next repetition
            stepper.clip()
            stepper.update()

        for _ in range(2):  # warm-up
            stepper.add_gradient(windows)
            clip_and_update()
        micros = _times(lambda: stepper.add_gradient(windows), device, seconds)
        updates = _times(clip_and_update, device, seconds / 6)
    note = f"{sequences} sequences at a time, {torch.get_num_threads()} threads, {precision.name}"
    micro, update = statistics.median(micros), statistics.median(updates)
    return Pace("measured", note, sequences, micro, update, spread=_spread(micros))


def _times(work: Callable[[], None], device: torch.device, limit_seconds: float) -> list[float]:
    times: list[float] = []
    while len(times) < 3 or sum(times) < limit_seconds:
        begun = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - begun)
    return times


def _spread(times: list[float]) -> float:
    """The ratio of the 90 % to the 10 % quantile."""
    tenths = statistics.quantiles(times, n=10, method="inclusive")
    return tenths[-1] / tenths[0]


def predicted_cost(
    spec: Spec,
    model: LanguageModel,
    training_tokens: int,
    device: torch.device,
    precision: ResolvedPrecision,
    *,
    shards: int = 1,
    seconds_per_step: float | None = None,
    total_steps: int | None = None,
) -> PredictedCost:
    """The predicted cost of a training, for its record and cost sheet.

    Args:
        model: may be on the meta device.
        shards: processes that divide weights, gradients and optimizer state among them.
        seconds_per_step: as calibrated; None: hours and what depends on them are unknown.
        total_steps: None: from the spec's budget.
    """
    prices = load_prices()
    pace = None
    if seconds_per_step is not None:
        micro = micro_batch_of(spec, None)
        each = seconds_per_step * micro / spec.train.batch_sequences
        pace = Pace("measured", "whole steps", micro, each)
    machine = machine_here(device, precision, prices, pace=pace, shards=shards)
    text = TrainingText(training_tokens, 0, model.vocab_size, "counted")
    plan = make_plan(spec, model, text, machine, prices)
    if total_steps is not None:
        plan = replace(plan, total_steps=total_steps)
    return predicted_cost_of(plan)
