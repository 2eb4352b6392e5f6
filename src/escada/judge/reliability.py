"""Tests of a judge's reliability, from its review.

A judge must put human text clearly above noise, in marks and in comparisons; prefer the better text
of each kind of probe; not contradict itself when the order of two texts is swapped; and give usable
answers. The limits are recorded in the verdict.

Noise is too easy: a judge that detects noise and otherwise guesses, or prefers the longer text, is
right in every pair with noise. So contradictions are counted over the other pairs, and probes (see
`panel`) have no noise.

A judge that fails cannot be trusted; passing does not prove that its finer distinctions mean
anything. Each function yields reasons not to trust the judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from escada.evaluation.statistics import Interval
from escada.judge.panel import ProbeKind
from escada.judge.verdict import Counts, Margin, Probes, ProbeShare, Reason, SwapContradictions

LIMITS = {
    "rubric_margin": 1.0,
    "direct_share": 0.75,
    "swap_contradictions": 0.4,
    "probe_share": 0.75,
    "unusable": 0.1,
}
"""Limits of a reliable judge.

rubric_margin: minimum difference in marks (of 5, mean of the three) of human text over noise; its
    95 % interval must also be above 0.
direct_share: minimum share of comparisons with noise that human text wins.
swap_contradictions: maximum share, among pairs without noise decided in both orders, of those
    decided for different texts; its interval must also be below 0.5. A judge that always takes the
    first has 1.
probe_share: minimum share won by the better text, per kind of probe; the interval of all kinds
    together must also be above 0.5.
unusable: maximum share of questions without a usable answer.
"""
COIN = 0.5
"""Share that a judge guessing at random gets right."""
_PROBE_TEXTS: dict[ProbeKind, str] = {
    "shuffled": "human text is preferred to its own words in another order",
    "elsewhere": "the text's own continuation is preferred to another document's",
    "longer": "human text is preferred to longer text of shuffled words",
}


def usable_answers(counts: Counts) -> Iterator[Reason]:
    """The review must be complete, and most questions must have a usable answer."""
    settled, limit = counts.answered + counts.unusable, LIMITS["unusable"]
    if settled < counts.total:
        text = f"questions settled: only {settled:,} of {counts.total:,}"
        yield Reason(code="incomplete", text=text)
    if settled and counts.unusable / settled > limit:
        share = counts.unusable / settled
        text = f"{share:.0%} of the questions got no usable answer (limit {limit:.0%})"
        yield Reason(code="unusable_answers", text=text)


def rubric_control(margin: Margin) -> Iterator[Reason]:
    """The marks must tell human text from noise."""
    points, need = margin.difference, LIMITS["rubric_margin"]
    if points is not None and points < 0:
        text = f"the marks put noise above human text ({margin})"
        yield Reason(code="rubric_control", text=text)
    elif not margin.surely_positive or points is None or points < need:
        text = f"the marks do not put noise clearly below human text ({margin}; {need:g} is needed)"
        yield Reason(code="rubric_control", text=text)


def comparison_controls(direct_share: float | None, rating: Margin) -> Iterator[Reason]:
    """Human text must win against noise, and be rated above it."""
    need = LIMITS["direct_share"]
    if direct_share is None:
        yield Reason(code="direct_control", text="human text was not compared with noise")
    elif direct_share < need:
        text = f"human text wins only {direct_share:.0%} of the comparisons with noise"
        yield Reason(code="direct_control", text=f"{text}; {need:.0%} is needed")
    if not rating.surely_positive:
        text = f"the ratings do not put noise below human text ({rating} points)"
        yield Reason(code="rating_control", text=text)


def bits_control(noise_above_human: Margin) -> Iterator[Reason]:
    """A reference model must find noise less likely than human text."""
    if not noise_above_human.surely_positive:
        text = f"noise is not less likely than human text ({noise_above_human} bits per byte)"
        yield Reason(code="bits_control", text=text)


def swap_contradictions(swaps: SwapContradictions) -> Iterator[Reason]:
    """The order in which two texts are shown must not decide the answer."""
    share, interval, limit = swaps.share, swaps.ci95, LIMITS["swap_contradictions"]
    if share is None or interval is None or (share <= limit and interval[1] < COIN):
        return
    text = (
        f"{share:.0%} {_percents(interval)} of the {swaps.decided:,} decided pairs without "
        "noise were decided for the other text when their order was swapped; the limit is "
        f"{limit:.0%}, and a coin has {COIN:.0%}"
    )
    yield Reason(code="swap_contradictions", text=text)


def probe_pairs(probes: Probes, kinds: Sequence[ProbeKind]) -> Iterator[Reason]:
    """The better text of a probe must win, for each of these kinds."""
    counted: list[ProbeShare] = [getattr(probes, kind) for kind in kinds]
    together = ProbeShare.of(sum(one.pairs for one in counted), sum(one.won for one in counted))
    if not all(one.pairs for one in counted) or together.ci95 is None:
        text = "there was no probe of known answer: too few held-out documents, or no usable answer"
        yield Reason(code="probe_pairs", text=text)
        return
    need = LIMITS["probe_share"]
    enough = True
    for kind, one in zip(kinds, counted, strict=True):
        if one.share is not None and one.share < need:
            enough = False
            text = f"{_PROBE_TEXTS[kind]} only {one.share:.0%} of the time"
            need_text = f"{need:.0%} is needed, and a coin has {COIN:.0%}"
            yield Reason(code="probe_pairs", text=f"{text}; {need_text}")
    if enough and together.ci95[0] <= COIN:
        text = f"{together.pairs} probes are too few to tell this judge from a coin"
        yield Reason(code="probe_pairs", text=f"{text} {_percents(together.ci95)}")


def probe_marks(human_above_shuffled: Margin) -> Iterator[Reason]:
    """The marks must tell human text from its own words in another order."""
    if not human_above_shuffled.surely_positive:
        text = f"the marks do not put shuffled words below human text ({human_above_shuffled})"
        yield Reason(code="probe_marks", text=text)


def _percents(interval: Interval) -> str:
    return f"[{interval[0]:.0%}, {interval[1]:.0%}]"
