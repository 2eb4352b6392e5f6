"""Warnings of a plan, one sentence each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from escada.cost.planner import TrainingPlan

COMPUTE_OPTIMAL_TOKENS = 20
"""Compute-optimal training tokens per parameter (Hoffmann et al. 2022, "Training Compute-Optimal
Large Language Models"); measured on larger models and a single epoch."""
FEW_TOKENS = COMPUTE_OPTIMAL_TOKENS / 4
MANY_TOKENS = COMPUTE_OPTIMAL_TOKENS * 10
LONG_WARMUP = 0.1
UNSTEADY = 1.5
"""Threshold of `Pace.spread` for a warning."""
MANY_PASSES = 100
RARE_TOKEN = 100
"""Recommended minimum count of 95 % of a vocabulary (Gowda and May 2020, "Finding the Optimal
Vocabulary Size for Neural Machine Translation")."""


def warnings_of(plan: TrainingPlan) -> list[str]:
    """All warnings of a plan, the most serious first."""
    found = [
        _memory(plan),
        _pace(plan),
        _warmup(plan),
        _passes(plan),
        _vocabulary(plan),
        _amount(plan),
        _text(plan),
    ]
    return [warning for warning in found if warning]


def _memory(plan: TrainingPlan) -> str | None:
    if plan.fits is None or plan.fits:
        return None
    assert plan.machine.memory_bytes is not None
    need, have = plan.memory.total_bytes / 2**30, plan.machine.memory_bytes / 2**30
    what = f"does not fit: {need:.2f} GiB needed, {have:.2f} there"
    if plan.largest_micro_batch is None:
        return f"{what}; not even one sequence does: choose a smaller model or window"
    return (
        f"{what}; train.micro_batch_sequences={plan.largest_micro_batch} fits, and the batch stays "
        f"{plan.spec.train.batch_sequences}"
    )


def _pace(plan: TrainingPlan) -> str | None:
    pace = plan.machine.pace
    if pace is None:
        return "how long a step takes here is not known: hours, energy and money are missing"
    if pace.basis == "assumed":
        return f"the hours are an estimate: {pace.note}"
    if pace.spread is not None and pace.spread > UNSTEADY:
        return (
            f"this machine's pace varied {pace.spread:.1f} times while it was measured, and the "
            "hours are as uncertain: is something else running?"
        )
    return None


def _warmup(plan: TrainingPlan) -> str | None:
    if plan.total_steps is None:
        return None
    warmup = plan.spec.train.warmup.steps(plan.total_steps)
    share = warmup / plan.total_steps
    if share <= LONG_WARMUP:
        return None
    return (
        f"the warm-up of {warmup:,} steps is {share:.0%} of the budget of {plan.total_steps:,}: "
        "set train.warmup to '5 %'"
    )


def _passes(plan: TrainingPlan) -> str | None:
    if plan.passes is None or plan.passes < MANY_PASSES:
        return None
    return f"{plan.passes:,.0f} epochs: expect overfitting; take more text or a smaller budget"


def _vocabulary(plan: TrainingPlan) -> str | None:
    """By Zipf's law the token of rank r occurs N / (r H(V)) times, H(V) = ln V + 0.577."""
    tokens, size = plan.text.tokens, plan.text.vocab_size
    if plan.spec.tokenizer.vocab_size is None:
        return None
    seen = tokens / (0.95 * size * (math.log(size) + 0.577))
    if seen >= RARE_TOKEN:
        return None
    return (
        f"the vocabulary of {size:,} is large for {tokens:,} training tokens: by Zipf's law a "
        f"twentieth of it is seen fewer than {seen:.0f} times ({RARE_TOKEN} or more is recommended)"
    )


def _amount(plan: TrainingPlan) -> str | None:
    if plan.training_tokens is None:
        return None
    ratio = plan.training_tokens / plan.parameters
    if ratio < FEW_TOKENS:
        return (
            f"{ratio:.2g} training tokens per parameter, where about {COMPUTE_OPTIMAL_TOKENS} are "
            "compute-optimal: a smaller model does better with this budget"
        )
    if ratio > MANY_TOKENS:
        return (
            f"{ratio:,.0f} training tokens per parameter, where about {COMPUTE_OPTIMAL_TOKENS} are "
            "compute-optimal: a larger model does better with this budget, if there is text for it"
        )
    return None


def _text(plan: TrainingPlan) -> str | None:
    if plan.text.basis == "assumed":
        return "no corpus at hand: the size of the default corpus is assumed; give --data"
    if plan.text.basis == "estimated":
        return "the text was not tokenized yet: its tokens are estimated from its bytes"
    return None
