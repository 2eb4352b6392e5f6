"""How many steps a training has, and how long one of them takes on this machine."""

from __future__ import annotations

import time
from typing import Any

import torch

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.runs.run import Run
from escada.training.budget import dry_run_steps, total_steps
from escada.training.loop import Training

CALIBRATION_SECONDS = 3.0
CALIBRATION_WARMUP_STEPS = 2
LONG_TRAINING_STEPS = 2_000
"""From here on a training is calibrated whatever its budget's unit."""


def plan_steps(run: Run, probe: Training, steps_per_epoch: float) -> dict[str, Any]:
    """Fix the number of steps, and measure a step where that is wanted.

    It is where time decides, and in a training so long that the seconds do not count: then only to
    have a prediction of its hours.

    Args:
        run: its spec has the budget; a dry run gets fewer steps.
        probe: a training that is thrown away.
        steps_per_epoch: of the run's batches.

    Returns:
        For the record: `total_steps`; if it is a dry run `planned_steps`; if a step was measured
        `calibrated_seconds_per_step`.
    """
    measured: list[float] = []

    def calibrated() -> float:
        if not measured:
            measured.append(_seconds_per_step(probe))
        return measured[0]

    train = run.spec.train
    steps = total_steps(
        train.budget,
        steps_per_epoch=steps_per_epoch,
        targets_per_step=targets_per_step(train),
        flops_per_step=training_flops_per_step(probe.model, train),
        seconds_per_step=calibrated,
    )
    facts: dict[str, Any] = {"total_steps": steps}
    if run.record["dry_run"]:
        facts |= {"total_steps": dry_run_steps(steps, calibrated()), "planned_steps": steps}
    if facts["total_steps"] >= LONG_TRAINING_STEPS:
        calibrated()
    if measured:
        facts["calibrated_seconds_per_step"] = measured[0]
    return facts


def _seconds_per_step(probe: Training) -> float:
    """Median time of a training step, measured on a model that is thrown away afterwards.

    Several processes step together; what rank 0 measures is what all go by.
    """
    world = probe.world
    with torch.random.fork_rng():
        for _ in range(CALIBRATION_WARMUP_STEPS):
            probe.step()
        seconds: list[float] = []
        while world.from_first(sum(seconds) < CALIBRATION_SECONDS or len(seconds) < 3):
            begun = time.perf_counter()
            probe.step()
            if probe.device.type == "cuda":
                torch.cuda.synchronize(probe.device)
            seconds.append(time.perf_counter() - begun)
    return world.from_first(sorted(seconds)[len(seconds) // 2])
