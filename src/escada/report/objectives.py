"""Each rung's goals, with a verdict from the data.

A rung's `about` states its expectations in prose. The measurable ones follow one rule for every
rung: fewer bits per byte than the rung it follows and than those in `also_against`, by the paired
comparisons; for a first rung, fewer than the character bigram model; after a change of tokenizer,
fewer steps per byte too. A goal without data is open, never met. What `about.tests` names and the
two runs do not differ in is not judged.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from escada.evaluation.significance import Difference
from escada.report.changes import changed_in, key_name
from escada.report.findings import Findings
from escada.report.i18n import Language
from escada.report.schema import Ladder, RungRow
from escada.typed_json import Interval

Outcome = Literal["met", "missed", "open"]
Verdict = Literal["met", "missed", "open", "untested"]
FLOOR = "bigram"
"""Key of the baseline that a first rung has to beat."""

_OF_VERDICT: dict[str, Outcome] = {"better": "met", "worse": "missed", "undecided": "open"}


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal of a rung.

    Attributes:
        kind: `rung` (fewer bits than another rung), `floor` (fewer than the bigram model), `steps`
            (fewer steps per byte) or `unmeasured`.
        against: the rung or baseline it is compared with.
        figure: difference in bits per byte, bits per byte, or tokens per byte, by `kind`.
        interval: of `figure`.
        other: the other side's value, for `floor` and `steps`.
    """

    kind: Literal["rung", "floor", "steps", "unmeasured"]
    name: str
    against: str
    outcome: Outcome
    figure: float = 0.0
    interval: Interval | None = None
    other: float = 0.0

    def sentence(self, language: Language) -> str:
        """The goal and its outcome in words."""
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
    """A rung's goals; `untested`: keys that its objective is about and that did not change."""

    rung: RungRow
    goals: tuple[Goal, ...]
    untested: tuple[str, ...] = ()

    @property
    def outcome(self) -> Verdict:
        """Untested if no key of the objective changed; missed if any goal is, met if all are."""
        if self.untested and self.rung.about and len(self.untested) == len(self.rung.about.tests):
            return "untested"
        found = {goal.outcome for goal in self.goals}
        if "missed" in found:
            return "missed"
        return "met" if found == {"met"} else "open"

    def sentences(self, language: Language) -> str:
        """The goals in words, then what was not tested."""
        said = [goal.sentence(language) for goal in self.goals]
        if self.untested:
            keys = language.names([key_name(key, language) for key in self.untested])
            said.append(language.say("objectives.not_tested", keys=keys))
        return " ".join(said)

    def verdict(self, language: Language) -> str:
        """The outcome in a few words."""
        verdict = language.say(f"objectives.{self.outcome}")
        if self.untested and self.outcome != "untested":
            return language.say("objectives.in_part", verdict=verdict)
        return verdict


def objectives(rung: RungRow, ladder: Ladder, findings: Findings) -> Objectives:
    """Judge a rung's goals by the ladder's figures."""
    tests = rung.about.tests if rung.about else ()
    changed = changed_in(rung, ladder) if tests else None
    untested = changed.untested(tests) if changed else ()
    return Objectives(rung, tuple(_goals(rung, ladder, findings)), tuple(untested))


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
    if found is None:
        return Goal("unmeasured", rung.name, against, "open")
    outcome = _OF_VERDICT[found.verdict]
    return Goal("rung", rung.name, against, outcome, found.difference, found.ci95)


def _floor(rung: RungRow, ladder: Ladder) -> Iterator[Goal]:
    """The goal of a first rung: better than the bigram model, by the paired test."""
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
