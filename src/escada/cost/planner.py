"""Predicts parameters, FLOPs, memory, time, energy and money of a training.

    text = training_text(spec, corpus)             # corpus may be None
    plan = make_plan(spec, model, text, machine, prices)
    plan.to_json()                                 # printed by `escada plan --json`

No model runs here. The machine gives the pace: measured (`escada.training.plan`), or datasheet peak
times an assumed efficiency. Formulas and their accuracy: docs/planner.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from escada.cost.flops import targets_per_step, training_flops_per_step
from escada.cost.footprint import (
    Footprint,
    footprint,
    largest_micro_batch,
    to_table,
    with_large_kept,
)
from escada.cost.machine import Machine
from escada.cost.money import Bill, Prices
from escada.cost.tokens import TrainingText
from escada.cost.warnings import COMPUTE_OPTIMAL_TOKENS, warnings_of
from escada.models.contract import LanguageModel
from escada.runs.kept import MOST_KEPT, kept_steps, weights_bytes
from escada.runs.record import PredictedCost
from escada.spec import Spec

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """A plan; hours and what depends on them are None if the pace is unknown."""

    spec: Spec
    machine: Machine
    prices: Prices
    text: TrainingText
    parameters: int
    flops_per_token: float
    flops_per_step: float
    targets_per_step: int
    total_steps: int | None
    memory: Footprint
    micro_batch: int
    largest_micro_batch: int | None
    seconds_per_step: float | None
    weights_bytes: int

    @property
    def kept(self) -> int:
        """Checkpoints that `train.keep` keeps besides the last and the best, at most."""
        if self.spec.train.keep == "last":
            return 0
        return MOST_KEPT if self.total_steps is None else len(kept_steps(self.total_steps))

    @property
    def kept_bytes(self) -> int:
        """Disk that they take, at most."""
        return self.kept * self.weights_bytes

    @property
    def training_tokens(self) -> int | None:
        """Predictions trained."""
        return None if self.total_steps is None else self.total_steps * self.targets_per_step

    @property
    def seen_tokens(self) -> int | None:
        """Input tokens read."""
        train = self.spec.train
        per_step = train.batch_sequences * train.window_tokens
        return None if self.total_steps is None else self.total_steps * per_step

    @property
    def training_flops(self) -> float | None:
        """FLOPs of all steps."""
        return None if self.total_steps is None else self.total_steps * self.flops_per_step

    @property
    def passes(self) -> float | None:
        """Epochs: how often each window is trained."""
        if self.seen_tokens is None:
            return None
        windows = self.seen_tokens / self.spec.train.window_tokens
        return windows / self.text.windows(self.spec.train)

    @property
    def hours(self) -> float | None:
        """Hours in training steps; excludes validation and saving."""
        if self.total_steps is not None and self.seconds_per_step is not None:
            return self.total_steps * self.seconds_per_step / 3600
        budget = self.spec.train.budget
        return budget.amount / 3600 if budget.unit == "seconds" else None

    @property
    def fits(self) -> bool | None:
        """Whether it fits into the machine's memory; None if unknown."""
        if self.machine.memory_bytes is None:
            return None
        return self.memory.total_bytes <= self.machine.memory_bytes

    @property
    def tokens_per_second(self) -> float | None:
        """Predictions per second; None if the pace is unknown."""
        seconds = self.seconds_per_step
        return None if not seconds else self.targets_per_step / seconds

    @property
    def kwh(self) -> float | None:
        """Energy of the training."""
        watts, hours = self.machine.watts, self.hours
        return None if hours is None or watts is None else hours * watts / 1000

    @property
    def bill(self) -> Bill | None:
        """Cost of the training."""
        if self.hours is None:
            return None
        return self.prices.bill(hours=self.hours, kwh=self.kwh, device=self.machine.gpu)

    def to_json(self) -> dict[str, object]:
        """The plan for `escada plan --json`."""
        spec, tokens, bill = self.spec, self.training_tokens, self.bill
        per_parameter = None if tokens is None else tokens / self.parameters
        return {
            "schema_version": SCHEMA_VERSION,
            "rung": spec.name,
            "preset": spec.preset,
            "budget": str(spec.train.budget),
            "parameters": self.parameters,
            "vocab_size": self.text.vocab_size,
            "flops_per_token": self.flops_per_token,
            "flops_per_step": self.flops_per_step,
            "training_flops": self.training_flops,
            "training_tokens": tokens,
            "tokens_per_step": self.targets_per_step,
            "total_steps": self.total_steps,
            "tokens_per_parameter": per_parameter,
            "compute_optimal_tokens": COMPUTE_OPTIMAL_TOKENS * self.parameters,
            "passes": self.passes,
            "text": self.text.to_json(),
            "memory": to_table(self.memory),
            "memory_available_bytes": self.machine.memory_bytes,
            "fits": self.fits,
            "micro_batch": self.micro_batch,
            "largest_micro_batch": self.largest_micro_batch,
            "batch_sequences": spec.train.batch_sequences,
            "kept_checkpoints": self.kept,
            "kept_bytes": self.kept_bytes,
            "seconds_per_step": self.seconds_per_step,
            "tokens_per_second": self.tokens_per_second,
            "hours": self.hours,
            "kwh": self.kwh,
            "usd": bill.usd if bill else None,
            "brl": bill.brl if bill else None,
            "money_basis": bill.basis if bill else None,
            "co2_g": None if self.kwh is None else self.prices.co2_g(self.kwh),
            "grid": self.prices.grid,
            "machine": self.machine.to_json(),
            "warnings": warnings_of(self),
        }


