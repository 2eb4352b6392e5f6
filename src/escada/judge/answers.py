"""Compute findings from an endpoint's answers; sends no requests.

findings = endpoint_findings(panel, judge, journal, counts, seed=0)
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from escada.judge import reliability
from escada.judge.intervals import ratio_interval
from escada.judge.journal import Journal
from escada.judge.panel import HUMAN, NOISE, PROBE_MARKS, PROBE_PAIRS, Opening, Panel
from escada.judge.questions import Judge, PairAnswer, RubricAnswer, question
from escada.judge.ratings import Game
from escada.judge.verdict import (
    Counts,
    Findings,
    HumanAboveNoise,
    Margin,
    Mean,
    PositionBias,
    Probes,
    ProbeShare,
    RubricMeans,
    SwapContradictions,
    share_of,
    standings,
    stratum,
)

SCORES = {"A": 1.0, "empate": 0.5, "B": 0.0}
"""Score of the text shown first, by preference."""


@dataclass(frozen=True)
class Answers:
    """A journal's valid answers, looked up by question."""

    judge: Judge
    journal: Journal

    def marks(
        self, opening: Opening, texts: Mapping[str, str], name: str
    ) -> dict[str, float] | None:
        """Marks of one text: the three, and `overall`, their mean."""
        key = question(self.judge, opening, texts, name).key
        if key not in self.journal.answers:
            return None
        answer = self.journal.answers[key]
        assert isinstance(answer, RubricAnswer)
        total = answer.relevance + answer.coherence + answer.style
        given = answer.model_dump(exclude={"remarks"})
        return {**{mark: float(value) for mark, value in given.items()}, "overall": total / 3}

    def preferences(
        self, opening: Opening, texts: Mapping[str, str], one: str, other: str
    ) -> list[str | None]:
        """Preferences between two texts: shown in this order, and swapped."""
        keys = (question(self.judge, opening, texts, *o).key for o in ((one, other), (other, one)))
        found = [self.journal.answers.get(key) for key in keys]
        return [one.preference if isinstance(one, PairAnswer) else None for one in found]


def score_of_both(there: str, back: str) -> float:
    """Score of a text from both orders, given the preference when it was shown first (`there`)."""
    return (SCORES[there] + 1 - SCORES[back]) / 2


def endpoint_findings(
    panel: Panel, judge: Judge, journal: Journal, counts: Counts, *, seed: int = 0
) -> Findings:
    """Evaluate the answers of a review."""
    answers = Answers(judge, journal)
    places = {entrant.name: place for place, entrant in enumerate(panel.entrants)}
    marks: dict[str, dict[str, dict[str, float]]] = {name: {} for name in places}
    games: list[Game] = []
    choices: list[tuple[str, str]] = []  # openings and preferences, without pairs that have noise
    pairs = decided = contradicted = 0
    for opening in panel.openings:
        texts = panel.texts(opening.id)
        for name in texts:
            if (given := answers.marks(opening, texts, name)) is not None:
                marks[name][opening.id] = given
        for one, other in itertools.combinations(texts, 2):
            there, back = answers.preferences(opening, texts, one, other)
            needs_judgement = NOISE not in (one, other)
            if needs_judgement:
                choices += [(opening.id, c) for c in (there, back) if c is not None]
            if there is None or back is None:
                continue  # one order alone would carry the position bias
            score = score_of_both(there, back)
            games.append(Game(opening.id, stratum(opening), places[one], places[other], score))
            if needs_judgement:
                pairs += 1
                decided += "empate" not in (there, back)
                contradicted += there == back != "empate"
    rubrics = {name: {"rubric": _rubric_means(given, seed)} for name, given in marks.items()}
    found = standings(panel, games, rubrics, seed)
    rubric = Margin.of(
        {
            opening: given["overall"] - marks[NOISE][opening]["overall"]
            for opening, given in marks[HUMAN].items()
            if opening in marks[NOISE]
        },
        seed,
    )
    share, ci95 = share_of(contradicted, decided)
    swaps = SwapContradictions(
        pairs=pairs, decided=decided, contradicted=contradicted, share=share, ci95=ci95
    )
    probes, probe_marks = _probes(panel, answers, seed)
    settled = counts.answered + counts.unusable
    reasons = [
        *reliability.usable_answers(counts),
        *reliability.rubric_control(rubric),
        *reliability.comparison_controls(found.direct_share, found.margin),
        *reliability.probe_pairs(probes, list(PROBE_PAIRS)),
        *reliability.probe_marks(probe_marks),
        *reliability.swap_contradictions(swaps),
    ]
    return Findings(
        complete=settled == counts.total,
        reliable=not reasons,
        reasons=reasons,
        notes=found.notes,
        limits=reliability.LIMITS,
        ratings=found.ratings,
        controls=found.controls,
        human_above_noise=HumanAboveNoise(
            rubric=rubric, rating=found.margin, direct_share=found.direct_share
        ),
        position_bias=_position_bias(choices, seed),
        swap_contradictions=swaps,
        probes=probes,
        questions=counts,
    )


def _rubric_means(of_opening: Mapping[str, Mapping[str, float]], seed: int) -> RubricMeans | None:
    if not of_opening:
        return None
    means = {
        mark: Mean.of({opening: given[mark] for opening, given in of_opening.items()}, seed)
        for mark in ("relevance", "coherence", "style", "overall")
    }
    return RubricMeans(samples=len(of_opening), **means)


def _position_bias(choices: list[tuple[str, str]], seed: int) -> PositionBias:
    decisions = [(opening, choice) for opening, choice in choices if choice != "empate"]
    first_N = np.array([choice == "A" for _, choice in decisions], dtype=np.float64)
    first, total = int(first_N.sum()), len(decisions)
    return PositionBias(
        first=first,
        second=total - first,
        ties=len(choices) - total,
        first_share=first / total if total else None,
        ci95=ratio_interval([o for o, _ in decisions], first_N, np.ones(total), seed=seed),
    )


def _probes(panel: Panel, answers: Answers, seed: int) -> tuple[Probes, Margin]:
    """Shares won by the better texts, and the marks of human text minus those of shuffled words."""
    shares: dict[str, ProbeShare] = {}
    for kind, pair in PROBE_PAIRS.items():
        asked = [answers.preferences(one.opening, one.texts, *pair) for one in panel.probes]
        scores = [score_of_both(a, b) for a, b in asked if a is not None and b is not None]
        shares[kind] = ProbeShare.of(len(scores), sum(scores))
    apart: dict[str, float] = {}
    for probe in panel.probes:
        better, worse = (answers.marks(probe.opening, probe.texts, name) for name in PROBE_MARKS)
        if better is not None and worse is not None:
            apart[probe.opening.id] = better["overall"] - worse["overall"]
    margin = Margin.of(apart, seed)
    return Probes(**shares, marks=margin), margin
