"""What each rung set out to do, and whether it did: goals with a verdict from the data.

A rung's `about` says in prose what is expected of it. What of that is a matter of figures is judged
by one rule, the same for every rung: fewer bits per byte than the rung that it follows and than
those that it is also set beside, by the paired comparisons; a first rung is set beside the
character bigram model; a rung that cuts text in another way than the one before it is to need fewer
steps per byte. A goal without its figures is open, never met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from escada.evaluation.significance import Difference
from escada.report.findings import Findings
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow
from escada.typed_json import Interval

Outcome = Literal["met", "missed", "open"]
FLOOR = "bigram"
"""The control that a first rung has to beat: the key of its baseline."""

_OF_VERDICT: dict[str, Outcome] = {"better": "met", "worse": "missed", "undecided": "open"}


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing that a rung was to do.

    Attributes:
        kind: `rung` (less than another rung), `floor` (less than the bigram model), `steps` (fewer
            steps per byte) or `unmeasured`.
        name: of the rung.
        against: whom it is set beside.
        outcome: whether it did it.
        figure: the difference in bits per byte; the rung's bits per byte; its tokens a byte.
        interval: of `figure`.
        other: the other's figure, for `floor` and `steps`.
    """

    kind: Literal["rung", "floor", "steps", "unmeasured"]
    name: str
    against: str
    outcome: Outcome
    figure: float = 0.0
    interval: Interval | None = None
    other: float = 0.0

    def sentence(self, language: Language) -> str:
        """The goal and how it came out, for readers."""
        say, bits = language.say, language.bits
        names = {"name": self.name, "against": self.against}
        if self.kind == "unmeasured":
            return say("objectives.unmeasured", **names)
        if self.kind == "floor":
            names["against"] = language.baseline(self.against, self.against)
            values = {"a": bits(self.figure), "b": bits(self.other)}
            return say(f"objectives.floor_{self.outcome}", **names, **values)
        if self.kind == "steps":
            values = {"a": language.number(self.figure, 2), "b": language.number(self.other, 2)}
            return say(f"objectives.steps_{self.outcome}", **names, **values)
        return say(
            f"objectives.rung_{self.outcome}",
            difference=language.signed(self.figure),
            interval=language.interval(self.interval),
            **names,
        )


@dataclass(frozen=True, slots=True)
class Objectives:
    """A rung's goals, and whether all of them were met."""

    rung: RungRow
    goals: tuple[Goal, ...]

    @property
    def outcome(self) -> Outcome:
        """Missed when one is, met when all are."""
        found = {goal.outcome for goal in self.goals}
        if "missed" in found:
            return "missed"
        return "met" if found == {"met"} else "open"


def objectives(rung: RungRow, ladder: Ladder, findings: Findings) -> Objectives:
    """Judge one rung by the ladder's figures."""
    return Objectives(rung, tuple(_goals(rung, ladder, findings)))


def _goals(rung: RungRow, ladder: Ladder, findings: Findings) -> Iterator[Goal]:
    step = next((step for step in findings.steps if step.rung is rung), None)
    if step is None:
        yield from _floor(rung, ladder)
        return
    yield _fewer_bits(rung, step.against, step.comparison)
    others = rung.about.also_against if rung.about else ()
    for name in others:
        if name != step.against and any(other.name == name for other in ladder.rungs):
            yield _fewer_bits(rung, name, ladder.comparison(rung.name, name))
    yield from _steps(rung, step.against, ladder)


def _fewer_bits(rung: RungRow, against: str, found: Difference | None) -> Goal:
    """Than another rung."""
    if found is None:
        return Goal("unmeasured", rung.name, against, "open")
    outcome = _OF_VERDICT[found.verdict]
    return Goal("rung", rung.name, against, outcome, found.difference, found.ci95)


def _floor(rung: RungRow, ladder: Ladder) -> Iterator[Goal]:
    """A first rung: better than the bigram model, by the same paired test as between rungs."""
    floor = next((baseline for baseline in ladder.baselines if baseline.key == FLOOR), None)
    if floor is None:
        return
    bits, found = rung.bits_per_byte, ladder.against_baseline(rung.name, FLOOR)
    if bits is None or found is None:
        yield Goal("unmeasured", rung.name, floor.key, "open")
        return
    outcome = _OF_VERDICT[found.verdict]
    yield Goal("floor", rung.name, floor.key, outcome, bits, rung.ci95, floor.bits_per_byte)


def _steps(rung: RungRow, against: str, ladder: Ladder) -> Iterator[Goal]:
    other = next((other for other in ladder.rungs if other.name == against), None)
    if other is None or other.tokenizer.kind == rung.tokenizer.kind:
        return
    own, theirs = _tokens_a_byte(rung), _tokens_a_byte(other)
    if own is not None and theirs is not None:
        outcome: Outcome = "met" if own < theirs else "missed"
        yield Goal("steps", rung.name, against, outcome, own, None, theirs)


def _tokens_a_byte(rung: RungRow) -> float | None:
    if not rung.training_tokens or not rung.training_bytes:
        return None
    return rung.training_tokens / rung.training_bytes
