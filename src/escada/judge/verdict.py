"""verdict.json, and the computations shared by both kinds of judge.

A verdict depends only on the panel and the answers, in the panel's order, so an interrupted and
resumed review ends with the same one.
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
"""Normal quantile for a two-sided 95 % interval."""


class VerdictPart(BaseModel):
    """A JSON object of verdict.json; unset fields are not written."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    def to_json(self) -> dict[str, Any]:
        """JSON values of the fields that were set."""
        return self.model_dump(mode="json", exclude_unset=True)


class Reason(VerdictPart):
    """A sentence, and a code for programs."""

    code: str
    text: str


class Mean(VerdictPart):
    """A mean over openings, with its bootstrap interval."""

    mean: float
    ci95: Interval | None = None

    @classmethod
    def of(cls, values: Mapping[str, float], seed: int) -> Mean:
        """Of one value per opening."""
        numbers = np.array(list(values.values()))
        interval = ratio_interval(values, numbers, np.ones(len(numbers)), seed=seed)
        return cls(mean=float(numbers.mean()), ci95=interval)


class Margin(VerdictPart):
    """Difference between the better and the worse texts; None where not measured."""

    difference: float | None
    ci95: Interval | None

    @classmethod
    def of(cls, apart: Mapping[str, float], seed: int) -> Margin:
        """Mean of one difference per opening."""
        if not apart:
            return cls(difference=None, ci95=None)
        found = Mean.of(apart, seed)
        return cls(difference=found.mean, ci95=found.ci95)

    @property
    def surely_positive(self) -> bool:
        """Whether the difference and its interval, if any, are above 0."""
        above = self.difference is not None and self.difference > 0
        return above and (self.ci95 is None or self.ci95[0] > 0)

    def __str__(self) -> str:
        if self.difference is None:
            return "not measured"
        interval = f" [{self.ci95[0]:.2f}, {self.ci95[1]:.2f}]" if self.ci95 else ""
        return f"{self.difference:+.2f}{interval}"


class RubricMeans(VerdictPart):
    """Mean marks, 0 to 5; `overall` is the mean of the three."""

    samples: int = 0
    relevance: Mean | None = None
    coherence: Mean | None = None
    style: Mean | None = None
    overall: Mean


class Rated(VerdictPart):
    """An entrant with its rating on Elo's scale, None without a comparison, and mean marks.

    `rubric` is from an endpoint, `bits_per_byte` from a reference.
    """

    name: str
    role: Role | None = None
    run: str | None = None
    rating: float | None
    ci95: Interval | None = None
    comparisons: int = 0
    rubric: RubricMeans | None = None
    bits_per_byte: Mean | None = None


class HumanAboveNoise(VerdictPart):
    """Human text against noise by every measure; `direct_share` is of comparisons, ties half."""

    rubric: Margin | None = None
    bits_per_byte: Margin | None = None
    rating: Margin
    direct_share: float | None


class PositionBias(VerdictPart):
    """Counts of single answers for the text shown first, second, or neither.

    `first_share` is of the decided ones, 0.5 without bias: each pair is shown in both orders.
    """

    first: int
    second: int
    ties: int
    first_share: float | None
    ci95: Interval | None


class SwapContradictions(VerdictPart):
    """Pairs without noise that have a usable answer in both orders.

    `decided` ones have no tie in either order; of these, `contradicted` ones were decided for
    different texts, and `share` is their share.
    """

    pairs: int
    decided: int
    contradicted: int
    share: float | None
    ci95: Interval | None


class ProbeShare(VerdictPart):
    """Probe pairs with a usable answer in both orders; `won` by the better text.

    A pair with a tie, or decided differently when swapped, counts half.
    """

    pairs: int
    won: float = Field(exclude=True)
    share: float | None
    ci95: Interval | None

    @classmethod
    def of(cls, pairs: int, won: float) -> ProbeShare:
        """Compute the share and its interval."""
        share, ci95 = share_of(won, pairs)
        return cls(pairs=pairs, won=won, share=share, ci95=ci95)


def share_of(part: float, of: int) -> tuple[float, Interval] | tuple[None, None]:
    """A share with its Wilson interval, which is valid for few cases and for shares of 0 and 1."""
    if not of:
        return None, None
    return part / of, wilson_interval(part / of, of, _Z)


class Probes(VerdictPart):
    """Share won by the better text, by kind, and the difference in marks."""

    shuffled: ProbeShare
    elsewhere: ProbeShare
    longer: ProbeShare
    marks: Margin | None


class Counts(VerdictPart):
    """Numbers of questions; `unusable` ones were given up, `pending` ones not answered yet."""

    total: int
    answered: int
    unusable: int
    pending: int


class JudgeName(VerdictPart):
    """Which judge; `model` is its name, or the reference run's."""

    kind: Literal["endpoint", "reference"]
    model: str | None = None


class ReviewSetup(JudgeName):
    """Which judge read what.

    Attributes:
        schema_version: of this file.
        key: hash of what decides the verdict but for the answers.
        base_url: of the endpoint.
        max_output_tokens: of an endpoint.
        result_key: of a reference.
        rubric: version and hash of the prompts.
        panel: file name of the texts.
        openings: counts by kind.
    """

    schema_version: int
    key: str
    base_url: str | None
    max_output_tokens: int | None = None
    result_key: str | None = None
    rubric: dict[str, int | str] | None
    corpus_hash: str
    panel: str
    openings: dict[str, int]
    seed: int


class Outcome(VerdictPart):
    """The ratings, and whether to believe them.

    Attributes:
        complete: every question is settled.
        reliable: the judge keeps within all limits (`reliability`).
        reasons: why it is not.
        ratings: of the rungs, best first.
    """

    complete: bool = True
    reliable: bool
    reasons: list[Reason] = Field(default_factory=list[Reason])
    ratings: list[Rated]
    controls: dict[str, Rated]


class Judgement(Outcome, JudgeName):
    """What a report reads of verdict.json."""


class Findings(Outcome):
    """What the answers decide.

    Attributes:
        notes: what no limit covers and a reader should know.
        limits: that it was held to.
    """

    notes: list[Reason]
    limits: dict[str, float]
    human_above_noise: HumanAboveNoise
    position_bias: PositionBias | None
    swap_contradictions: SwapContradictions | None
    probes: Probes
    questions: Counts


class Degraded(VerdictPart):
    """A part of the request that a server rejected."""

    part: str
    base_url: str
    reason: str


class Costs(VerdictPart):
    """Calls and cost over all invocations."""

    calls: int
    tokens: Tokens
    usd: float | None
    answers_by_form: dict[str, int] | None = None
    degraded: list[Degraded] = Field(default_factory=list[Degraded])


class Verdict(Costs, Findings, ReviewSetup):
    """verdict.json; its fields are in the order of the bases, last one first."""


def stratum(opening: Opening) -> str:
    """The opening's stratum for the bootstrap of the ratings."""
    return "held-out" if opening.held_out else "prompt"


@dataclass(frozen=True)
class Standings:
    """Ratings and control comparisons: see `Findings` and `HumanAboveNoise`."""

    ratings: list[Rated]
    controls: dict[str, Rated]
    notes: list[Reason]
    margin: Margin
    direct_share: float | None


def standings(
    panel: Panel, games: Sequence[Game], more: Mapping[str, Mapping[str, object]], seed: int
) -> Standings:
    """Rate the entrants.

    `games` index the panel's entrants; `more` has `rubric` or `bits_per_byte` of each, by name.
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
