"""Resolves a budget to a number of steps, timing a step where the budget needs it."""

from __future__ import annotations

import time

import torch

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.runs.device import synchronize
from escada.runs.run import Run
from escada.training.loop import Training
from escada.training.memory import shape_of
from escada.training.plan import predicted_cost

CALIBRATION_SECONDS = 3.0
CALIBRATION_WARMUP_STEPS = 2
LONG_TRAINING_STEPS = 2_000
"""Trainings at least this long are timed whatever the unit of their budget."""
DRY_RUN_STEPS = 1_000
DRY_RUN_SECONDS = 60.0


def fixed_steps(run: Run, probe: Training) -> dict[str, object]:
    """Fix the number of steps before the schedule starts, and predict the cost, for the record.

    The throwaway training `probe` is timed if the budget is in seconds or the run is a dry run, and
    for a long training, there only to predict its hours.
    """
    record, train, batches = run.record, run.spec.train, probe.batches
    seconds = None
    if train.budget.unit == "seconds" or record.dry_run:
        seconds = _seconds_per_step(probe)
    of_budget = train.budget.steps(
        steps_per_epoch=batches.steps_per_epoch,
        targets_per_step=targets_per_step(train),
        flops_per_step=training_flops_per_step(probe.model, train),
        seconds_per_step=seconds,
    )
    if seconds is None and of_budget >= LONG_TRAINING_STEPS:
        seconds = _seconds_per_step(probe)
    steps = dry_run_steps(of_budget, seconds) if record.dry_run and seconds else of_budget
    # A sharded model can only be used as a whole, by all processes together.
    shards = probe.setup.shards
    model = probe.model if shards == 1 else shape_of(run.spec, run.tokenizer.vocab_size)
    before = record.continued_from.step if record.continued_from else 0
    return {
        "parameters": probe.model.parameter_count(),
        "predicted": predicted_cost(
            run.spec,
            model,
            batches.stream.n_tokens,
            probe.setup.device,
            probe.setup.precision,
            shards=shards,
            total_steps=steps,
            seconds_per_step=seconds,
        ),
        "total_steps": before + steps,
        **({"planned_steps": of_budget} if record.dry_run else {}),
        **({"calibrated_seconds_per_step": seconds} if seconds is not None else {}),
    }


def dry_run_steps(steps: int, seconds_per_step: float) -> int:
    """Cap a dry run at 1,000 steps and one minute."""
    return max(1, min(steps, DRY_RUN_STEPS, int(DRY_RUN_SECONDS / seconds_per_step)))


def _seconds_per_step(probe: Training) -> float:
    """Median time of a training step; with several processes, as rank 0 measures it."""
    world = probe.world
    with torch.random.fork_rng():
        for _ in range(CALIBRATION_WARMUP_STEPS):
            probe.step()
        seconds: list[float] = []
        while world.from_first(sum(seconds) < CALIBRATION_SECONDS or len(seconds) < 3):
            begun = time.perf_counter()
            probe.step()
            synchronize(probe.setup.device)
            seconds.append(time.perf_counter() - begun)
    return world.from_first(sorted(seconds)[len(seconds) // 2])
