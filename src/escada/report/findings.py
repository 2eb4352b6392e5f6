"""Conclusions from a ladder's figures, independent of language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from escada.budget import Budget
from escada.evaluation.baselines.corpus_controls import BaselineRow
from escada.evaluation.scale import Crossing, Scale
from escada.report.schema import Ladder, RungRow, StepComparison
from escada.runs.time_budget import is_off

Outcome = Literal[
    "better", "worse", "undecided", "unmeasured", "absent", "other_text", "uncompared"
]
"""Outcome of a step; from `unmeasured` on: why there is none."""


@dataclass(frozen=True, slots=True)
class Step:
    """A rung and the one it follows.

    Attributes:
        crossing: where it passes that one with more compute than it had; None: unknown, or better.
    """

    rung: RungRow
    against: str
    outcome: Outcome
    comparison: StepComparison | None
    crossing: Crossing | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What the headline reports.

    Attributes:
        best: the measured rung with the fewest bits per byte, or None.
        runner_up: the second best on the same text.
        clear: whether their paired difference is significant.
        steps: every rung that follows another.
        monotone: True if every step is better, False if one is worse, None if undecided.
        unfinished: rungs without a figure.
        not_better: pairs of a measured rung and a baseline it does not beat in the paired test.
        beaten: baselines that every measured rung beats.
        other_text: measured rungs on another text than most; never ranked with the others.
        off_plan: rungs whose training time clearly differs from the planned one, with that one.
        scale: the fits that the steps' crossings are from.
    """

    best: RungRow | None
    runner_up: RungRow | None
    clear: bool
    steps: list[Step]
    monotone: bool | None
    unfinished: list[RungRow]
    not_better: list[tuple[RungRow, BaselineRow]]
    beaten: list[BaselineRow]
    other_text: list[RungRow]
    off_plan: list[tuple[RungRow, float]]
    scale: Scale | None = None


def _step(rung: RungRow, rungs: Sequence[RungRow]) -> Step | None:
    found = rung.beats_previous
    name = found.against if found else rung.follows
    if name is None:
        return None
    other = next((r for r in rungs if r.name == name), None)
    if other is None:
        return Step(rung, name, "absent", None)
    if rung.bits_per_byte is None or other.bits_per_byte is None:
        return Step(rung, name, "unmeasured", None)
    if rung.text != other.text:
        return Step(rung, name, "other_text", None)
    if found is None:
        return Step(rung, name, "uncompared", None)
    return Step(rung, name, found.verdict, found)


def _main_text(rungs: Sequence[RungRow]) -> tuple[str | None, str | None]:
    """The text that most rungs were measured on; on a tie, the first."""
    texts = [rung.text for rung in rungs]
    return max(texts, key=texts.count)


def _are_apart(a: str, b: str, steps: Sequence[Step], ladder: Ladder) -> bool:
    """Whether the paired difference of two rungs is significant."""
    for step in steps:
        if {step.rung.name, step.against} == {a, b} and step.comparison is not None:
            return step.outcome != "undecided"
    row = ladder.comparison(a, b) or ladder.comparison(b, a)
    return row is not None and row.significant


def _off_plan(ladder: Ladder) -> list[tuple[RungRow, float]]:
    """Rungs off their plan; rows of older ladders have none but the ladder's time budget."""
    budget = Budget.parse(ladder.budget) if ladder.budget else None
    given = budget.amount if budget is not None and budget.unit == "seconds" else None
    return [
        (rung, planned)
        for rung in ladder.rungs
        if rung.status == "finished" and not rung.stopped_early
        if (planned := rung.planned_seconds or given) and is_off(rung.training_seconds, planned)
    ]


def _with_crossing(step: Step, scale: Scale | None) -> Step:
    """A step that is not better, with the compute from which it will be."""
    if scale is None or step.outcome not in ("worse", "undecided"):
        return step
    found = scale.crossing(step.rung.name, step.against)
    if found is None or (found.flops or 0.0) <= (step.rung.training_flops or 0.0):
        return step
    return replace(step, crossing=found)


def find(ladder: Ladder, scale: Scale | None = None) -> Findings:
    """Derive the findings from a ladder's figures, and from fits of loss against compute."""
    measured = [rung for rung in ladder.rungs if rung.bits_per_byte is not None]
    same = [rung for rung in measured if rung.text == _main_text(measured)]
    ranked = sorted(same, key=lambda rung: rung.bits_per_byte or 0.0)
    best, runner_up = (*ranked, None, None)[:2]
    steps = [
        _with_crossing(step, scale)
        for rung in ladder.rungs
        if (step := _step(rung, ladder.rungs)) is not None
    ]
    outcomes = {step.outcome for step in steps}
    monotone = None
    if "worse" in outcomes:
        monotone = False
    elif outcomes == {"better"}:
        monotone = True
    verdicts = {(row.a, row.b): row.verdict for row in ladder.baseline_comparisons}
    return Findings(
        best=best,
        runner_up=runner_up,
        clear=bool(best and runner_up and _are_apart(best.name, runner_up.name, steps, ladder)),
        steps=steps,
        monotone=monotone,
        unfinished=[rung for rung in ladder.rungs if rung.bits_per_byte is None],
        not_better=[
            (rung, baseline)
            for baseline in ladder.baselines
            for rung in same
            if verdicts.get((rung.name, baseline.key), "better") != "better"
        ],
        beaten=[
            baseline
            for baseline in ladder.baselines
            if same and all(verdicts.get((r.name, baseline.key)) == "better" for r in same)
        ],
        other_text=[rung for rung in measured if rung not in same],
        off_plan=_off_plan(ladder),
        scale=scale,
    )
