"""From answers to a verdict: ratings, mean marks, controls, and whether to believe any of it.

Nothing here asks anything. A verdict depends on the panel and on the answers only, in the panel's
order, so a review that was interrupted ends with the same one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from escada.judge import reliability
from escada.judge.intervals import ratio_interval
from escada.judge.journal import Journal
from escada.judge.panel import (
    HUMAN,
    NOISE,
    PROBE_MARKS,
    PROBE_PAIRS,
    Entrant,
    Opening,
    Panel,
    ProbeKind,
)
from escada.judge.questions import (
    MARKS,
    Judge,
    Question,
    pair_question,
    probe_pair_question,
    probe_rubric_question,
    rubric_question,
)
from escada.judge.ratings import Game, Ratings, rate
from escada.judge.reliability import Difference, ProbeShare, ReliabilityLimits, Swaps

SCHEMA_VERSION = 1
OVERALL = "overall"
"""The mean of the three marks."""

Marks = Mapping[str, float]


def stratum(opening: Opening) -> str:
    """What the bootstrap draws within."""
    return "held-out" if opening.held_out else "prompt"


@dataclass
class Answers:
    """The usable answers of a review.

    Attributes:
        marks: by entrant and opening.
        games: of pairs with a usable answer in both orders.
        choices: of every usable single comparison without noise, its opening and what was
            preferred: `A` (shown first), `B` or `empate`.
        pairs: without noise, with a usable answer in both orders.
        decided: of those, without a tie in either order.
        contradicted: of those, decided for different texts.
    """

    marks: dict[str, dict[str, Marks]] = field(default_factory=dict[str, dict[str, Marks]])
    games: list[Game] = field(default_factory=list[Game])
    choices: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    pairs: int = 0
    decided: int = 0
    contradicted: int = 0


def read_answers(panel: Panel, judge: Judge, journal: Journal) -> Answers:
    """Look every question of the panel up in the journal."""
    answers = Answers()
    place = {entrant.name: i for i, entrant in enumerate(panel.entrants)}
    for opening in panel.openings:
        names = list(panel.texts(opening.id))
        for name in names:
            given = _marks(journal, rubric_question(panel, judge, opening.id, name))
            if given is not None:
                answers.marks.setdefault(name, {})[opening.id] = given
        for one, other in itertools.combinations(names, 2):
            there = _preference(journal, pair_question(panel, judge, opening.id, one, other))
            back = _preference(journal, pair_question(panel, judge, opening.id, other, one))
            needs_judgement = NOISE not in (one, other)
            if needs_judgement:
                answers.choices += [(opening.id, c) for c in (there, back) if c is not None]
            if there is None or back is None:
                continue  # one order alone would carry the bias towards a position
            score = _score_of_both(there, back)
            answers.games.append(
                Game(opening.id, stratum(opening), place[one], place[other], score)
            )
            if needs_judgement:
                answers.pairs += 1
                answers.decided += "empate" not in (there, back)
                answers.contradicted += there == back != "empate"
    return answers


def read_probes(panel: Panel, judge: Judge, journal: Journal) -> dict[ProbeKind, ProbeShare]:
    """What the better text of each kind of probe won."""
    found: dict[ProbeKind, ProbeShare] = {}
    for kind, (better, worse) in PROBE_PAIRS.items():
        scores: list[float] = []
        for probe in panel.probes:
            there = _preference(journal, probe_pair_question(probe, judge, better, worse))
            back = _preference(journal, probe_pair_question(probe, judge, worse, better))
            if there is not None and back is not None:
                scores.append(_score_of_both(there, back))
        found[kind] = ProbeShare(len(scores), sum(scores))
    return found


def read_probe_marks(panel: Panel, judge: Judge, journal: Journal, seed: int) -> Difference:
    """Human text above its own words in another order in the mean mark, over probes."""
    apart: dict[str, float] = {}
    for probe in panel.probes:
        given = [_marks(journal, probe_rubric_question(probe, judge, name)) for name in PROBE_MARKS]
        if given[0] is not None and given[1] is not None:
            apart[probe.opening.id] = given[0][OVERALL] - given[1][OVERALL]
    if not apart:
        return Difference(None, None)
    found = mean(apart, seed)
    return Difference(found["mean"], found["ci95"])


def _marks(journal: Journal, question: Question) -> Marks | None:
    answer = journal.answer(question.key)
    if answer is None:
        return None
    given = {mark: float(answer[mark]) for mark in MARKS}
    return given | {OVERALL: sum(given.values()) / len(MARKS)}


def _preference(journal: Journal, question: Question) -> str | None:
    answer = journal.answer(question.key)
    return None if answer is None else str(answer["preference"])


def _score_of_both(there: str, back: str) -> float:
    """Of the text that was shown first there and second when swapped."""
    return (_score(there) + 1 - _score(back)) / 2


def _score(preference: str) -> float:
    """Of the text shown first."""
    return {"A": 1.0, "empate": 0.5, "B": 0.0}[preference]


def rows(
    panel: Panel, ratings: Ratings, marks: Mapping[str, Mapping[str, Marks]], seed: int
) -> list[dict[str, Any]]:
    """One row an entrant: rating and mean marks, with intervals."""
    return [
        {
            "name": entrant.name,
            "role": entrant.role,
            "run": entrant.run,
            "rating": float(ratings.points[i]) if ratings.games[i] else None,
            "ci95": ratings.interval(i),
            "comparisons": int(ratings.games[i]),
            "rubric": _mean_marks(marks.get(entrant.name, {}), seed),
        }
        for i, entrant in enumerate(panel.entrants)
    ]


def _mean_marks(of_opening: Mapping[str, Marks], seed: int) -> dict[str, Any] | None:
    """Mean and interval of each mark, over openings."""
    if not of_opening:
        return None
    return {"samples": len(of_opening)} | {
        mark: mean({opening: marks[mark] for opening, marks in of_opening.items()}, seed)
        for mark in (*MARKS, OVERALL)
    }


def mean(values: Mapping[str, float], seed: int) -> dict[str, Any]:
    """The mean over openings, with its bootstrap interval."""
    numbers = np.array(list(values.values()))
    interval = ratio_interval(values, numbers, np.ones(len(numbers)), seed=seed)
    return {"mean": float(numbers.mean()), "ci95": interval}


def rubric_difference(marks: Mapping[str, Mapping[str, Marks]], seed: int) -> Difference:
    """Human text above noise in the mean mark, on the openings that both have."""
    human, noise = marks.get(HUMAN, {}), marks.get(NOISE, {})
    paired = {o: human[o][OVERALL] - noise[o][OVERALL] for o in human if o in noise}
    if not paired:
        return Difference(None, None)
    found = mean(paired, seed)
    return Difference(found["mean"], found["ci95"])


def rating_difference(panel: Panel, ratings: Ratings) -> Difference:
    """Human text above noise in rating."""
    human, noise = control_places(panel)
    if not (ratings.games[human] and ratings.games[noise]):
        return Difference(None, None)
    return Difference(*ratings.difference(human, noise))


def control_places(panel: Panel) -> tuple[int, int]:
    """Indices of human text and noise among the entrants."""
    names = [entrant.name for entrant in panel.entrants]
    return names.index(HUMAN), names.index(NOISE)


def direct_share(panel: Panel, games: list[Game]) -> float | None:
    """Share of its comparisons with noise that human text wins; ties are half."""
    human, noise = control_places(panel)
    scores = [
        game.score if game.first == human else 1 - game.score
        for game in games
        if {game.first, game.second} == {human, noise}
    ]
    return sum(scores) / len(scores) if scores else None


def swaps_of(answers: Answers, seed: int) -> Swaps:
    """How the judge fared when orders were swapped."""
    decisions = [(opening, choice) for opening, choice in answers.choices if choice != "empate"]
    first = np.array([choice == "A" for _, choice in decisions], dtype=np.float64)
    interval = ratio_interval([o for o, _ in decisions], first, np.ones(len(first)), seed=seed)
    return Swaps(
        pairs=answers.pairs,
        decided=answers.decided,
        contradicted=answers.contradicted,
        first=int(first.sum()),
        second=len(first) - int(first.sum()),
        ties=len(answers.choices) - len(decisions),
        first_share_ci95=interval,
    )


@dataclass(frozen=True, slots=True)
class Counts:
    """Questions of a review."""

    total: int
    answered: int
    unusable: int

    @property
    def settled(self) -> int:
        """Answered or given up."""
        return self.answered + self.unusable


def endpoint_verdict(
    panel: Panel, judge: Judge, journal: Journal, counts: Counts, *, seed: int = 0
) -> dict[str, Any]:
    """The part of a verdict that the answers decide."""
    limits = ReliabilityLimits()
    answers = read_answers(panel, judge, journal)
    ratings = rate(answers.games, len(panel.entrants), seed=seed)
    marks_apart = rubric_difference(answers.marks, seed)
    ratings_apart = rating_difference(panel, ratings)
    direct = direct_share(panel, answers.games)
    swaps = swaps_of(answers, seed)
    probes = read_probes(panel, judge, journal)
    probe_marks = read_probe_marks(panel, judge, journal, seed)
    reasons = [
        *reliability.incomplete(counts.settled, counts.total),
        *reliability.unusable_answers(counts.unusable, counts.settled, limits),
        *reliability.rubric_control(marks_apart, limits),
        *reliability.direct_control(direct, limits),
        *reliability.rating_control(ratings_apart),
        *reliability.probe_pairs(probes, limits, list(PROBE_PAIRS)),
        *reliability.probe_marks(probe_marks),
        *reliability.swap_contradictions(swaps, limits),
    ]
    parts = divided(panel, rows(panel, ratings, answers.marks, seed))
    return {
        "complete": counts.settled == counts.total,
        "reliable": not reasons,
        "reasons": reasons,
        "notes": notes_on(parts),
        "limits": asdict(limits),
        **parts,
        "human_above_noise": {
            "rubric": marks_apart.to_json(),
            "rating": ratings_apart.to_json(),
            "direct_share": direct,
        },
        "position_bias": {
            "first": swaps.first,
            "second": swaps.second,
            "ties": swaps.ties,
            "first_share": swaps.first_share,
            "ci95": swaps.first_share_ci95,
        },
        "swap_contradictions": {
            "pairs": swaps.pairs,
            "decided": swaps.decided,
            "contradicted": swaps.contradicted,
            "share": swaps.contradicted_share,
            "ci95": swaps.contradicted_ci95,
        },
        "probes": {kind: one.to_json() for kind, one in probes.items()}
        | {"marks": probe_marks.to_json()},
        "questions": asdict(counts) | {"pending": counts.total - counts.settled},
    }


def divided(panel: Panel, table: list[dict[str, Any]]) -> dict[str, Any]:
    """The rungs' rows, best first (unrated last), and the controls' by name."""
    rungs = [row for row, _ in _of_role(panel, table, control=False)]
    rungs.sort(key=lambda row: (row["rating"] is None, -(row["rating"] or 0.0)))
    controls = {entrant.name: row for row, entrant in _of_role(panel, table, control=True)}
    return {"ratings": rungs, "controls": controls}


def notes_on(parts: dict[str, Any]) -> list[dict[str, str]]:
    """What no limit covers and a reader should know: rungs that are rated above human text."""
    human = parts["controls"][HUMAN]["rating"]
    rated = [row for row in parts["ratings"] if row["rating"] is not None]
    above = [row["name"] for row in rated if human is not None and row["rating"] > human]
    if not above:
        return []
    text = f"rated above human text: {', '.join(above)}; ask what this judge sees in them"
    return [{"code": "above_human", "text": text}]


def _of_role(
    panel: Panel, table: list[dict[str, Any]], *, control: bool
) -> Iterator[tuple[dict[str, Any], Entrant]]:
    for row, entrant in zip(table, panel.entrants, strict=True):
        if (entrant.role != "run") == control:
            yield row, entrant
