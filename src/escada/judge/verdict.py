"""verdict.json, and what the verdicts of both kinds of judge have in common.

A verdict depends on the panel and on the answers only, in the panel's order, so a review that was
interrupted ends with the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from escada.evaluation.statistics import Interval, wilson_interval
from escada.judge.endpoint import Tokens
from escada.judge.intervals import ratio_interval
from escada.judge.panel import HUMAN, NOISE, Opening, Panel, Role
from escada.judge.ratings import Game, rate

SCHEMA_VERSION = 1
_Z = 1.959964
"""Of 95 %, two-sided, under the normal distribution."""


class VerdictPart(BaseModel):
    """A JSON object of verdict.json; what was not set is not written."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """As it is written."""
        return self.model_dump(mode="json", exclude_unset=True)


class Reason(VerdictPart):
    """A sentence, and a name for programs."""

    code: str
    text: str


class Mean(VerdictPart):
    """A mean over openings, with its bootstrap interval."""

    mean: float
    ci95: Interval | None

    @classmethod
    def of(cls, values: Mapping[str, float], seed: int) -> Mean:
        """Of a value for each opening."""
        numbers = np.array(list(values.values()))
        interval = ratio_interval(values, numbers, np.ones(len(numbers)), seed=seed)
        return cls(mean=float(numbers.mean()), ci95=interval)


class Margin(VerdictPart):
    """How far the better texts are above the worse by some measure; None where not measured."""

    difference: float | None
    ci95: Interval | None

    @classmethod
    def of(cls, apart: Mapping[str, float], seed: int) -> Margin:
        """The mean of the differences on each opening."""
        if not apart:
            return cls(difference=None, ci95=None)
        found = Mean.of(apart, seed)
        return cls(difference=found.mean, ci95=found.ci95)

    @property
    def surely_positive(self) -> bool:
        """Above 0, and so is the interval where there is one."""
        above = self.difference is not None and self.difference > 0
        return above and (self.ci95 is None or self.ci95[0] > 0)

    def __str__(self) -> str:
        if self.difference is None:
            return "not measured"
        interval = f" [{self.ci95[0]:.2f}, {self.ci95[1]:.2f}]" if self.ci95 else ""
        return f"{self.difference:+.2f}{interval}"


class RubricMeans(VerdictPart):
    """Mean marks of 0 to 5; `overall` is the mean of the three."""

    samples: int
    relevance: Mean
    coherence: Mean
    style: Mean
    overall: Mean


class Rated(VerdictPart):
    """An entrant with its rating and mean marks.

    Attributes:
        name: in the review.
        role: of a rung or a control.
        run: name of its folder.
        rating: on Elo's scale; None without a comparison.
        ci95: of the rating.
        comparisons: that it took part in.
        rubric: of an endpoint's marks.
        bits_per_byte: under a reference.
    """

    name: str
    role: Role
    run: str | None
    rating: float | None
    ci95: Interval | None
    comparisons: int
    rubric: RubricMeans | None = None
    bits_per_byte: Mean | None = None


class HumanAboveNoise(VerdictPart):
    """The hidden controls by every measure; `direct_share` of their comparisons, ties half."""

    rubric: Margin | None = None
    bits_per_byte: Margin | None = None
    rating: Margin
    direct_share: float | None


class PositionBias(VerdictPart):
    """Single answers that preferred the text shown first, or second, or neither.

    `first_share` is of those that decided; 0.5 is no bias, since each pair was shown in both
    orders.
    """

    first: int
    second: int
    ties: int
    first_share: float | None
    ci95: Interval | None


class SwapContradictions(VerdictPart):
    """Pairs without noise with a usable answer in both orders.

    Attributes:
        pairs: how many.
        decided: of those, with no tie in either order.
        contradicted: of those, decided for different texts.
        share: of `contradicted` in `decided`.
        ci95: of the share.
    """

    pairs: int
    decided: int
    contradicted: int
    share: float | None
    ci95: Interval | None


class ProbeShare(VerdictPart):
    """Of one kind of probe, or of all: pairs with a usable answer in both orders.

    `won` by the better text; a pair with a tie, or decided for another text when swapped, is half.
    """

    pairs: int
    won: float = Field(exclude=True)
    share: float | None
    ci95: Interval | None

    @classmethod
    def of(cls, pairs: int, won: float) -> ProbeShare:
        """With its share."""
        share, ci95 = share_of(won, pairs)
        return cls(pairs=pairs, won=won, share=share, ci95=ci95)


def share_of(part: float, of: int) -> tuple[float, Interval] | tuple[None, None]:
    """A share, and its interval by Wilson: of few cases none is sure, 0 and 1 included."""
    if not of:
        return None, None
    return part / of, wilson_interval(part / of, of, _Z)


class Probes(VerdictPart):
    """How often the better text won, and how far its marks are above the worse text's."""

    shuffled: ProbeShare
    elsewhere: ProbeShare
    longer: ProbeShare
    marks: Margin | None