def make_plan(
    spec: Spec, model: LanguageModel, text: TrainingText, machine: Machine, prices: Prices
) -> TrainingPlan:
    """Make a plan; `model` may be on the meta device."""
    train = spec.train
    largest = None
    if machine.memory_bytes is not None:
        largest = largest_micro_batch(model, train, machine.memory_bytes, machine.setting)
    micro = micro_batch_of(spec, largest)
    setting = with_large_kept(model, train, machine.memory_bytes, machine.setting, sequences=micro)
    flops = training_flops_per_step(model, train)
    targets = targets_per_step(train)
    seconds = machine.seconds_per_step(flops, micro, train.batch_sequences)
    return TrainingPlan(
        spec=spec,
        machine=machine,
        prices=prices,
        text=text,
        parameters=model.parameter_count(),
        flops_per_token=flops / (train.window_tokens * train.batch_sequences),
        flops_per_step=flops,
        targets_per_step=targets,
        total_steps=_steps(spec, text, targets, flops, seconds),
        memory=footprint(model, train, sequences=micro, setting=setting),
        micro_batch=micro,
        largest_micro_batch=largest,
        seconds_per_step=seconds,
        weights_bytes=weights_bytes(model),
    )


def micro_batch_of(spec: Spec, largest: int | None) -> int:
    """The spec's micro-batch, or `largest` if it leaves that open."""
    return spec.train.known_micro_batch or largest or spec.train.batch_sequences


def _steps(
    spec: Spec, text: TrainingText, targets: int, flops: float, seconds: float | None
) -> int | None:
    """Optimizer steps of the budget; None for a time budget and unknown pace."""
    train = spec.train
    if train.budget.unit == "seconds" and seconds is None:
        return None
    return train.budget.steps(
        steps_per_epoch=text.windows(train) / train.batch_sequences,
        targets_per_step=targets,
        flops_per_step=flops,
        seconds_per_step=seconds,
    )


def predicted_cost_of(plan: TrainingPlan) -> PredictedCost:
    """The predictions of a plan, for the record and the cost sheet of a run."""
    bill = plan.bill
    return PredictedCost(
        hours=plan.hours,
        kwh=plan.kwh,
        usd=bill.usd if bill else None,
        brl=bill.brl if bill else None,
        tokens_per_second=plan.tokens_per_second,
        training_flops=plan.training_flops,
        memory=to_table(plan.memory),
        memory_bytes=plan.memory.total_bytes,
        seconds_per_step=plan.seconds_per_step,
        pace=plan.machine.pace.to_json() if plan.machine.pace else None,
    )
