"""What a review says of its own judge.

A judge is held to three things, whatever it thinks of the rungs: it must put human text clearly
above noise, in the marks and in the comparisons; it must not contradict itself when the order of
two texts is swapped; and its answers must have been usable. The limits stand in the verdict.

Passing is not proof that a judge's finer distinctions mean anything; failing is proof enough that
they do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Interval = tuple[float, float]

Code = Literal[
    "incomplete",
    "unusable_answers",
    "rubric_control",
    "direct_control",
    "rating_control",
    "bits_control",
    "swap_contradictions",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reliable judge keeps within.

    Attributes:
        rubric_margin: marks (of 5, mean of the three) that human text is above noise, at least; and
            the 95 % interval of the difference is above 0.
        direct_share: of the comparisons of human text with noise that human text wins, at least.
        swap_contradictions: share, at most, of the pairs decided in both orders whose two decisions
            are for different texts. A coin has 0.5, a judge that always takes the first 1.
        unusable: share of the questions, at most, that got no usable answer.
    """

    rubric_margin: float = 1.0
    direct_share: float = 0.75
    swap_contradictions: float = 0.4
    unusable: float = 0.1


@dataclass(frozen=True, slots=True)
class Difference:
    """Human text above noise, by some measure; None where nothing was measured."""

    points: float | None
    ci95: Interval | None

    @property
    def surely_positive(self) -> bool:
        """Above 0, and so is the interval where there is one."""
        return bool(
            self.points is not None and self.points > 0 and (self.ci95 is None or self.ci95[0] > 0)
        )

    def to_json(self) -> dict[str, Any]:
        """Points and interval."""
        return {"difference": self.points, "ci95": self.ci95}

    def __str__(self) -> str:
        if self.points is None:
            return "not measured"
        interval = f" [{self.ci95[0]:.2f}, {self.ci95[1]:.2f}]" if self.ci95 else ""
        return f"{self.points:+.2f}{interval}"


@dataclass(frozen=True, slots=True)
class Swaps:
    """Pairs asked in both orders.

    Attributes:
        pairs: with a usable answer in both.
        decided: of those, with no tie in either.
        contradicted: of those, decided for different texts.
        first: single answers that preferred the text shown first.
        second: or second.
        ties: or neither.
        first_share_ci95: of first over first and second, by bootstrap over openings.
    """

    pairs: int
    decided: int
    contradicted: int
    first: int
    second: int
    ties: int
    first_share_ci95: Interval | None

    @property
    def contradicted_share(self) -> float | None:
        """Of the decided pairs."""
        return self.contradicted / self.decided if self.decided else None

    @property
    def first_share(self) -> float | None:
        """Of the decisions; 0.5 is no bias, since each pair was shown in both orders."""
        decisions = self.first + self.second
        return self.first / decisions if decisions else None


def _reason(code: Code, text: str) -> dict[str, str]:
    return {"code": code, "text": text}


def incomplete(settled: int, total: int) -> list[dict[str, str]]:
    """A review that is not at its end is not relied upon."""
    if settled == total:
        return []
    return [_reason("incomplete", f"only {settled:,} of {total:,} questions were settled")]


def unusable_answers(unusable: int, settled: int, limits: Limits) -> list[dict[str, str]]:
    """Too many questions without a usable answer."""
    if not settled or unusable / settled <= limits.unusable:
        return []
    share = unusable / settled
    return [
        _reason(
            "unusable_answers",
            f"{share:.0%} of the questions got no usable answer (limit {limits.unusable:.0%})",
        )
    ]


def rubric_control(human_above_noise: Difference, limits: Limits) -> list[dict[str, str]]:
    """The marks must tell human text from noise."""
    points = human_above_noise.points
    if points is not None and points < 0:
        text = f"the marks put noise above human text ({human_above_noise})"
    elif not human_above_noise.surely_positive or points is None or points < limits.rubric_margin:
        text = (
            f"the marks do not put noise clearly below human text ({human_above_noise}; "
            f"{limits.rubric_margin:g} is needed)"
        )
    else:
        return []
    return [_reason("rubric_control", text)]


def direct_control(share: float | None, limits: Limits) -> list[dict[str, str]]:
    """Human text must win against noise."""
    if share is not None and share >= limits.direct_share:
        return []
    if share is None:
        return [_reason("direct_control", "human text was not compared with noise")]
    need = f"{limits.direct_share:.0%} is needed"
    text = f"human text wins only {share:.0%} of the comparisons with noise; {need}"
    return [_reason("direct_control", text)]


def rating_control(human_above_noise: Difference) -> list[dict[str, str]]:
    """Human text must be rated above noise."""
    if human_above_noise.surely_positive:
        return []
    text = f"the ratings do not put noise below human text ({human_above_noise} points)"
    return [_reason("rating_control", text)]


def bits_control(noise_above_human: Difference) -> list[dict[str, str]]:
    """A reference model must find noise less likely than human text."""
    if noise_above_human.surely_positive:
        return []
    text = f"noise is not less likely than human text ({noise_above_human} bits per byte)"
    return [_reason("bits_control", text)]


def swap_contradictions(swaps: Swaps, limits: Limits) -> list[dict[str, str]]:
    """The order in which two texts are shown must not decide."""
    share = swaps.contradicted_share
    if share is None or share <= limits.swap_contradictions:
        return []
    return [
        _reason(
            "swap_contradictions",
            f"{share:.0%} of the pairs were decided for the other text when their order was "
            f"swapped; the limit is {limits.swap_contradictions:.0%}",
        )
    ]