class Counts(VerdictPart):
    """Questions of a review; those without an answer were given up or are still to be asked."""

    total: int
    answered: int
    unusable: int
    pending: int


class ReviewSetup(VerdictPart):
    """Which judge read what.

    Attributes:
        schema_version: of this file.
        key: hash of what decides the verdict but for the answers.
        kind: of judge.
        model: its name, or the reference run's.
        base_url: of the endpoint.
        max_output_tokens: of an endpoint.
        result_key: of a reference.
        rubric: version and hash of the prompts.
        corpus_hash: of the human texts.
        panel: file of the texts.
        openings: how many of each kind.
    """

    schema_version: int
    key: str
    kind: Literal["endpoint", "reference"]
    model: str
    base_url: str | None
    max_output_tokens: int | None = None
    result_key: str | None = None
    rubric: dict[str, int | str] | None
    corpus_hash: str
    panel: str
    openings: dict[str, int]
    seed: int


class Findings(VerdictPart):
    """What the answers decide.

    Attributes:
        complete: every question is settled.
        reliable: the judge keeps within all limits (`reliability`).
        reasons: why it is not.
        notes: what no limit covers and a reader should know.
        limits: that it was held to.
        ratings: of the rungs, best first.
        controls: by name.
    """

    complete: bool
    reliable: bool
    reasons: list[Reason]
    notes: list[Reason]
    limits: dict[str, float]
    ratings: list[Rated]
    controls: dict[str, Rated]
    human_above_noise: HumanAboveNoise
    position_bias: PositionBias | None
    swap_contradictions: SwapContradictions | None
    probes: Probes
    questions: Counts


class Degraded(VerdictPart):
    """A part of the request that a server refused."""

    part: str
    base_url: str
    reason: str


class Costs(VerdictPart):
    """Of all invocations."""

    calls: int
    tokens: Tokens
    usd: float | None
    answers_by_form: dict[str, int] | None = None
    degraded: list[Degraded] = Field(default_factory=list[Degraded])


class Verdict(Costs, Findings, ReviewSetup):
    """verdict.json; its parts in the order of the file are the bases, the last one first."""


def stratum(opening: Opening) -> str:
    """What the bootstrap of the ratings draws within."""
    return "held-out" if opening.held_out else "prompt"


@dataclass(frozen=True)
class Standings:
    """What the comparisons say: see `Findings` and `HumanAboveNoise`."""

    ratings: list[Rated]
    controls: dict[str, Rated]
    notes: list[Reason]
    margin: Margin
    direct_share: float | None


def standings(
    panel: Panel, games: Sequence[Game], more: Mapping[str, Mapping[str, object]], seed: int
) -> Standings:
    """Rate the entrants.

    Args:
        games: between places of its entrants.
        more: `rubric` or `bits_per_byte` of each entrant, by name.
        seed: of the bootstrap.
    """
    found = rate(games, len(panel.entrants), seed=seed)
    rated = [
        Rated.model_validate(
            {
                "name": entrant.name,
                "role": entrant.role,
                "run": entrant.run,
                "rating": float(found.points[place]) if found.games[place] else None,
                "ci95": found.interval(place),
                "comparisons": int(found.games[place]),
                **more[entrant.name],
            }
        )
        for place, entrant in enumerate(panel.entrants)
    ]
    names = [entrant.name for entrant in panel.entrants]
    human, noise = names.index(HUMAN), names.index(NOISE)
    margin = Margin(difference=None, ci95=None)
    if found.games[human] and found.games[noise]:
        points, ci95 = found.difference(human, noise)
        margin = Margin(difference=points, ci95=ci95)
    direct = [
        game.score if game.first == human else 1 - game.score
        for game in games
        if {game.first, game.second} == {human, noise}
    ]
    rungs = sorted(
        (one for one in rated if one.role == "run"),
        key=lambda one: (one.rating is None, -(one.rating or 0.0)),
    )
    ceiling = rated[human].rating
    above = [
        one.name
        for one in rungs
        if ceiling is not None and one.rating is not None and one.rating > ceiling
    ]
    text = f"rated above human text: {', '.join(above)}; ask what this judge sees in them"
    return Standings(
        ratings=rungs,
        controls={one.name: one for one in rated if one.role != "run"},
        notes=[Reason(code="above_human", text=text)] if above else [],
        margin=margin,
        direct_share=sum(direct) / len(direct) if direct else None,
    )
