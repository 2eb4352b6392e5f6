"""What a review says of its own judge.

A judge is held to four things, whatever it thinks of the rungs: it must put human text clearly
above noise, in the marks and in the comparisons; it must find the spoiled text of each kind of
probe; it must not contradict itself when the order of two texts is swapped; and its answers must
have been usable. The limits stand in the verdict.

Noise needs no judgement: a judge that sees noise and otherwise tosses a coin, or takes the longer
text, is right wherever noise takes part. So contradictions are counted over the other pairs, and
the probes (see `panel`) have no noise.

Passing is not proof that a judge's finer distinctions mean anything; failing is proof enough that
they do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from escada.judge.panel import ProbeKind

Interval = tuple[float, float]

Code = Literal[
    "incomplete",
    "unusable_answers",
    "rubric_control",
    "direct_control",
    "rating_control",
    "bits_control",
    "probe_pairs",
    "probe_marks",
    "swap_contradictions",
]


@dataclass(frozen=True, slots=True)
class ReliabilityLimits:
    """What a reliable judge keeps within.

    Attributes:
        rubric_margin: marks (of 5, mean of the three) that human text is above noise, at least; and
            the 95 % interval of the difference is above 0.
        direct_share: of the comparisons of human text with noise that human text wins, at least.
        swap_contradictions: share, at most, of the pairs without noise decided in both orders whose
            two decisions are for different texts; and its interval is below a coin's 0.5. A judge
            that always takes the first has 1.
        probe_share: of each kind of probe, share of the pairs that the better text wins, at least;
            and the interval of all kinds together is above a coin's 0.5.
        unusable: share of the questions, at most, that got no usable answer.
    """

    rubric_margin: float = 1.0
    direct_share: float = 0.75
    swap_contradictions: float = 0.4
    probe_share: float = 0.75
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
    """Pairs asked in both orders, those with noise left out.

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
    def contradicted_ci95(self) -> Interval | None:
        """Interval of that share."""
        return wilson_interval(self.contradicted, self.decided)

    @property
    def first_share(self) -> float | None:
        """Of the decisions; 0.5 is no bias, since each pair was shown in both orders."""
        decisions = self.first + self.second
        return self.first / decisions if decisions else None


@dataclass(frozen=True, slots=True)
class ProbeShare:
    """Of one kind of probe, or of all: pairs with a usable answer in both orders.

    `won` by the better text; a pair with a tie, or decided for another text when swapped, is half.
    """

    pairs: int
    won: float

    @property
    def share(self) -> float | None:
        """Of the pairs."""
        return self.won / self.pairs if self.pairs else None

    @property
    def ci95(self) -> Interval | None:
        """Interval of the share."""
        return wilson_interval(self.won, self.pairs)

    def to_json(self) -> dict[str, Any]:
        """Pairs, share and interval."""
        return {"pairs": self.pairs, "share": self.share, "ci95": self.ci95}


COIN = 0.5
"""Share of pairs that a judge without an opinion gets right."""
_Z = 1.959964
"""Of 95 %, two-sided, under the normal distribution."""


def wilson_interval(won: float, of: int) -> Interval | None:
    """95 % interval of a share by Wilson (1927): of few cases none is sure, 0 and 1 included."""
    if not of:
        return None
    share, z2 = won / of, _Z**2 / of
    middle = (share + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * math.sqrt(share * (1 - share) / of + z2 / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def _reason(code: Code, text: str) -> dict[str, str]:
    return {"code": code, "text": text}


def incomplete(settled: int, total: int) -> list[dict[str, str]]:
    """A review that is not at its end is not relied upon."""
    if settled == total:
        return []
    return [_reason("incomplete", f"questions settled: only {settled:,} of {total:,}")]


def unusable_answers(
    unusable: int, settled: int, limits: ReliabilityLimits
) -> list[dict[str, str]]:
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


def rubric_control(
    human_above_noise: Difference, limits: ReliabilityLimits
) -> list[dict[str, str]]:
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


def direct_control(share: float | None, limits: ReliabilityLimits) -> list[dict[str, str]]:
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


def swap_contradictions(swaps: Swaps, limits: ReliabilityLimits) -> list[dict[str, str]]:
    """The order in which two texts are shown must not decide."""
    share, interval = swaps.contradicted_share, swaps.contradicted_ci95
    if share is None or interval is None:
        return []
    if share <= limits.swap_contradictions and interval[1] < COIN:
        return []
    return [
        _reason(
            "swap_contradictions",
            f"{share:.0%} {_percents(interval)} of the {swaps.decided:,} decided pairs without "
            "noise were decided for the other text when their order was swapped; the limit is "
            f"{limits.swap_contradictions:.0%}, and a coin has {COIN:.0%}",
        )
    ]


def probe_pairs(
    probes: Mapping[ProbeKind, ProbeShare], limits: ReliabilityLimits, kinds: Sequence[ProbeKind]
) -> list[dict[str, str]]:
    """The better text of a probe must win, in each of these kinds."""
    counted = [probes[kind] for kind in kinds]
    together = ProbeShare(sum(one.pairs for one in counted), sum(one.won for one in counted))
    if not all(one.pairs for one in counted) or together.ci95 is None:
        text = "there was no probe of known answer: too few held-out documents, or no usable answer"
        return [_reason("probe_pairs", text)]
    reasons = [
        _reason("probe_pairs", f"{_PROBE_TEXTS[kind]} only {share:.0%} of the time; {need}")
        for kind, one in zip(kinds, counted, strict=True)
        if (share := one.share) is not None
        and share < limits.probe_share
        and (need := f"{limits.probe_share:.0%} is needed, and a coin has {COIN:.0%}")
    ]
    if not reasons and together.ci95[0] <= COIN:
        text = f"{together.pairs} probes are too few to tell this judge from a coin"
        return [_reason("probe_pairs", f"{text} {_percents(together.ci95)}")]
    return reasons


_PROBE_TEXTS: dict[ProbeKind, str] = {
    "shuffled": "human text is preferred to its own words in another order",
    "elsewhere": "the text's own continuation is preferred to another document's",
    "longer": "human text is preferred to longer text of shuffled words",
}


def probe_marks(human_above_shuffled: Difference) -> list[dict[str, str]]:
    """The marks must tell human text from its own words in another order."""
    if human_above_shuffled.surely_positive:
        return []
    text = f"the marks do not put shuffled words below human text ({human_above_shuffled})"
    return [_reason("probe_marks", text)]


def _percents(interval: Interval) -> str:
    return f"[{interval[0]:.0%}, {interval[1]:.0%}]"
